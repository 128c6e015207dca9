//! The part of a world that only a forge with pull requests has.

use std::collections::BTreeSet;

use super::world::{World, change, hosted};
use crate::model::change::{Association, Author, Fate, ForgeChange, SourceBranch};
use crate::model::identity::{ChangeId, Name};
use crate::model::observed::Observed;
use crate::model::question::{Answer, Question};
use crate::references::{References, Short, Via, no_owner};

impl World {
    /// What the forge says of a pull request after a push: what it said before, with other references.
    /// A new one is Ann's, a member who works in the repository itself, and can be merged.
    pub(super) fn pulled(&mut self, text: &str, references: References) -> Box<ForgeChange> {
        self.become_of(text, Fate::Open);
        let ChangeId { repository, number } = change(text);
        let part = self.snapshot.repositories.get(&repository).expect("a repository");
        let listing = part.listing.value().expect("a known listing");
        let before = listing.change(number).and_then(|listed| listed.forge.clone());
        let at = self.snapshot.at;
        let mut forge = before.unwrap_or_else(|| {
            Box::new(ForgeChange {
                draft: false,
                author: Some(Author {
                    login: "ann".into(),
                    bot: false,
                    association: Association::Member,
                }),
                source: Some(SourceBranch {
                    repository,
                    owner: "o".into(),
                    branch: format!("topic-{number}").into(),
                }),
                created_at: at,
                labels: BTreeSet::new(),
                mergeable: Some(true),
                references: References::default(),
            })
        });
        forge.references = references;
        forge
    }

    /// The base that a change has, or begins with.
    pub(super) fn base_of(&self, text: &str) -> Option<Name> {
        let ChangeId { repository, number } = change(text);
        let listing = self.snapshot.repositories.get(&repository)?.listing.value()?;
        match listing.change(number) {
            Some(listed) if listed.forge.is_some() => listed.base.clone(),
            _ => hosted(&repository.path).then(|| self.main_of(&repository.path)),
        }
    }

    /// What became of a pull request; who asked before learns it too.
    pub(super) fn become_of(&mut self, text: &str, fate: Fate) {
        let ChangeId { repository, number } = change(text);
        if !hosted(&repository.path) {
            return;
        }
        let question = Question::Fate { repository, number };
        if let Some(answer) =
            std::sync::Arc::make_mut(&mut self.snapshot.answers).get_mut(&question)
        {
            *answer = Observed::known(Answer::Fate(fate.clone()));
        }
        self.fates.insert(change(text), fate);
    }

    /// Edits what the forge says of a pull request.
    pub(super) fn pull(&mut self, text: &str, edit: impl FnOnce(&mut ForgeChange)) {
        self.edit(text, |listed| edit(listed.forge.as_mut().expect("a pull request")));
    }

    /// Puts a change on the branch of another one.
    pub(super) fn stack(&mut self, text: &str, below: u64) {
        self.edit(text, |listed| listed.base = Some(format!("topic-{below}").into()));
    }

    /// The pull request comes from a fork of somebody without rights.
    pub(super) fn stranger(&mut self, text: &str) {
        self.pull(text, |forge| {
            let author = forge.author.as_mut().expect("an author");
            (author.login, author.association) = ("eve".into(), Association::None);
            let source = forge.source.as_mut().expect("a source");
            source.repository = super::world::repository("eve/fork");
            source.owner = "eve".into();
        });
    }

    /// The body names `NAME#NUMBER` without an owner.
    pub(super) fn short(&mut self, text: &str, name: &str, number: u64) {
        self.pull(text, |forge| {
            let as_written = format!("{name}#{number}");
            let (forge_name, line, via) = ("github.com".into(), 1, Via::Line);
            let name: Name = name.into();
            let finding = no_owner(&name, number);
            forge.references.findings.push(crate::references::Finding {
                as_written: as_written.clone(),
                line,
                text: finding,
            });
            let short = Short { forge: forge_name, name, number, as_written, line, via };
            forge.references.short.push(short);
        });
    }

    /// Findings on a change, in words.
    pub(super) fn findings(&mut self, text: &str) -> Vec<String> {
        self.planned(text).findings.iter().map(|finding| finding.text.clone()).collect()
    }

    /// Ref that a build of a change checks out of its own repository.
    pub(super) fn ref_of(&mut self, text: &str) -> String {
        let of = change(&text.replace('@', "#"));
        let overrides = self.planned(text).overrides.clone();
        let own = overrides.into_iter().find(|entry| entry.change == of);
        own.map(|entry| entry.ref_name).unwrap_or_default()
    }
}
