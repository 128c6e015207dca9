//! The guardian process of one run: one thread, no runtime, nothing left behind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use crosswatch_core::model::time::Timestamp;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{dup2_stdin, setsid};

use super::guard::{Guard, Start};
use super::run::{Outcome, RunResult};
use super::wire::{Inbox, Order, Report, Spec, Word, frame};

/// How long the lock of a run that is just ending is awaited.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long a daemon may take to hear the end. A dead one is noticed at once.
const FAREWELL: Duration = Duration::from_secs(10);

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
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let signals = watch_signals()?;
    let mut control = Control::take()?;
    let spec = control.first()?;
    let mut report = run(&spec, &mut control, &signals);
    if let Some(log) = &spec.log {
        let result = RunResult {
            command: spec.command.clone(),
            outcome: report.outcome.clone(),
            text: report.outcome.to_string(),
            started_at: spec.started_at,
            ended_at: wall_clock(),
        };
        if let Err(error) = result.write(&RunResult::path(log)) {
            report.trouble.push(format!("the result of {}: {error}", log.display()));
        }
    }
    control.farewell(&Word::Ended(Box::new(report)))
}

fn run(spec: &Spec, control: &mut Control, signals: &SignalFd) -> Report {
    let failed = |outcome| Report {
        outcome,
        tail: String::new(),
        stdout_truncated: false,
        trouble: Vec::new(),
    };
    // Held until every process is gone.
    let _lock = match take_lock(spec, control) {
        Ok(lock) => lock,
        Err(outcome) => return failed(outcome),
    };
    match Start::new(spec).and_then(Start::launch) {
        Ok(launched) => Guard::new(spec, launched, control, signals).keep(),
        Err(why) => failed(Outcome::CouldNotStart(why)),
    }
}

fn watch_signals() -> io::Result<SignalFd> {
    // TERM and its like are for the daemon: it ends runs in its own order, or dies, which closes
    // the control channel. The command gets an empty mask again before it begins.
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

fn take_lock(spec: &Spec, control: &mut Control) -> Result<Option<File>, Outcome> {
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
        if control.asked().is_some() {
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

/// What the daemon wants, by its word or by its death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The end of the run.
    Cancel,
    /// Nothing any more: it is gone.
    Gone,
}

/// The keeper's end of the control channel. It never blocks while a run goes on: a daemon that
/// does not listen misses progress, nothing else.
pub(super) struct Control {
    stream: UnixStream,
    inbox: Inbox,
    unsent: Vec<u8>,
    gone: bool,
}

impl Control {
    /// Takes the channel from standard input, so that no child can inherit it.
    fn take() -> io::Result<Self> {
        let stream = io::stdin().as_fd().try_clone_to_owned()?;
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
        let stream = UnixStream::from(stream);
        Ok(Self { stream, inbox: Inbox::default(), unsent: Vec::new(), gone: false })
    }

    /// Waits for the specification.
    fn first(&mut self) -> io::Result<Spec> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            if let Some(Order::Start(spec)) = self.inbox.pop()? {
                self.stream.set_nonblocking(true)?;
                return Ok(*spec);
            }
            let length = (&self.stream).read(&mut piece)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.push(piece.get(..length).unwrap_or_default());
        }
    }

    /// What was asked since the last look.
    pub(super) fn asked(&mut self) -> Option<Asked> {
        let mut piece = [0; 1024];
        let mut cancel = false;
        while !self.gone {
            match (&self.stream).read(&mut piece) {
                Ok(0) => self.gone = true,
                Ok(length) => self.inbox.push(piece.get(..length).unwrap_or_default()),
                Err(error) if is_patient(&error) => break,
                Err(_) => self.gone = true,
            }
        }
        while let Ok(Some(order)) = self.inbox.pop() {
            cancel |= matches!(order, Order::Cancel);
        }
        match (self.gone, cancel) {
            (true, _) => Some(Asked::Gone),
            (false, true) => Some(Asked::Cancel),
            (false, false) => None,
        }
    }

    /// What to wait on for the next order; nothing once the daemon is gone, since a closed channel
    /// never rests.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'_>> {
        (!self.gone).then(|| self.stream.as_fd())
    }

    /// Says something if nothing said earlier still waits to be heard.
    pub(super) fn say(&mut self, word: &Word) {
        if self.unsent.is_empty()
            && let Ok(framed) = frame(word)
        {
            self.unsent = framed;
        }
        while !self.gone && !self.unsent.is_empty() {
            match (&self.stream).write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The daemon's death is noticed where orders are read.
                Err(_) => return,
            }
        }
    }

    /// The last word.
    fn farewell(mut self, word: &Word) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_write_timeout(Some(FAREWELL))?;
        self.unsent.extend(frame(word)?);
        self.stream.write_all(&self.unsent)
    }
}

/// Whether a descriptor that does not block just has nothing to do.
pub(super) fn is_patient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The clock of all deadlines.
pub(super) fn now() -> Duration {
    // Cannot fail for this clock; zero would only make a deadline later.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

/// The time of day, for what people read.
pub(super) fn wall_clock() -> Timestamp {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default();
    Timestamp(i64::try_from(now.as_millis()).unwrap_or_default())
}
