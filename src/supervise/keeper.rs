//! The guardian process of one run: one thread, no runtime, nothing left behind.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, dup2_stdin, setsid};

use super::descendants::{below_self, kill_all, signal};
use super::run::{Exceeded, Outcome};
use super::sink::Sink;
use super::wire::{Report, Spec, frame, read_frame};

/// How long a killed process may take to go before the run is called unkillable.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How long output may be awaited after the last process is gone.
const DRAIN: Duration = Duration::from_millis(300);
/// The grace when the daemon is gone: a new one may already wait for the lock.
const ORPHAN_GRACE: Duration = Duration::from_millis(500);
/// How long the lock of a run that is just ending is awaited.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Runs what the control channel on standard input asks for.
pub fn main() -> ExitCode {
    match keep() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn keep() -> io::Result<()> {
    // Fails only for the leader of a group, which has what this is for.
    setsid().ok();
    prctl::set_child_subreaper(true)?;
    let signals = watch_signals()?;
    let control = take_control()?;
    let mut reader = &control;
    let spec = serde_json::from_slice(&read_frame(&mut reader)?)?;
    let stdin = read_frame(&mut reader)?;
    control.set_nonblocking(true)?;
    let report = run(&spec, &stdin, &control, &signals);
    // The lock is a field of the run and released here at the latest; the daemon hears of the end
    // only when every process is gone.
    control.set_nonblocking(false)?;
    control.set_write_timeout(Some(Duration::from_secs(10)))?;
    (&control).write_all(&frame(&serde_json::to_vec(&report)?)?)
}

fn run(spec: &Spec, stdin: &[u8], control: &UnixStream, signals: &SignalFd) -> Report {
    let failed =
        |outcome| Report { outcome, tail: String::new(), stdout_truncated: false, log_error: None };
    let _lock = match take_lock(spec, control) {
        Ok(lock) => lock,
        Err(outcome) => return failed(outcome),
    };
    match start(spec, stdin, control, signals) {
        Ok(mut keeper) => {
            let cause = keeper.watch();
            let outcome = keeper.end(cause);
            keeper.drain();
            keeper.sink.note(&format!("crosswatch: {outcome}"));
            keeper.sink.finish();
            Report {
                outcome,
                tail: keeper.sink.tail(),
                stdout_truncated: keeper.sink.truncated,
                log_error: keeper.sink.log_error.take(),
            }
        }
        Err(why) => failed(Outcome::CouldNotStart(why)),
    }
}

fn watch_signals() -> io::Result<SignalFd> {
    // TERM and its like are for the daemon: it ends runs in its own order, or dies, which closes
    // the control channel. The command gets an empty mask again from the standard library.
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

fn take_control() -> io::Result<UnixStream> {
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // SAFETY: the number is only handed to fcntl(F_SETFD), which answers EBADF for the one
        // that the listing itself used and that is closed by now; there is no other thread.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok();
    }
    // The specification may hold secrets of the workspace: no core dump, no other reader.
    prctl::set_dumpable(false)?;
    Ok(UnixStream::from(control))
}

fn take_lock(spec: &Spec, control: &UnixStream) -> Result<Option<File>, Outcome> {
    let Some(path) = &spec.lock else { return Ok(None) };
    let wrong = |error: io::Error| {
        Outcome::CouldNotStart(format!("the lock {} cannot be opened: {error}", path.display()))
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(wrong)?;
    }
    let file = File::options().create(true).append(true).mode(0o640).open(path).map_err(wrong)?;
    let end = now() + LOCK_PATIENCE;
    while file.try_lock().is_err() {
        if control_event(control).is_some() {
            return Err(Outcome::Cancelled);
        }
        if now() >= end {
            return Err(Outcome::CouldNotStart(format!(
                "another run holds the lock {}; wait until it ends",
                path.display()
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Some(file))
}

#[expect(clippy::disallowed_methods, reason = "the keeper is what starts processes")]
fn start<'a>(
    spec: &'a Spec,
    stdin: &[u8],
    control: &'a UnixStream,
    signals: &'a SignalFd,
) -> Result<Keeper<'a>, String> {
    let (program, args) = spec.command.split_first().ok_or("the command is empty")?;
    if !spec.dir.is_dir() {
        return Err(format!("the folder {} does not exist", spec.dir.display()));
    }
    let sink = Sink::open(spec.log.as_deref(), spec.limits.log_max, spec.capture.as_ref())
        .map_err(|error| format!("the log of {program} cannot be opened: {error}"))?;
    let input = if stdin.is_empty() { Stdio::null() } else { input(stdin)? };
    let mut command = Command::new(program);
    command.args(args).current_dir(&spec.dir).env_clear().envs(&spec.env);
    // The keeper leads the session, which has no terminal; the command leads its own group in it.
    command.process_group(0).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("{program} cannot be run in {}: {error}", spec.dir.display()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let pipes = [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
    for fd in pipes.into_iter().flatten() {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok();
    }
    let leader = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    Ok(Keeper {
        spec,
        control: Some(control),
        signals,
        sink,
        stdout,
        stderr,
        leader,
        ended: None,
        started: now(),
        heard: now(),
        buffer: vec![0; 64 * 1024],
    })
}

fn input(bytes: &[u8]) -> Result<Stdio, String> {
    let make = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(Stdio::from(file))
    };
    make().map_err(|error: io::Error| format!("its input cannot be written: {error}"))
}

/// Why watching stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Exited,
    Late(Exceeded),
    Cancelled,
    Orphaned,
}

struct Keeper<'a> {
    spec: &'a Spec,
    control: Option<&'a UnixStream>,
    signals: &'a SignalFd,
    sink: Sink,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    leader: Pid,
    ended: Option<Outcome>,
    started: Duration,
    heard: Duration,
    buffer: Vec<u8>,
}

impl Keeper<'_> {
    fn watch(&mut self) -> Cause {
        loop {
            self.reap();
            if self.ended.is_some() {
                return Cause::Exited;
            }
            let limits = &self.spec.limits;
            let wall = self.started.saturating_add(limits.wall.to_std());
            let silence = limits.silence.map(|span| self.heard.saturating_add(span.to_std()));
            let at = now();
            if at >= wall {
                return Cause::Late(Exceeded::Wall);
            }
            if silence.is_some_and(|silence| at >= silence) {
                return Cause::Late(Exceeded::Silence);
            }
            let next = silence.map_or(wall, |silence| silence.min(wall));
            self.turn(next.saturating_sub(at));
            if let Some(cause) = self.control.and_then(control_event) {
                return cause;
            }
        }
    }

    /// Ends whatever is left: TERM and grace, then KILL until nothing is there.
    fn end(&mut self, cause: Cause) -> Outcome {
        let mut grace = self.spec.limits.grace.to_std();
        if cause == Cause::Orphaned {
            grace = grace.min(ORPHAN_GRACE);
            self.control = None;
        }
        if self.reap() {
            killpg(self.leader, Signal::SIGTERM).ok();
            for pid in below_self() {
                signal(pid, Signal::SIGTERM);
                // A stopped process would never see the TERM.
                signal(pid, Signal::SIGCONT);
            }
        }
        let mut end = now().saturating_add(grace);
        while self.reap() && now() < end {
            self.turn(end.saturating_sub(now()).min(Duration::from_millis(50)));
            if self.control.and_then(control_event) == Some(Cause::Orphaned) {
                self.control = None;
                end = end.min(now().saturating_add(ORPHAN_GRACE));
            }
        }
        // Nothing that is said now could change anything, and a closed channel never rests.
        self.control = None;
        let end = now().saturating_add(KILL_PATIENCE);
        while self.reap() {
            if now() >= end {
                return Outcome::Unkillable;
            }
            kill_all(below_self);
            self.turn(Duration::from_millis(10));
        }
        match cause {
            Cause::Late(exceeded) => Outcome::TimedOut(exceeded),
            Cause::Cancelled | Cause::Orphaned => Outcome::Cancelled,
            Cause::Exited => self.ended.take().unwrap_or(Outcome::KeeperLost),
        }
    }

    fn drain(&mut self) {
        let end = now().saturating_add(DRAIN);
        while (self.stdout.is_some() || self.stderr.is_some()) && now() < end {
            self.turn(Duration::from_millis(20));
        }
    }

    /// Waits for something to happen and takes the output that is there, fairly.
    fn turn(&mut self, timeout: Duration) {
        let at = now();
        let timeout = self.sink.tick(at).map_or(timeout, |due| timeout.min(due.saturating_sub(at)));
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.control.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.stdout.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.stderr.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        // Rounded up, so that the last millisecond before a deadline is not spent turning.
        let timeout = timeout.saturating_add(Duration::from_micros(999));
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::from(60_000_u16));
        poll(&mut fds, timeout).ok();
        drop(fds);
        while let Ok(Some(_)) = self.signals.read_signal() {}
        for standard in [true, false] {
            let read = match standard {
                true => self.stdout.as_mut().map(|pipe| pipe.read(&mut self.buffer)),
                false => self.stderr.as_mut().map(|pipe| pipe.read(&mut self.buffer)),
            };
            match read {
                None => {}
                Some(Ok(length)) if length > 0 => {
                    self.heard = now();
                    let bytes = self.buffer.get(..length).unwrap_or_default();
                    if standard { self.sink.stdout(bytes) } else { self.sink.stderr(bytes) }
                }
                Some(Err(error))
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Some(_) if standard => self.stdout = None,
                Some(_) => self.stderr = None,
            }
        }
    }

    /// Waits for every dead child; whether a living one is left.
    fn reap(&mut self) -> bool {
        loop {
            let outcome = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Outcome::Finished(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    (pid, Outcome::Signalled(signal as i32))
                }
                Ok(WaitStatus::StillAlive) => return true,
                Err(Errno::ECHILD) => return false,
                Ok(_) | Err(_) => continue,
            };
            if outcome.0 == self.leader {
                self.ended = Some(outcome.1);
            }
        }
    }
}

fn control_event(mut control: &UnixStream) -> Option<Cause> {
    let mut byte = [0];
    match control.read(&mut byte) {
        Ok(0) => Some(Cause::Orphaned),
        Ok(_) => Some(Cause::Cancelled),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            None
        }
        Err(_) => Some(Cause::Orphaned),
    }
}

fn now() -> Duration {
    // Cannot fail for this clock; zero would only make a deadline later.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}
