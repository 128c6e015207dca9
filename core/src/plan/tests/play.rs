//! Plays a row of the table of rules, see [`super::table`].

use std::collections::BTreeMap;

use super::world::{World, change, hosted, pinned, repository, short, subject};
use crate::model::build::{Cause, Priority, Verdict};
use crate::model::change::{Association, CommitFacts, Fate};
use crate::model::ledger_view::Approval;
use crate::model::manifest::{DefinitionRepository, Vcs};
use crate::model::settings::*;
use crate::model::snapshot::Updated;
use crate::model::time::{Span, Timestamp};
use crate::plan::explain::Explainer;
use crate::references::{References, Via, Written};

/// A row that is being played.
pub(super) struct Play<'e> {
    world: World,
    /// What looks at the world in each pass.
    each: &'e mut dyn FnMut(&World),
    /// Of what was triggered last: who is served first, and why, also in words.
    last: BTreeMap<String, (Priority, Cause, String)>,
}

impl<'e> Play<'e> {
    /// Plays one row; the first step that does not hold, in words.
    pub(super) fn row(row: &str) -> Result<(), String> {
        Play::watched(row, &mut |_| {})
    }

    /// The same while somebody looks at the world in each pass.
    pub(super) fn watched(row: &str, each: &'e mut dyn FnMut(&World)) -> Result<(), String> {
        let mut columns = row.splitn(3, '|').map(str::trim);
        let (Some(_), Some(paths), Some(steps)) = (columns.next(), columns.next(), columns.next())
        else {
            return Err("it has no three columns".to_owned());
        };
        let names: Vec<&str> = paths.trim_start_matches('*').split_whitespace().collect();
        let world = if paths.starts_with('*') { World::fresh(&names) } else { World::new(&names) };
        let mut play = Self { world, each, last: BTreeMap::new() };
        for step in steps.split(';').map(str::trim).filter(|step| !step.is_empty()) {
            play.step(step).map_err(|why| format!("{step}: {why}"))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &str) -> Result<(), String> {
        let (first, rest) = step.split_once(' ').unwrap_or((step, ""));
        if let Some(seconds) = first.strip_prefix('+') {
            return self.pass(seconds.parse().map_err(|_| "no number")?, rest);
        }
        if first == "!" {
            self.pass(0, "")?;
            return self.pass(90, rest);
        }
        let is_subject = first.contains(['#', '@']) || first == "mainline";
        match (is_subject, rest) {
            (true, "") => {
                let (name, needs) = first.split_once('>').unwrap_or((first, ""));
                let needs: Vec<&str> = needs.split(',').filter(|need| !need.is_empty()).collect();
                self.world.push(name, &needs);
                Ok(())
            }
            (true, rest) => {
                let (word, expected) = rest.split_once(' ').unwrap_or((rest, ""));
                self.asked(first, word, expected)
            }
            (false, rest) => {
                self.world.happens(first, &rest.split_whitespace().collect::<Vec<_>>());
                Ok(())
            }
        }
    }

    fn pass(&mut self, seconds: u64, expected: &str) -> Result<(), String> {
        self.world.snapshot.at = self.world.snapshot.at + Span::seconds(seconds);
        let plan = self.world.plan();
        (self.each)(&self.world);
        for planned in plan.workspaces.iter().flat_map(|workspace| workspace.subjects()) {
            for trigger in &planned.triggers {
                let request = &trigger.request;
                let how = (trigger.priority, request.cause, request.reason.clone());
                self.last.insert(short(&planned.subject), how);
            }
        }
        let mut triggered = self.world.commit(&plan);
        triggered.sort();
        let mut wanted: Vec<&str> = expected.split_whitespace().collect();
        wanted.sort_unstable();
        if expected == "~" || triggered == wanted {
            return Ok(());
        }
        Err(format!("it triggered {triggered:?}, in {:?}", self.decisions()))
    }

    fn decisions(&mut self) -> Vec<String> {
        let plan = self.world.plan();
        let subjects = plan.workspaces.iter().flat_map(|workspace| workspace.subjects());
        subjects
            .map(|one| {
                let decision = &one.decision;
                format!("{} {}: {}", short(&one.subject), decision.word(), decision.reason())
            })
            .collect()
    }

    fn asked(&mut self, name: &str, word: &str, expected: &str) -> Result<(), String> {
        let plan = self.world.plan();
        let workspace = plan.workspaces.first().ok_or("no workspace")?;
        let Some(planned) = workspace.subject(&subject(name)) else {
            return if (word, expected) == ("is", "nothing") {
                Ok(())
            } else {
                Err("it is nothing here".to_owned())
            };
        };
        let joined = |names: Vec<String>| names.join(" ");
        let texts = |all: &[crate::references::Finding]| -> String {
            all.iter().map(|one| one.text.clone()).collect::<Vec<_>>().join("; ")
        };
        let (found, contained) = match word {
            "is" => (self.world.decision(name), false),
            "reason" => (planned.decision.reason().to_owned(), true),
            "set" => (joined(planned.set.iter().map(|m| name_of(&m.change)).collect()), false),
            "overrides" => {
                (joined(planned.overrides.iter().map(|o| name_of(&o.change)).collect()), false)
            }
            "packages" => (joined(planned.packages.iter().map(|p| p.to_string()).collect()), false),
            "affects" => {
                let triggers = planned.triggers.first().ok_or("nothing is triggered")?;
                (joined(triggers.request.affected.iter().map(|p| p.to_string()).collect()), false)
            }
            "says" => (texts(&planned.findings), true),
            "lacks" if !texts(&planned.findings).contains(expected) => return Ok(()),
            "lacks" => (texts(&planned.findings), false),
            "notes" => (texts(&planned.notes), true),
            "base" => {
                let own = planned.overrides.last().ok_or("it overrides nothing")?;
                (own.base.to_string(), false)
            }
            "silent" => (texts(&planned.findings), false),
            "ref" => (self.world.ref_of(name), true),
            "was" => {
                let (priority, cause, _) = self.last.get(name).ok_or("it was never triggered")?;
                (format!("{priority:?} {cause:?}"), false)
            }
            "because" => {
                let (.., reason) = self.last.get(name).ok_or("it was never triggered")?;
                (reason.clone(), false)
            }
            "rule" | "released" => {
                let world = &self.world;
                let explainer = Explainer::new(&world.snapshot, &world.ledger, workspace);
                let explained = explainer.ok_or("nothing to explain")?.explain(planned);
                (if word == "rule" { explained.rule } else { explained.released }, true)
            }
            "cancels" => (planned.superseded.len().to_string(), false),
            "unpins" => (planned.overrides.iter().any(|entry| entry.unpin).to_string(), false),
            "attempts" => {
                let attempts = self.world.ledger().attempts.get(&subject(name));
                (attempts.map_or(0, Vec::len).to_string(), false)
            }
            _ => return Err("no such question".to_owned()),
        };
        if (contained && found.contains(expected)) || found == expected {
            return Ok(());
        }
        Err(format!("it is {found:?}, in {:?}", self.decisions()))
    }
}

fn name_of(id: &crate::model::identity::ChangeId) -> String {
    format!("{}#{}", id.repository.path, id.number)
}

impl World {
    /// What happens in a row, by its first word.
    pub(super) fn happens(&mut self, verb: &str, words: &[&str]) {
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        let one = word(0);
        match verb {
            "end" => self.finish(Verdict::from_word(one).expect("a verdict")),
            "ends" => {
                let verdict = Verdict::from_word(word(1)).expect("a verdict");
                self.finish_on(one, verdict);
            }
            "merge" => self.merge(one),
            "close" => self.close(one),
            "base" => drop(self.push_base(one)),
            "queue" => drop(match word(1) {
                "" => self.queue(one, "main", false),
                "apart" => self.queue(one, "main", true),
                base => self.queue(one, base, false),
            }),
            "unqueue" => self.unqueue(one),
            "rename" => self.rename(one, word(1), word(2)),
            "call" => self.call(one, word(1)),
            "moved" => self.moved(one, word(1)),
            "written" => self.written(one, word(1)),
            // Queued, and nobody says behind what.
            "hush" => drop({
                let head = self.queue(one, "main", false);
                self.silent.insert(head)
            }),
            "down" => self.reachable(one, false),
            // As after a start: nothing is known of it.
            "forget" => self.forget(one),
            "up" => self.reachable(one, true),
            "rebuild" => self.rebuild(one, false),
            "alone" => self.rebuild(one, true),
            "mute" => drop({
                let head = self.head(one);
                self.silent.insert(head)
            }),
            "speak" => self.silent.clear(),
            // The first's head is in the second's.
            "in" => drop({
                let pair = (self.head(one), self.head(word(1)));
                self.ancestry.insert(pair)
            }),
            "contained" => drop({
                let (head, tip) = (self.head(one), self.push_base(&change(one).repository.path));
                self.ancestry.insert((head, tip))
            }),
            "on" => self.edit(one, |listed| listed.base = Some(word(1).into())),
            "stack" => self.stack(one, word(1).parse().expect("a number")),
            "shows" => self.edit(one, |listed| listed.merge = word(1) == "merge"),
            "draft" => self.pull(one, |forge| forge.draft = true),
            "ready" => self.pull(one, |forge| forge.draft = false),
            "label" => self.pull(one, |forge| forge.labels.extend([word(1).into()])),
            "mergeable" => self.pull(one, |forge| {
                forge.mergeable = match word(1) {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => None,
                };
            }),
            "branch" => self.pull(one, |forge| {
                forge.source.as_mut().expect("a source").branch = word(1).into();
            }),
            "stranger" => self.stranger(one),
            "author" => self.pull(one, |forge| {
                let author = forge.author.as_mut().expect("an author");
                (author.login, author.bot) = (word(1).into(), word(2) == "bot");
                author.association = match word(2) {
                    "owner" => Association::Owner,
                    "member" => Association::Member,
                    "collaborator" => Association::Collaborator,
                    _ => Association::None,
                };
            }),
            // From a repository of that account.
            "fork" => self.pull(one, |forge| {
                let source = forge.source.as_mut().expect("a source");
                source.repository = repository(&format!("{}/fork", word(1)));
                source.owner = word(1).into();
            }),
            "ghost" => self.pull(one, |forge| (forge.author, forge.source) = (None, None)),
            "unsay" => self.pull(one, |forge| forge.references = References::default()),
            "short" => self.short(one, word(1), word(2).parse().expect("a number")),
            "many" => self.many(one, word(1), word(2), word(3).parse().expect("a number")),
            "old" => self.old(one, word(1).parse().expect("hours")),
            "approve" => {
                let set = self.planned(one).set.clone();
                let (at, by) = (self.snapshot.at, "somebody".to_owned());
                self.ledger().approvals.push(Approval { subject: subject(one), set, by, at });
            }
            "authors" => {
                self.authors(if one == "none" { Authors::None } else { Authors::Any });
            }
            // Its forge is told, as everybody there may read.
            "report" => {
                self.settings(|settings| settings.report_to.push(repository(one)));
                self.listing(one, |listing| listing.public = true);
            }
            "archive" => self.listing(one, |listing| listing.archived = true),
            // Closed, or merged, as the forge says afterwards.
            "fate" => {
                self.close(one);
                let (commit, base) = (Some(self.fresh_oid()), Some(word(2).into()));
                self.become_of(
                    one,
                    match word(1) {
                        "merged" => Fate::Merged { commit, base },
                        "closed" => Fate::Closed { head: None, labels: [word(2).into()].into() },
                        _ => Fate::Missing,
                    },
                );
            }
            "also" => {
                let url = word(1).to_owned();
                let branch = if word(2).is_empty() { "main" } else { word(2) };
                let vcs = Vcs::Git { url, branch: Some(branch.into()), pin: None };
                self.packages.push(super::world::package(one, vcs));
                self.export();
            }
            "pin" => {
                self.repository(one);
                self.packages.push(pinned(one));
                self.export();
            }
            "needs" => {
                let package = self.packages.iter_mut().find(|package| &*package.name == one);
                let depends_on = words.iter().skip(1).map(|name| (*name).into()).collect();
                package.expect("a package").depends_on = depends_on;
                self.export();
            }
            "definition" => {
                self.repository(one);
                self.definitions.push(DefinitionRepository {
                    name: one.into(),
                    vcs: super::world::git(one),
                    override_key: one.into(),
                    directory: None,
                    repeats: None,
                });
                self.export();
            }
            "updated" => {
                let settings = self.snapshot.settings.workspaces[0].clone();
                let inputs = crate::plan::update_inputs(&self.snapshot, &settings);
                let inputs = inputs.expect("inputs");
                self.part(|part| {
                    part.updated = Some(Updated { inputs, ..Updated::default() });
                    (part.failure, part.pending) = (None, false);
                });
            }
            "pending" => self.part(|part| part.pending = true),
            "broken" => self.part(|part| part.failure = Some("it broke".to_owned())),
            "pause" => self.ledger().paused_by = Some("somebody".to_owned()),
            "resume" => self.ledger().paused_by = None,
            "use" => self.settings(|settings| used(settings, one, word(1))),
            _ => panic!("nothing happens by {verb}"),
        }
    }

