//! A control group (version 2) for each run, where the system lets us make one.
//!
//! `cgroup.kill` ends everything in a group at once, also what is being started meanwhile, and the
//! controllers `memory` and `pids`, where they are, hold limits that no sampling can. See the
//! kernel's `Documentation/admin-guide/cgroup-v2.rst`.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{Pid, getpid, getppid};

use super::run::Limits;

/// Begins the name of every group that we make.
const PREFIX: &str = "crosswatch-";
/// Where the daemon moves itself, so that the group above may hand controllers to the runs.
const DAEMON: &str = "crosswatch-daemon";

/// Where groups of runs are made.
#[derive(Clone, Debug)]
pub struct Cgroups {
    base: PathBuf,
    prefix: String,
}

/// Why there are no groups.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// It was switched off.
    #[error("switched off by CROSSWATCH_CGROUP=off")]
    Off,
    /// The kernel or the system does not have them.
    #[error("no cgroup v2 is mounted")]
    NotMounted,
    /// The group that this process is in cannot be seen or has no `cgroup.kill`.
    #[error("{path}: {why}")]
    Unusable {
        /// The group.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

impl Cgroups {
    /// Finds the group that this process may make groups in, and tries to.
    pub fn find() -> Result<Self, CgroupError> {
        if std::env::var_os("CROSSWATCH_CGROUP").is_some_and(|value| value == "off") {
            return Err(CgroupError::Off);
        }
        let base = own().ok_or(CgroupError::NotMounted)?;
        let unusable =
            |why: &dyn ToString| CgroupError::Unusable { path: base.clone(), why: why.to_string() };
        let probe = base.join(format!("{PREFIX}probe-{}", getpid()));
        std::fs::create_dir(&probe).map_err(|error| unusable(&error))?;
        let kills = probe.join("cgroup.kill").exists();
        let joins = OpenOptions::new().write(true).open(base.join("cgroup.procs"));
        std::fs::remove_dir(&probe).map_err(|error| unusable(&error))?;
        // A process may only be moved by who may write to the group above both places.
        joins.map_err(|error| unusable(&error))?;
        if !kills {
            return Err(unusable(&"it has no cgroup.kill; Linux 5.14 has"));
        }
        Ok(Self { base, prefix: PREFIX.to_owned() })
    }

    /// Makes ready for a daemon that has locked `state_dir`: ends what a killed daemon of the same
    /// folder left, and asks for the controllers that a delegated group has.
    pub fn prepare(mut self, state_dir: &Path) -> Self {
        let name = blake3::hash(state_dir.as_os_str().as_encoded_bytes()).to_hex();
        self.prefix = format!("{PREFIX}{}-", name.get(..12).unwrap_or_default());
        let left: Vec<Group> = self.groups().into_iter().map(|path| Group { path }).collect();
        left.iter().for_each(Group::kill);
        left.iter().for_each(Group::remove);
        self.delegate();
        self
    }

    /// Where the group of the run `id` is.
    pub(super) fn of_run(&self, id: &str) -> PathBuf {
        self.base.join(format!("{}{id}", self.prefix))
    }

    /// Controllers that runs get: `memory`, `pids`, or none.
    pub fn controllers(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.base.join("cgroup.subtree_control"));
        text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    fn groups(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.base)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| name.starts_with(&self.prefix)) && path.is_dir()
            })
            .collect()
    }

    /// A group hands controllers down only while it has no processes of its own (but for the root
    /// group): where only we are in it, we move aside.
    fn delegate(&self) {
        let own = [getpid(), getppid()];
        let root = !self.base.join("cgroup.events").exists();
        let alone = members(&self.base).iter().all(|pid| own.contains(pid));
        if root || !alone {
            return;
        }
        let aside = self.base.join(DAEMON);
        let moved = match std::fs::create_dir(&aside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => own
                .iter()
                .filter(|pid| members(&self.base).contains(pid))
                .try_for_each(|pid| std::fs::write(aside.join("cgroup.procs"), pid.to_string())),
        };
        let asked = moved.and_then(|()| {
            std::fs::write(self.base.join("cgroup.subtree_control"), "+memory +pids")
        });
        if let Err(error) = asked {
            // Not an error: keepers then measure by themselves, and `doctor` says so.
            tracing::info!(%error, "no controllers for the runs' control groups");
        }
    }
}

/// The group that this process is in, as a folder.
fn own() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (root, point) = mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (kind.split(' ').next()? == "cgroup2").then_some((root, point))
    })?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = path.strip_prefix(root.trim_end_matches('/'))?.trim_start_matches('/');
    if below.split('/').any(|part| part == "..") {
        return None;
    }
    Some(Path::new(point).join(below))
}

fn members(group: &Path) -> BTreeSet<Pid> {
    let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok().map(Pid::from_raw)).collect()
}

/// The group of one run.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
}

impl Group {
    /// Makes it, with the limits that its controllers can hold.
    pub(super) fn create(path: &Path, limits: &Limits) -> io::Result<Self> {
        std::fs::create_dir(path)?;
        let group = Self { path: path.to_owned() };
        if let Some(memory) = limits.memory.filter(|_| group.has("memory.max")) {
            group.set("memory.max", &memory.to_string())?;
            // All of a run dies together: half a run only looks like one that works.
            group.set("memory.oom.group", "1")?;
        }
        if let Some(processes) = limits.processes.filter(|_| group.has("pids.max")) {
            group.set("pids.max", &processes.to_string())?;
        }
        Ok(group)
    }

    /// The group that somebody else made.
    pub(super) fn existing(path: &Path) -> Option<Self> {
        path.is_dir().then(|| Self { path: path.to_owned() })
    }

    /// Who writes `0` here moves into the group.
    pub(super) fn door(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))
    }

    /// Whether the kernel holds the memory limit.
    pub(super) fn holds_memory(&self) -> bool {
        self.has("memory.max")
    }

    /// Whether the kernel holds the limit of processes.
    pub(super) fn holds_processes(&self) -> bool {
        self.has("pids.max")
    }

    /// The living in it and below.
    pub(super) fn members(&self) -> BTreeSet<Pid> {
        let mut found = members(&self.path);
        found.extend(self.below().iter().flat_map(|group| members(group)));
        found
    }

    /// Whether somebody lives in it or below.
    pub(super) fn populated(&self) -> bool {
        self.counter("cgroup.events", "populated").is_some_and(|count| count > 0)
    }

    /// Whether the kernel killed for want of memory here.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.counter("memory.events", "oom_kill").is_some_and(|count| count > 0)
    }

    /// Kills everybody in it and below at once.
    pub(super) fn kill(&self) {
        // Where this fails the sweep of the descendants goes on alone.
        self.set("cgroup.kill", "1").ok();
    }

    /// Removes it and what a run made below it. What still dies holds it: then the next start of
    /// a daemon removes it.
    pub(super) fn remove(&self) {
        for group in self.below().into_iter().rev() {
            std::fs::remove_dir(group).ok();
        }
        std::fs::remove_dir(&self.path).ok();
    }

    /// Groups below, parents first; a run of a privileged daemon can make some.
    fn below(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        let mut open = vec![self.path.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) && found.len() < 10_000 {
                    found.push(entry.path());
                    open.push(entry.path());
                }
            }
        }
        found
    }

    fn has(&self, file: &str) -> bool {
        self.path.join(file).exists()
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        std::fs::write(self.path.join(file), value)
    }

    fn counter(&self, file: &str, key: &str) -> Option<u64> {
        let text = std::fs::read_to_string(self.path.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
    }
}
