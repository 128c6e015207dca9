//! Finds processes in `/proc`: everything below this one, and everything with a run's marker.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::RUN_MARKER;

/// Every process below the calling one, the living and the dead that nobody waited for.
pub fn below_self() -> BTreeSet<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in processes() {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![getpid().as_raw()];
    while let Some(parent) = open.pop() {
        for pid in children.remove(&parent).unwrap_or_default() {
            if found.insert(Pid::from_raw(pid)) {
                open.push(pid);
            }
        }
    }
    found
}

/// Every process whose environment has the marker of the run `id`.
pub fn of_run(id: &str) -> BTreeSet<Pid> {
    let wanted = format!("{RUN_MARKER}={id}");
    processes()
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|env| env.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()))
        })
        .map(Pid::from_raw)
        .collect()
}

/// Stops every process that `list` gives until it gives no new one, then kills them all.
///
/// A stopped process cannot start another between the look and the kill.
pub fn kill_all(list: impl Fn() -> BTreeSet<Pid>) {
    let mut stopped = BTreeSet::new();
    for _ in 0..16 {
        let fresh: Vec<Pid> = list().difference(&stopped).copied().collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            signal(pid, Signal::SIGSTOP);
            stopped.insert(pid);
        }
    }
    for pid in stopped {
        signal(pid, Signal::SIGKILL);
    }
}

/// Sends a signal; that the process is gone or not ours shows in the next look.
pub(super) fn signal(pid: Pid, signal: Signal) {
    kill(pid, signal).ok();
}

fn processes() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, a `)` as well.
    let after = stat.iter().rposition(|byte| *byte == b')')?.checked_add(1)?;
    let rest = String::from_utf8_lossy(stat.get(after..)?).into_owned();
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}
