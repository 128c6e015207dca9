//! What became of the last runs, over restarts of the daemon.

use std::path::Path;

use crosswatch_core::model::run::{RunKind, RunRecord};
use crosswatch_core::model::time::Timestamp;

use super::files::read_regular;
use crate::supervise::{Outcome, RunResult};

/// Runs that are remembered of one workspace.
const MAX_RUNS: usize = 20;
/// A result is a few lines.
const MAX_BYTES: u64 = 64 * 1024;

/// Adds a run that is about to start.
pub(super) fn begin(runs: &mut Vec<RunRecord>, kind: RunKind, at: Timestamp, log: &Path) {
    let log = Some(log.to_owned());
    runs.push(RunRecord { kind, started_at: at, ended_at: None, outcome: None, log });
    trim(runs);
}

/// Completes the run that [`begin`] added last.
pub(super) fn end(runs: &mut [RunRecord], at: Timestamp, outcome: &Outcome) {
    if let Some(run) = runs.last_mut() {
        run.ended_at = Some(at);
        run.outcome = Some(outcome.to_string());
    }
}

/// Completes runs whose end the last daemon did not hear of, from what their keepers wrote into `logs`,
/// and adds those whose start was not kept either. Says when a run ended that did not end by itself,
/// the last such, if there is one.
pub(super) fn recover(runs: &mut Vec<RunRecord>, logs: &Path, now: Timestamp) -> Option<Timestamp> {
    let mut unclean = None;
    for run in runs.iter_mut().filter(|run| run.outcome.is_none()) {
        let written = run.log.as_deref().and_then(|log| written(&RunResult::path(log)));
        // A result of an earlier run under the same name says nothing about this one.
        let written = written.filter(|written| written.ended_at >= run.started_at);
        let (outcome, at, clean) = match written {
            Some(written) => {
                let clean = ended_by_itself(&written.outcome);
                (written.outcome.to_string(), written.ended_at, clean)
            }
            None => ("lost: no result was written".to_owned(), now, false),
        };
        run.outcome = Some(outcome);
        run.ended_at = Some(at);
        if !clean {
            unclean = Some(at);
        }
    }
    let newest = runs.last().map(|run| run.started_at);
    for run in unheard(logs, runs, newest) {
        let at = run.1.ended_at;
        if !run.0 {
            unclean = Some(at.unwrap_or(now));
        }
        runs.push(run.1);
    }
    trim(runs);
    unclean
}

/// Results of runs that are not in the history and are newer than it, with whether they ended cleanly.
fn unheard(logs: &Path, runs: &[RunRecord], newest: Option<Timestamp>) -> Vec<(bool, RunRecord)> {
    let mut names: Vec<_> = std::fs::read_dir(logs)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    // Names begin with the time.
    names.sort();
    let skip = names.len().saturating_sub(MAX_RUNS);
    names
        .into_iter()
        .skip(skip)
        .filter_map(|path| {
            let log = path.with_extension("log");
            let known = runs.iter().any(|run| run.log.as_ref() == Some(&log));
            let written = if known { None } else { written(&path) }?;
            let stem = path.file_stem()?.to_str()?;
            let kind = [RunKind::Bootstrap, RunKind::Update, RunKind::Manifest]
                .into_iter()
                .find(|kind| stem.ends_with(kind.word()))?;
            if newest.is_some_and(|newest| written.started_at <= newest) {
                return None;
            }
            let clean = ended_by_itself(&written.outcome);
            let run = RunRecord {
                kind,
                started_at: written.started_at,
                ended_at: Some(written.ended_at),
                outcome: Some(written.outcome.to_string()),
                log: Some(log),
            };
            Some((clean, run))
        })
        .collect()
}

fn written(path: &Path) -> Option<RunResult> {
    serde_json::from_slice(&read_regular(path, MAX_BYTES).ok()?).ok()
}

/// Whether nothing of the run was killed: only then did its tools clean up behind themselves.
pub(super) fn ended_by_itself(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Finished(_) | Outcome::CouldNotStart(_))
}

fn trim(runs: &mut Vec<RunRecord>) {
    let over = runs.len().saturating_sub(MAX_RUNS);
    runs.drain(..over);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(logs: &Path, name: &str, outcome: Outcome, times: (i64, i64)) {
        let result = RunResult {
            command: vec!["x".to_owned()],
            text: outcome.to_string(),
            outcome,
            started_at: Timestamp(times.0),
            ended_at: Timestamp(times.1),
        };
        result.write(&logs.join(name)).expect("written");
    }

    fn told(runs: &[RunRecord]) -> Vec<(RunKind, &str, Option<i64>)> {
        runs.iter()
            .map(|run| {
                let word = run.outcome.as_deref().unwrap_or("runs");
                (run.kind, word, run.ended_at.map(|at| at.0))
            })
            .collect()
    }

    #[test]
    fn a_restarted_daemon_says_what_became_of_each_run() {
        use RunKind::{Bootstrap, Update};
        let dir = tempfile::tempdir().expect("a folder");
        let logs = dir.path();
        let mut runs = Vec::new();
        for (kind, at) in [(Bootstrap, 10), (Update, 20), (Update, 30), (Update, 40)] {
            begin(&mut runs, kind, Timestamp(at), &logs.join(format!("{at}-{kind}.log")));
            if at == 10 {
                end(&mut runs, Timestamp(15), &Outcome::Finished(0));
            }
        }
        write(logs, "20-update.json", Outcome::Finished(3), (20, 25));
        write(logs, "30-update.json", Outcome::Cancelled, (1, 2));
        write(logs, "40-update.json", Outcome::OutOfMemory, (40, 45));
        write(logs, "50-update.json", Outcome::Cancelled, (50, 55));
        write(logs, "05-update.json", Outcome::Cancelled, (5, 6));
        std::fs::write(logs.join("60-update.json"), "{\"outcome\":").expect("a file");
        let unclean = recover(&mut runs, logs, Timestamp(100));
        let lost = "lost: no result was written";
        assert_eq!(
            told(&runs),
            [
                (Bootstrap, "exited with code 0", Some(15)),
                (Update, "exited with code 3", Some(25)),
                (Update, lost, Some(100)),
                (Update, "ran out of its memory limit (`memory`)", Some(45)),
                (Update, "was cancelled", Some(55)),
            ]
        );
        assert_eq!(unclean, Some(Timestamp(55)));
        assert_eq!(recover(&mut runs, logs, Timestamp(200)), None, "said once");
        assert_eq!(runs.len(), 5);
    }

    #[test]
    fn only_the_last_runs_are_kept() {
        let mut runs = Vec::new();
        for at in 0..50 {
            begin(&mut runs, RunKind::Update, Timestamp(at), Path::new("x.log"));
            end(&mut runs, Timestamp(at), &Outcome::Finished(0));
        }
        assert_eq!(runs.len(), MAX_RUNS);
        assert_eq!(runs.last().map(|run| run.started_at), Some(Timestamp(49)));
    }
}
