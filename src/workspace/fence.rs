//! Which processes still hold a workspace whose run could not be ended.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::supervise::{Outcome, RUN_MARKER};

/// A process, safe against its number being given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// Its number.
    pub pid: u32,
    /// When it was started, in the kernel's own units.
    start: u64,
}

/// Processes of runs of the workspace `name`: those that carry its marks, those that work in one of
/// `folders`, and those of `before` that still live.
pub(super) fn held(name: &str, folders: &[&Path], before: &[Held]) -> Vec<Held> {
    let of_workspace = format!("CROSSWATCH_WORKSPACE={name}");
    let marked = |pid: u32| {
        let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |start: &str, whole: bool| {
            env.split(|byte| *byte == 0).any(|one| {
                if whole { one == start.as_bytes() } else { one.starts_with(start.as_bytes()) }
            })
        };
        // Builds of its changes have a subject, and a folder of their own.
        has(&of_workspace, true)
            && has(&format!("{RUN_MARKER}="), false)
            && !has("CROSSWATCH_SUBJECT=", false)
    };
    let inside = |pid: u32| {
        std::fs::read_link(format!("/proc/{pid}/cwd"))
            .is_ok_and(|cwd| folders.iter().any(|folder| cwd.starts_with(folder)))
    };
    let Ok(processes) = std::fs::read_dir("/proc") else { return before.to_vec() };
    let mut found: Vec<Held> = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id() && (inside(*pid) || marked(*pid)))
        .filter_map(living)
        .collect();
    found.extend(before.iter().filter(|held| living(held.pid).as_ref() == Some(held)));
    found.sort();
    found.dedup();
    found
}

/// The process that an outcome names, if it does.
pub(super) fn named(outcome: &Outcome) -> Option<Held> {
    match outcome {
        Outcome::Unkillable { pid, .. } => living(u32::try_from(*pid).ok()?),
        _ => None,
    }
}

/// A process that is there and is more than a name that nobody waited for.
fn living(pid: u32) -> Option<Held> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, a `)` as well.
    let after = stat.iter().rposition(|byte| *byte == b')')?.checked_add(1)?;
    let rest = String::from_utf8_lossy(stat.get(after..)?).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    Some(Held { pid, start: fields.nth(18)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test wants a process in a folder")]
    fn a_process_in_the_folder_is_found_until_it_is_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let real = dir.path().canonicalize().expect("a path");
        let start = || {
            let mut command = std::process::Command::new("sleep");
            command.arg("1000").env_clear();
            command
        };
        let mut within = start().current_dir(&real).spawn().expect("sleep");
        let mut marked = start()
            .current_dir("/")
            .env(RUN_MARKER, "x")
            .env("CROSSWATCH_WORKSPACE", "fence-test")
            .spawn()
            .expect("sleep");
        let look = |before: &[Held]| held("fence-test", &[&real], before);
        let pids = |held: &[Held]| held.iter().map(|held| held.pid).collect::<Vec<_>>();
        let mut wanted = vec![within.id(), marked.id()];
        wanted.sort();
        // The environment of a process is its own only once it was replaced.
        while pids(&look(&[])) != wanted {
            std::thread::yield_now();
        }
        let before = look(&[]);
        assert_eq!(pids(&held("other", &[], &before)), wanted, "those of before are looked after");
        within.kill().expect("killed");
        marked.kill().expect("killed");
        within.wait().expect("gone");
        marked.wait().expect("gone");
        assert!(look(&before).is_empty());
    }
}
