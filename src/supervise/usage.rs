//! What a run uses: measured by its keeper where no control group holds the limit.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Pid, SysconfVar, getpid, sysconf};

use super::descendants::below_quickly;
use super::keeper::now;
use super::run::Limits;
use super::wire::Usage;

/// Between two looks at processes and memory: a run that grows faster is met by the limits of each
/// process, or by the kernel.
const PERIOD: Duration = Duration::from_millis(200);
/// Entries of the folder that are looked at in one turn, so that output is not left waiting.
const ENTRIES: usize = 500;
/// The rest after a whole look at the folder, as a multiple of what the look took.
const REST: u32 = 10;
const LEAST_REST: Duration = Duration::from_millis(500);

/// Looks at processes and memory every now and then.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    next: Duration,
    last: Usage,
}

impl Sampler {
    /// The last look, or a new one if it is time.
    pub(super) fn look(&mut self, limits: &Limits) -> Usage {
        let at = now();
        if at < self.next {
            return self.last;
        }
        let most = limits.processes.unwrap_or(u64::MAX).saturating_add(1);
        let found = below_quickly(getpid(), usize::try_from(most).unwrap_or(usize::MAX));
        self.last.processes = u64::try_from(found.len()).unwrap_or(u64::MAX);
        self.last.memory = found.iter().map(|pid| private_memory(*pid)).sum();
        if limits.memory.is_some_and(|limit| self.last.memory > limit) {
            // Pages that a fork shares were counted for each: only now the slow count is worth it.
            self.last.memory = found.iter().map(|pid| proportional_memory(*pid)).sum();
        }
        // A look at thousands must not become all that the keeper does.
        let took = now().saturating_sub(at);
        self.next = at.saturating_add(PERIOD.max(took.saturating_mul(4)));
        self.last
    }
}

/// Memory that only this process has, in bytes.
fn private_memory(pid: Pid) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut pages = text.split(' ').skip(1).filter_map(|field| field.parse::<u64>().ok());
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared).saturating_mul(page())
}

/// Memory of a process, shared pages by their share, in bytes.
fn proportional_memory(pid: Pid) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let pss = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = pss.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    match kibibytes {
        Some(kibibytes) => kibibytes.saturating_mul(1024),
        // Not to be read for a process that made itself unreadable.
        None => private_memory(pid),
    }
}

fn page() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// Adds up what a folder takes on the disk, a little at a time.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    open: Vec<PathBuf>,
    reading: Option<std::fs::ReadDir>,
    bytes: u64,
    began: Duration,
    next: Duration,
    /// What the first look found: a run that only has to clean up what another left may do so.
    before: Option<u64>,
}

impl Disk {
    /// Nothing is looked at yet.
    pub(super) fn new(root: PathBuf) -> Self {
        let (open, reading) = (Vec::new(), None);
        let (began, next) = (now(), Duration::ZERO);
        Self { root, open, reading, bytes: 0, began, next, before: None }
    }

    /// Looks on; whether more than `limit` bytes were found, and more than at first.
    pub(super) fn over(&mut self, limit: u64) -> bool {
        use std::os::unix::fs::MetadataExt;
        if self.reading.is_none() && self.open.is_empty() {
            if now() < self.next {
                return false;
            }
            self.open.push(self.root.clone());
            (self.bytes, self.began) = (0, now());
        }
        for _ in 0..ENTRIES {
            let Some(reading) = &mut self.reading else {
                let Some(folder) = self.open.pop() else {
                    let took = now().saturating_sub(self.began);
                    let rest = took.saturating_mul(REST).max(LEAST_REST);
                    self.next = now().saturating_add(rest);
                    self.before.get_or_insert(self.bytes);
                    return false;
                };
                self.reading = std::fs::read_dir(folder).ok();
                continue;
            };
            let Some(entry) = reading.next() else {
                self.reading = None;
                continue;
            };
            // What vanishes between two looks takes no room.
            let Ok(entry) = entry else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                self.open.push(entry.path());
            }
            self.bytes = self.bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if self.before.is_some_and(|before| self.bytes > limit.max(before)) {
                return true;
            }
        }
        false
    }
}
