//! Questions and answers of an anonymous snapshot.

use super::{Kind, Names, UNSPOKEN};
use crate::model::candidate::{Candidate, Recipe};
use crate::model::change::{Fate, Files};
use crate::model::question::{Answer, Question};

impl Names {
    pub(super) fn question(&self, question: &Question) -> Question {
        let mut hidden = question.clone();
        match &mut hidden {
            Question::Commit { repository, .. }
            | Question::Contains { repository, .. }
            | Question::Fate { repository, .. }
            | Question::Mergeable { repository, .. } => {
                *repository = self.repository(repository);
            }
            Question::Files { repository, base, .. } => {
                *repository = self.repository(repository);
                *base = self.branch(base);
            }
            Question::Candidate(recipe) => self.recipe(recipe),
            Question::Rights { repository, login } => {
                *repository = self.repository(repository);
                *login = self.of(Kind::Person, login);
            }
        }
        hidden
    }

    fn recipe(&self, recipe: &mut Recipe) {
        recipe.mainline =
            self.digests.borrow().get(&recipe.mainline).copied().unwrap_or(recipe.mainline);
        recipe.workspace = self.of(Kind::Workspace, &recipe.workspace);
        for member in &mut recipe.members {
            *member = self.member(member);
        }
        recipe.readable = recipe.readable.iter().map(|id| self.repository(id)).collect();
    }

    pub(super) fn answer(&self, answer: &Answer) -> Answer {
        match answer {
            Answer::Commit(facts) => {
                let mut facts = facts.clone();
                facts.references = self.references(&facts.references);
                Answer::Commit(facts)
            }
            Answer::Contains(contains) => Answer::Contains(*contains),
            Answer::Fate(fate) => Answer::Fate(self.fate(fate)),
            Answer::Files(files) => Answer::Files(self.files(files)),
            Answer::Candidate(candidate) => Answer::Candidate(self.candidate(candidate)),
            Answer::Mergeable(mergeable) => Answer::Mergeable(*mergeable),
            Answer::Rights(rights) => Answer::Rights(*rights),
        }
    }

    fn candidate(&self, candidate: &Candidate) -> Candidate {
        match candidate {
            Candidate::Made(manifest) => Candidate::Made(self.manifest(manifest)),
            Candidate::Needs(urls) => {
                Candidate::Needs(urls.iter().map(|url| self.url(url)).collect())
            }
            Candidate::Failed { .. } => {
                Candidate::Failed { why: UNSPOKEN.to_owned(), tail: Vec::new() }
            }
        }
    }

    fn fate(&self, fate: &Fate) -> Fate {
        let mut hidden = fate.clone();
        match &mut hidden {
            Fate::Open | Fate::Missing => {}
            Fate::Merged { base, .. } => *base = base.as_ref().map(|base| self.branch(base)),
            Fate::Closed { labels, .. } => *labels = self.labels(labels),
        }
        hidden
    }

    fn files(&self, files: &Files) -> Files {
        match files {
            Files::TooMany => Files::TooMany,
            Files::Listed(names) => {
                Files::Listed(names.iter().map(|name| self.path(name).into()).collect())
            }
        }
    }
}