    /// A change whose author names many changes of a repository at once.
    pub(super) fn many(&mut self, name: &str, path: &str, first: &str, count: u64) {
        self.push(name, &[]);
        let first: u64 = first.parse().expect("a number");
        self.pull(name, |forge| {
            forge.references.references = (first..first + count)
                .zip(1..)
                .map(|(number, line)| Written {
                    change: repository(path).change(number),
                    as_written: format!("{path}#{number}"),
                    line,
                    via: Via::Line,
                })
                .collect();
        });
    }

    /// A change of that age in hours.
    fn old(&mut self, name: &str, hours: i64) {
        let at = Timestamp(self.snapshot.at.0 - hours * 3_600_000);
        self.push(name, &[]);
        let head = self.head(name);
        if hosted(&change(name).repository.path) {
            self.pull(name, |forge| forge.created_at = at);
        }
        let facts: &mut CommitFacts = self.commits.get_mut(&head).expect("a commit");
        facts.committed_at = at;
    }
}

/// A key of the configuration.
fn used(settings: &mut WorkspaceSettings, key: &str, value: &str) {
    let rules = &mut settings.changes;
    let span = || Span::seconds(value.parse().expect("seconds"));
    match (key, value) {
        ("dependencies", "each") => rules.dependencies = Dependencies::Each,
        ("dependencies", "both") => rules.dependencies = Dependencies::Both,
        ("drafts", "hold") => rules.drafts = Drafts::Hold,
        ("on_closed", "ignore") => rules.on_closed = OnClosed::Ignore,
        ("on_conflict", "block") => rules.on_conflict = OnConflict::Block,
        ("same_repository", "ci") => rules.same_repository = SameRepository::Ci,
        ("pinned", "roots") => rules.pinned_roots = true,
        ("branch_matching", _) => rules.branch_matching = true,
        ("adopt", "all") => rules.adopt = Adopt::All,
        ("adopt", "none") => rules.adopt = Adopt::None,
        ("rebuild_on_base", "affected") => rules.rebuild_on_base = RebuildOnBase::Affected,
        ("rebuild_on_base", "all") => rules.rebuild_on_base = RebuildOnBase::All,
        ("max_dependencies", _) => rules.max_dependencies = value.parse().expect("a number"),
        ("max_age", _) => rules.max_age = span(),
        ("settle", _) => rules.settle_new = span(),
        ("trusted", _) => rules.trusted.push(value.to_owned()),
        ("bots", _) => rules.bots.push(value.to_owned()),
        ("merged_labels", _) => rules.merged_labels.push(value.to_owned()),
        ("ref", "merge") => rules.ref_kind = RefKind::Merge,
        ("ref", "head") => rules.ref_kind = RefKind::Head,
        ("epoch", _) => settings.epoch = value.parse().expect("a number"),
        ("ci", _) => settings.ci.push(value.into()),
        ("build", "changes") => settings.build_mainline = false,
        ("build", "mainline") => settings.build_changes = false,
        _ => panic!("no key {key} takes {value}"),
    }
}
