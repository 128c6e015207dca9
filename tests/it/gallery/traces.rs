//! Finds the processes of a program in `/proc`: by marker, by what it noted, by group, session and
//! cgroup.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What begins the marker of every program of the gallery.
pub(super) const MARK: &str = "escape-gallery-";

/// One look at all processes.
pub(super) struct Snapshot {
    processes: BTreeMap<u32, Process>,
}

struct Process {
    start: u64,
    parent: u32,
    group: u32,
    session: u32,
    /// Arguments and environment, as far as they may be read.
    words: Vec<u8>,
}

/// A process as its own program wrote it down.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pid: u32,
    start: u64,
    group: u32,
    session: u32,
    cgroup: String,
}

impl Noted {
    /// What a program wrote down so far; its first line is its first process.
    pub(super) fn read(file: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(5, ' ');
        Some(Self {
            pid: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            group: words.next()?.parse().ok()?,
            session: words.next()?.parse().ok()?,
            cgroup: words.next().unwrap_or_default().trim().to_owned(),
        })
    }

    /// When it started, in milliseconds since the system's start.
    pub(super) fn started(&self) -> u64 {
        self.start * 10
    }
}

impl Snapshot {
    pub(super) fn take() -> Self {
        let pids = std::fs::read_dir("/proc").into_iter().flatten();
        let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Self { processes: pids.filter_map(|pid| Some((pid, Process::read(pid)?))).collect() }
    }

    /// Every process that belongs to the program with this marker and these notes, with the reason.
    pub(super) fn of(&self, marker: &str, notes: &[Noted], daemon: u32) -> Vec<String> {
        let mut found: BTreeMap<u32, &str> = BTreeMap::new();
        for noted in notes {
            let same = |process: &Process| process.start == noted.start;
            if self.processes.get(&noted.pid).is_some_and(same) {
                found.insert(noted.pid, "it wrote itself down");
            }
        }
        let others = self.daemons(daemon);
        let sessions: BTreeSet<u32> = notes.iter().map(|noted| noted.session).collect();
        let groups: BTreeSet<u32> = notes.iter().map(|noted| noted.group).collect();
        let first = notes.iter().map(|noted| noted.start).min().unwrap_or_default();
        for (pid, process) in &self.processes {
            if contains(&process.words, marker) {
                found.entry(*pid).or_insert("it has the marker");
                continue;
            }
            // Numbers are used again, after many processes even within a test.
            let another = contains(&process.words, MARK) || others.contains(&process.session);
            if another || process.start < first {
                continue;
            }
            if sessions.contains(&process.session) {
                found.entry(*pid).or_insert("it is in a session of the run");
            }
            if groups.contains(&process.group) {
                found.entry(*pid).or_insert("it is in a group of the run");
            }
        }
        let own: BTreeSet<String> = self.family(daemon).into_iter().filter_map(cgroup).collect();
        let cgroups: BTreeSet<&String> = notes.iter().map(|noted| &noted.cgroup).collect();
        for path in cgroups {
            if path.len() > 1 && !own.contains(path) {
                for pid in members(path) {
                    found.entry(pid).or_insert("it is in a cgroup of the run");
                }
            }
        }
        found.iter().map(|(pid, why)| format!("{pid}: {why}; {}", self.describe(*pid))).collect()
    }

    /// The daemon and its parent: what is in their sessions and cgroups is not the run's for that.
    fn family(&self, daemon: u32) -> BTreeSet<u32> {
        let children = self.processes.iter().filter(|(_, process)| process.parent == daemon);
        children
            .filter(|(_, process)| contains(&process.words, crosswatch::supervise::parent::DAEMON))
            .map(|(pid, _)| *pid)
            .chain([daemon, std::process::id()])
            .collect()
    }

    fn daemons(&self, daemon: u32) -> BTreeSet<u32> {
        let family = self.family(daemon);
        let processes = family.iter().filter_map(|pid| self.processes.get(pid));
        processes.map(|process| process.session).collect()
    }

    fn describe(&self, pid: u32) -> String {
        let words = self.processes.get(&pid).map(|process| {
            let words = process.words.iter().take(120).copied().collect::<Vec<u8>>();
            String::from_utf8_lossy(&words).replace('\0', " ")
        });
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or_default();
        format!("{state} {}", words.unwrap_or_default())
    }
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let mut words = Vec::new();
        // One that was never waited for has neither.
        if fields.first() != Some(&"Z") {
            words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.extend(std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
        }
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
            words,
        })
    }
}

/// Milliseconds since the system's start.
pub(super) fn uptime() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    (seconds * 1000.0) as u64
}

/// Where cgroups of the second version are, if they are.
fn cgroups() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.join("cgroup.controllers").is_file())
}

fn cgroup(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

fn members(path: &str) -> Vec<u32> {
    let Some(root) = cgroups() else { return Vec::new() };
    let file = root.join(path.trim_start_matches('/')).join("cgroup.procs");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}
