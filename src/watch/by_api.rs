//! Questions that a forge with an API answers.

use std::collections::BTreeSet;

use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::question::{Answer, Question};
use futures_util::StreamExt;

use super::Readers;
use super::looking::{chain, no_api};

/// Questions that are asked at once about one repository: those of one kind share a request.
const AT_ONCE: usize = 50;

/// Whether an API answers it, on a forge that has one or not.
pub(super) fn answers(question: &Question, has_api: bool) -> bool {
    match question {
        Question::Commit { .. } | Question::Contains { .. } | Question::Candidate(_) => false,
        Question::Fate { .. } | Question::Mergeable { .. } | Question::Rights { .. } => true,
        Question::Files { .. } => has_api,
    }
}

/// Asks questions about one repository.
pub(super) async fn ask(
    readers: &Readers,
    id: &RepositoryId,
    questions: BTreeSet<Question>,
) -> Vec<(Question, Result<Answer, String>)> {
    if questions.is_empty() {
        return Vec::new();
    }
    let api = readers.apis.borrow().get(&*id.forge).cloned();
    let asks = questions.into_iter().map(|question| {
        let api = api.clone();
        async move {
            let Some(api) = api else {
                let why = no_api(&id.forge);
                return (question, Err(why));
            };
            let answer = match question.clone() {
                Question::Fate { repository, number } => {
                    api.fate(repository, number).await.map(Answer::Fate)
                }
                Question::Files { repository, number, head, .. } => {
                    api.files(repository, number, head).await.map(Answer::Files)
                }
                Question::Mergeable { repository, number, head, .. } => {
                    api.mergeable(repository, number, head).await.map(Answer::Mergeable)
                }
                Question::Rights { repository, login } => {
                    api.rights(repository, login).await.map(Answer::Rights)
                }
                Question::Commit { .. } | Question::Contains { .. } | Question::Candidate(_) => {
                    return (question, Err("git answers that".to_owned()));
                }
            };
            (question, answer.map_err(|error| chain(&error)))
        }
    });
    futures_util::stream::iter(asks).buffer_unordered(AT_ONCE).collect().await
}
