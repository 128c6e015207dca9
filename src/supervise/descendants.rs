//! Finds processes in `/proc`, and ends them.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::RUN_MARKER;

/// Looks of one sweep; what starts processes faster than that many looks is met again by the next.
const LOOKS: usize = 16;

/// Every process below the calling one, the living and the dead that nobody waited for.
pub fn below_self() -> BTreeSet<Pid> {
    below(getpid(), &BTreeSet::new())
}

/// Every process below `root`, without those of `except` and what is below them.
pub fn below(root: Pid, except: &BTreeSet<Pid>) -> BTreeSet<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in processes() {
        if let Some(stat) = Stat::of(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![root.as_raw()];
    while let Some(parent) = open.pop() {
        for pid in children.remove(&parent).unwrap_or_default() {
            let pid = Pid::from_raw(pid);
            if !except.contains(&pid) && found.insert(pid) {
                open.push(pid.as_raw());
            }
        }
    }
    found
}

/// The same with a look at few processes, by the kernel's lists of children, which may miss some:
/// for a measure, not for an end. At most `most`.
pub fn below_quickly(root: Pid, most: usize) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![root.as_raw()];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            found.push(Pid::from_raw(child));
            if found.len() >= most {
                return found;
            }
            open.push(child);
        }
    }
    found
}

/// Direct children of a process, by the kernel's own list.
pub fn children(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
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
    for _ in 0..LOOKS {
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

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// What `waitpid(2)` said of the children of this process.
pub(super) enum Waited {
    /// One was dead, and is waited for now.
    Dead(Pid, Death),
    /// They live.
    Alive,
    /// There are none.
    None,
}

/// Waits for one dead child, whoever it is; never blocks.
pub(super) fn wait_for_one() -> Waited {
    loop {
        let mut status = 0;
        // SAFETY: waitpid(2) writes one int, and `status` is one. nix's own wrapper loses the
        // processes that a real-time signal ended.
        let waited = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
        match Errno::result(waited) {
            Ok(0) => return Waited::Alive,
            Ok(pid) => {
                let death = match libc::WIFEXITED(status) {
                    true => Death::Exited(libc::WEXITSTATUS(status)),
                    false => Death::Signalled(libc::WTERMSIG(status)),
                };
                return Waited::Dead(Pid::from_raw(pid), death);
            }
            Err(Errno::ECHILD) => return Waited::None,
            Err(_) => {}
        }
    }
}

/// Sends a signal; that the process is gone or not ours shows in the next look.
pub(super) fn signal(pid: Pid, signal: Signal) {
    kill(pid, signal).ok();
}

/// The part of `/proc/PID/stat` that counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// One letter, see `proc(5)`.
    pub(super) state: char,
    pub(super) parent: i32,
}

impl Stat {
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, a `)` as well.
        let after = stat.iter().rposition(|byte| *byte == b')')?.checked_add(1)?;
        let rest = String::from_utf8_lossy(stat.get(after..)?).into_owned();
        let mut words = rest.split_ascii_whitespace();
        let state = words.next()?.chars().next()?;
        Some(Self { state, parent: words.next()?.parse().ok()? })
    }
}

fn processes() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
