//! Starts the command of a run, with its limits, its session and its control group around it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, geteuid, setsid};

use super::cgroup::Group;
use super::sink::Sink;
use super::wire::Spec;

/// A run that is about to start.
pub(super) struct Start<'a> {
    spec: &'a Spec,
    sink: Sink,
    group: Option<Group>,
}

/// A command that runs.
pub(super) struct Launched {
    pub(super) leader: Pid,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    pub(super) sink: Sink,
    pub(super) group: Option<Group>,
}

impl<'a> Start<'a> {
    /// Opens what the run needs.
    pub(super) fn new(spec: &'a Spec) -> Result<Self, String> {
        let folder = std::fs::symlink_metadata(&spec.dir);
        // A link could lead the next run anywhere: an earlier one may have put it there.
        if !folder.is_ok_and(|folder| folder.is_dir()) {
            return Err(format!("{} does not exist, or is no folder", spec.dir.display()));
        }
        let mut sink = Sink::open(spec.log.as_deref(), spec.limits.log_max, spec.capture.as_ref())
            .map_err(|error| format!("its log cannot be opened: {error}"))?;
        let group = match spec.cgroup.as_ref().map(|path| Group::create(path, &spec.limits)) {
            Some(Err(error)) => {
                // The sweep of descendants holds without it.
                sink.note(&format!("crosswatch: no control group could be made: {error}"));
                None
            }
            made => made.and_then(Result::ok),
        };
        Ok(Self { spec, sink, group })
    }

    /// Starts the command.
    #[expect(clippy::disallowed_methods, reason = "the keeper is what starts processes")]
    pub(super) fn launch(self) -> Result<Launched, String> {
        let Self { spec, sink, group } = self;
        let (program, args) = spec.command.split_first().ok_or("the command is empty")?;
        let place = spec.dir.display();
        let wrong = |error: io::Error| format!("{program} cannot be run in {place}: {error}");
        let mut command = Command::new(program);
        command.args(args).current_dir(&spec.dir).env_clear().envs(&spec.env);
        command.stdin(input(&spec.stdin).map_err(wrong)?);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let door = group.as_ref().map(Group::door).transpose().map_err(wrong)?;
        let bounds = bounds(spec, group.as_ref());
        let prepare = move || enter(door.as_ref(), &bounds);
        // SAFETY: between fork and exec only setsid(2), pthread_sigmask(3), nice(2), write(2) and setrlimit(2) are
        // called, on values that need no memory or were made before the fork; nothing is allocated, locked or
        // dropped there.
        unsafe { command.pre_exec(prepare) };
        let spawned = command.spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                if let Some(group) = group {
                    group.remove();
                }
                return Err(wrong(error));
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let pipes = [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        for fd in pipes.into_iter().flatten() {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok();
        }
        let leader = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        Ok(Launched { leader, stdout, stderr, sink, group })
    }
}

/// How much runs stand back (`nice(2)`): who guards them must never wait for what they flood.
const STAND_BACK: i32 = 10;

/// What the command does to itself before it becomes the command.
fn enter(door: Option<&File>, bounds: &[(Resource, u64)]) -> io::Result<()> {
    setsid()?;
    // SAFETY: nice(2) has no argument but a number. It only ever lowers the priority, so it cannot fail.
    unsafe { libc::nice(STAND_BACK) };
    if let Some(door) = door {
        // SAFETY: one byte of a constant is written to a descriptor that is open.
        let written = unsafe { libc::write(door.as_raw_fd(), c"0".as_ptr().cast(), 1) };
        Errno::result(written)?;
    }
    for (resource, bound) in bounds {
        setrlimit(*resource, *bound, *bound)?;
    }
    // The keeper reads some signals from a descriptor and blocks them, which a child would inherit.
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Limits of the kernel for each process of the run.
fn bounds(spec: &Spec, group: Option<&Group>) -> Vec<(Resource, u64)> {
    let mut bounds = vec![(Resource::RLIMIT_CORE, 0)];
    let mut bound = |resource, wanted: u64| {
        // Nobody may raise what was set for the daemon itself.
        if let Ok((_, most)) = getrlimit(resource) {
            bounds.push((resource, wanted.min(most)));
        }
    };
    if let Some(files) = spec.limits.open_files {
        bound(Resource::RLIMIT_NOFILE, files);
    }
    // This one counts all processes of the user, and root's are not counted at all.
    let held = group.is_some_and(Group::holds_processes);
    if let Some(processes) = spec.limits.processes.filter(|_| !held && !geteuid().is_root()) {
        bound(Resource::RLIMIT_NPROC, of_user().saturating_add(processes));
    }
    bounds
}

/// Threads of this user now: the kernel counts those.
fn of_user() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let own = geteuid().as_raw();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let count = processes
        .filter(|entry| entry.metadata().is_ok_and(|process| process.uid() == own))
        .filter_map(|entry| std::fs::read_dir(entry.path().join("task")).ok())
        .map(Iterator::count)
        .sum::<usize>();
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn input(bytes: &[u8]) -> io::Result<Stdio> {
    if bytes.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(Stdio::from(OwnedFd::from(file)))
}
