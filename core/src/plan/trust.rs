//! Whose heads need no approval: rules under "Trust".

use crate::model::change::{Association, Author, ForgeChange};
use crate::model::identity::{ChangeId, Name};
use crate::model::observed::Purpose;
use crate::model::settings::{Authors, ChangeRules, ForgeKind};

use super::look::View;

/// Whether the head of a change needs no approval.
pub(crate) fn trusted(view: &View<'_>, change: &ChangeId) -> bool {
    match view.snapshot.settings.forge(&change.repository.forge).map(|forge| &forge.kind) {
        Some(ForgeKind::Git(git)) => git.authors == Authors::Any,
        Some(ForgeKind::GitHub(_)) => {
            let part = view.repository(&change.repository);
            let listing = part.and_then(|part| part.listing.last_known(Purpose::Hiding));
            let listed = listing.and_then(|listing| listing.change(change.number));
            let forge = listed.and_then(|listed| listed.forge.as_deref());
            forge.is_some_and(|forge| by_author(&view.settings.changes, change, forge))
        }
        None => false,
    }
}

/// Only writers push to the base repository itself. Elsewhere it counts who the author is, and that
/// the head comes from a repository of the author's own: nobody else pushes there.
pub(crate) fn by_author(rules: &ChangeRules, change: &ChangeId, forge: &ForgeChange) -> bool {
    judge(rules, change, forge).trusts()
}

/// Of whom it has to be asked whether they may write there: of an author whose standing says nothing
/// and who owns the repository that the head comes from.
pub(crate) fn asked_for(view: &View<'_>, change: &ChangeId) -> Option<Name> {
    let part = view.repository(&change.repository);
    let listing = part.and_then(|part| part.listing.last_known(Purpose::Hiding))?;
    let forge = listing.change(change.number)?.forge.as_deref()?;
    let (author, source) = (forge.author.as_ref()?, forge.source.as_ref()?);
    let own = source.owner.eq_ignore_ascii_case(&author.login);
    let ask = own && !author.bot && author.association == Association::None;
    ask.then(|| author.login.to_lowercase().into())
}

/// The same in words.
pub(crate) fn why(rules: &ChangeRules, change: &ChangeId, forge: &ForgeChange) -> String {
    let judged = judge(rules, change, forge);
    let trusted = if judged.trusts() { "trusted" } else { "not trusted" };
    let why = match judged {
        Judged::SourceGone => "the repository that its head comes from is gone".to_owned(),
        Judged::OwnBranch => "only who may write there pushes to the repository itself".to_owned(),
        Judged::AuthorGone => "the account of its author is gone".to_owned(),
        Judged::Named(login) => format!("{login} is in `trusted`"),
        Judged::NoStanding(login) => format!("{login} has no standing in the repository"),
        Judged::Standing { login, standing, own_fork } => {
            let whose = if own_fork {
                "and owns the repository that its head comes from"
            } else {
                "but the repository that its head comes from is somebody else's"
            };
            format!("{login} {standing}, {whose}")
        }
    };
    format!("{trusted}: {why}")
}

/// What decides whether a head is trusted.
enum Judged<'f> {
    SourceGone,
    OwnBranch,
    AuthorGone,
    Named(&'f Name),
    NoStanding(&'f Name),
    Standing { login: &'f Name, standing: &'static str, own_fork: bool },
}

impl Judged<'_> {
    fn trusts(&self) -> bool {
        match self {
            Self::OwnBranch | Self::Named(_) => true,
            Self::Standing { own_fork, .. } => *own_fork,
            Self::SourceGone | Self::AuthorGone | Self::NoStanding(_) => false,
        }
    }
}

fn judge<'f>(rules: &ChangeRules, change: &ChangeId, forge: &'f ForgeChange) -> Judged<'f> {
    let Some(source) = &forge.source else { return Judged::SourceGone };
    if source.repository == change.repository {
        return Judged::OwnBranch;
    }
    let Some(Author { login, association, .. }) = &forge.author else { return Judged::AuthorGone };
    if rules.trusted.iter().any(|name| login.eq_ignore_ascii_case(name)) {
        return Judged::Named(login);
    }
    let standing = match association {
        Association::Owner => "owns the repository",
        Association::Member => "is a member of the repository's owner",
        Association::Collaborator => "is a collaborator of the repository",
        Association::None => return Judged::NoStanding(login),
    };
    Judged::Standing { login, standing, own_fork: source.owner.eq_ignore_ascii_case(login) }
}

/// Whether a change comes from a bot: flagged by the forge, or named in `bots`.
pub(crate) fn bot(rules: &ChangeRules, forge: &ForgeChange) -> bool {
    let Some(author) = &forge.author else { return false };
    let plain = |login: &str| login.trim_end_matches("[bot]").to_ascii_lowercase();
    author.bot || rules.bots.iter().any(|name| plain(name) == plain(&author.login))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::SourceBranch;
    use crate::model::identity::RepositoryId;
    use crate::plan::tests::settings::workspace;
    use crate::references::References;

    #[test]
    fn a_head_is_trusted_by_its_source_or_by_its_author() {
        let change = RepositoryId::new("github.com", "o/base").change(1);
        let own = "only who may write there pushes to the repository itself";
        let theirs = "and owns the repository that its head comes from";
        let others = "but the repository that its head comes from is somebody else's";
        let rows = [
            // source, its owner, author, standing, trusted, why
            (Some(("o/base", "o")), Some(("x", Association::None)), true, own.to_owned()),
            (Some(("o/base", "o")), None, true, own.to_owned()),
            (
                Some(("ann/base", "ann")),
                Some(("Ann", Association::Member)),
                true,
                format!("Ann is a member of the repository's owner, {theirs}"),
            ),
            (
                Some(("ann/base", "ann")),
                Some(("ann", Association::Collaborator)),
                true,
                format!("ann is a collaborator of the repository, {theirs}"),
            ),
            (
                Some(("ann/base", "ann")),
                Some(("ann", Association::None)),
                false,
                "ann has no standing in the repository".to_owned(),
            ),
            // Somebody else pushes to that repository.
            (
                Some(("eve/base", "eve")),
                Some(("ann", Association::Owner)),
                false,
                format!("ann owns the repository, {others}"),
            ),
            (
                Some(("eve/base", "eve")),
                Some(("friend", Association::None)),
                true,
                "friend is in `trusted`".to_owned(),
            ),
            (
                Some(("ann/base", "ann")),
                None,
                false,
                "the account of its author is gone".to_owned(),
            ),
            (
                None,
                Some(("ann", Association::Owner)),
                false,
                "the repository that its head comes from is gone".to_owned(),
            ),
        ];
        let mut rules = workspace().changes;
        rules.trusted = vec!["Friend".to_owned()];
        for (source, author, expected, words) in rows {
            let forge = ForgeChange {
                draft: false,
                author: author.map(|(login, association)| Author {
                    login: login.into(),
                    bot: false,
                    association,
                }),
                source: source.map(|(path, owner)| SourceBranch {
                    repository: RepositoryId::new("github.com", path),
                    owner: owner.into(),
                    branch: "topic".into(),
                }),
                created_at: crate::model::time::Timestamp(0),
                labels: [].into(),
                mergeable: None,
                references: References::default(),
            };
            assert_eq!(by_author(&rules, &change, &forge), expected, "{source:?} {author:?}");
            let begins = if expected { "trusted" } else { "not trusted" };
            assert_eq!(why(&rules, &change, &forge), format!("{begins}: {words}"));
        }
    }
}
