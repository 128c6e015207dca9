//! The parent of a daemon: a tiny process that outlives nothing and lets nothing outlive it.
//!
//! ```text
//! crosswatch run            starts …  then becomes (by exec) … and waits
//!   └─ crosswatch __daemon                     __parent: no secrets, no environment
//!        └─ crosswatch __keeper
//!             └─ command ─► descendants
//! ```
//!
//! It is a subreaper: what a killed keeper leaves is handed to it by the kernel and killed. So the
//! daemon itself never waits for processes that it did not start, and the parent is a proper first
//! process of a container too.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpid, getppid};

use super::descendants::{Death, Waited, below, children, kill_all, signal, wait_for_one};
use super::keeper::now;

/// The first argument that makes this program the parent of a daemon, followed by the process ids
/// of the daemon and of children that it had before, which are nobody's strays.
pub const PARENT: &str = "__parent";
/// The first argument that makes this program a daemon, followed by its parent's process id and the
/// arguments of `crosswatch`.
pub const DAEMON: &str = "__daemon";

/// How often it looks for strays; the daemon also says when to look.
const PERIOD: Duration = Duration::from_secs(1);
/// How long keepers may take to end their runs after the daemon's death.
const KEEPERS: Duration = Duration::from_millis(1200);
/// How long killed processes may take to go before they are left to the system.
const KILLED: Duration = Duration::from_secs(5);

/// Starts a daemon with these arguments and becomes its parent. Returns only if that fails.
#[expect(clippy::disallowed_methods, reason = "the daemon is the process that is started here")]
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    let before = children(getpid().as_raw());
    let started = || -> io::Result<u32> {
        prctl::set_child_subreaper(true)?;
        let mut daemon = Command::new("/proc/self/exe");
        daemon.arg0("crosswatch").arg(DAEMON).arg(getpid().to_string()).args(arguments);
        // systemd means the process that it started itself; the daemon answers in its place.
        daemon.env_remove("WATCHDOG_PID");
        Ok(daemon.spawn()?.id())
    };
    match started() {
        // The new image has neither the environment nor the memory of this one.
        Ok(pid) => Command::new("/proc/self/exe")
            .arg0("crosswatch")
            .args([PARENT, &pid.to_string()])
            .args(before.iter().map(i32::to_string))
            .env_clear()
            .exec(),
        Err(error) => error,
    }
}

/// Ties a daemon to its parent: without it nobody would catch what a killed keeper leaves.
pub fn bind(parent: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // One that died before the line above is never heard of.
    if getppid() != parent {
        return Err(io::Error::other("its parent process is gone"));
    }
    Ok(())
}

/// Processes below the parent of this daemon that nobody guards; none without such a parent.
pub(super) fn strays() -> BTreeSet<Pid> {
    let parent = getppid();
    let line = std::fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).filter_map(|word| str::from_utf8(word).ok());
    match words.nth(1) {
        Some(PARENT) => below(parent, &pids(words)),
        _ => BTreeSet::new(),
    }
}

fn pids<S: AsRef<str>>(words: impl Iterator<Item = S>) -> BTreeSet<Pid> {
    words.filter_map(|word| word.as_ref().parse().ok().map(Pid::from_raw)).collect()
}

/// Waits for the daemon that the first argument names, and ends with its code.
pub fn main() -> ExitCode {
    let daemon = std::env::args().nth(2).and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
    let known = pids(std::env::args().skip(2));
    let watched =
        daemon.ok_or(io::ErrorKind::InvalidInput.into()).and_then(|pid| watch(pid, known));
    match watched {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("crosswatch: the daemon cannot be watched: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch(daemon: Pid, mut known: BTreeSet<Pid>) -> io::Result<u8> {
    prctl::set_child_subreaper(true)?;
    prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let code = loop {
        if let Some(code) = reap(daemon) {
            break code;
        }
        if strangers(&known) {
            kill_all(|| below(getpid(), &known));
        }
        wait(&signals, PERIOD, |signalled| signal(daemon, signalled));
    };
    known.remove(&daemon);
    // Keepers end their runs by themselves now, in their own order; what else is there is killed.
    let end = now().saturating_add(KEEPERS);
    while now() < end && left(&known) {
        wait(&signals, Duration::from_millis(20), |_| {});
    }
    let end = now().saturating_add(KILLED);
    while now() < end && left(&known) {
        kill_all(|| below(getpid(), &known));
        wait(&signals, Duration::from_millis(20), |_| {});
    }
    Ok(code)
}

/// Waits for a signal or the end of `most`, and hands on what is for the daemon.
fn wait(signals: &SignalFd, most: Duration, hand_on: impl Fn(Signal)) {
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    let most = PollTimeout::try_from(most).unwrap_or(PollTimeout::from(1_000_u16));
    poll(&mut fds, most).ok();
    while let Ok(Some(info)) = signals.read_signal() {
        let number = i32::try_from(info.ssi_signo).unwrap_or_default();
        if let Ok(signal) = Signal::try_from(number)
            && signal != Signal::SIGCHLD
        {
            hand_on(signal);
        }
    }
}

/// Waits for every dead child; the exit code of the daemon if it was among them.
fn reap(daemon: Pid) -> Option<u8> {
    let mut code = None;
    while let Waited::Dead(pid, death) = wait_for_one() {
        if pid == daemon {
            // As a shell says it: 128 and the signal.
            let ended = match death {
                Death::Exited(code) => code,
                Death::Signalled(signal) => signal.saturating_add(128),
            };
            code = Some(u8::try_from(ended).unwrap_or(u8::MAX));
        }
    }
    code
}

/// Reaps, and says whether a child is left that is not known.
fn left(known: &BTreeSet<Pid>) -> bool {
    reap(Pid::from_raw(0));
    strangers(known)
}

fn strangers(known: &BTreeSet<Pid>) -> bool {
    children(getpid().as_raw()).iter().any(|child| !known.contains(&Pid::from_raw(*child)))
}
