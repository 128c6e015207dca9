//! Watches over one command: deadlines, limits and output while it runs, and its end.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{ChildStderr, ChildStdout};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

pub(super) use super::launch::Start;

use super::cgroup::Group;
use super::descendants::{Death, Stat, Waited, below_self, kill_all, signal, wait_for_one};
use super::keeper::{Asked, Control, is_patient, now};
use super::launch::Launched;
use super::run::{Exceeded, Outcome, Resource};
use super::sink::Sink;
use super::usage::{Disk, Sampler};
use super::wire::{Report, Spec, Usage, Word};

/// How long a killed process may take to go before the run is called unkillable.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long output may be awaited after the last process is gone.
const DRAIN: Duration = Duration::from_millis(300);
/// The grace when the daemon is gone: a new one may already wait for the lock.
const ORPHAN_GRACE: Duration = Duration::from_millis(500);
/// The daemon hears at most this often how it goes.
const OFTEN: Duration = Duration::from_millis(200);
/// And at least this often, or it takes the keeper for one that was stopped.
const SELDOM: Duration = Duration::from_secs(1);

/// Why watching stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Exited,
    Late(Exceeded),
    Over(Resource),
    OutOfMemory,
    Asked(Asked),
}

/// The keeper's view of its run.
pub(super) struct Guard<'a> {
    spec: &'a Spec,
    control: &'a mut Control,
    signals: &'a SignalFd,
    sink: Sink,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    group: Option<Group>,
    leader: Pid,
    /// How the command itself ended.
    ended: Option<Outcome>,
    started: Duration,
    heard: Duration,
    output: u64,
    said: Duration,
    sampler: Sampler,
    disk: Option<Disk>,
    buffer: Vec<u8>,
}

impl<'a> Guard<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        launched: Launched,
        control: &'a mut Control,
        signals: &'a SignalFd,
    ) -> Self {
        let Launched { leader, stdout, stderr, sink, group } = launched;
        control.say(&Word::Started { pid: leader.as_raw() });
        Self {
            spec,
            control,
            signals,
            sink,
            stdout,
            stderr,
            group,
            leader,
            ended: None,
            started: now(),
            heard: now(),
            output: 0,
            said: now(),
            sampler: Sampler::default(),
            disk: spec.limits.disk.map(|_| Disk::new(spec.dir.clone())),
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Watches until the run has to end, and ends it.
    pub(super) fn keep(mut self) -> Report {
        let cause = self.watch();
        let outcome = self.end(cause);
        self.drain();
        let outcome = match &self.group {
            // A part of the run was killed, whatever the rest made of it.
            Some(group) if group.ran_out_of_memory() => Outcome::OutOfMemory,
            _ => outcome,
        };
        self.sink.note(&format!("crosswatch: {outcome}"));
        self.sink.finish();
        if let Some(group) = &self.group {
            group.remove();
        }
        Report {
            outcome,
            tail: self.sink.tail(),
            stdout_truncated: self.sink.truncated,
            trouble: self.sink.log_error.take().into_iter().collect(),
        }
    }

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
            if let Some(cause) = self.over() {
                return cause;
            }
            let next = silence.map_or(wall, |silence| silence.min(wall));
            self.turn(next.saturating_sub(at).min(OFTEN));
            if let Some(asked) = self.control.asked() {
                return Cause::Asked(asked);
            }
        }
    }

    /// What the run uses, told to the daemon as well: that the keeper is well.
    fn usage(&mut self) -> Usage {
        let usage = Usage { output: self.output, ..self.sampler.look(&self.spec.limits) };
        if now().saturating_sub(self.said) >= SELDOM {
            self.said = now();
            self.control.say(&Word::Progress(usage));
        }
        usage
    }

    /// Which limit the run is over.
    fn over(&mut self) -> Option<Cause> {
        let limits = self.spec.limits;
        let usage = self.usage();
        let group = self.group.as_ref();
        let held = group.is_some_and(Group::holds_memory);
        if !held && limits.memory.is_some_and(|limit| usage.memory > limit) {
            return Some(Cause::OutOfMemory);
        }
        let held = group.is_some_and(Group::holds_processes);
        if !held && limits.processes.is_some_and(|limit| usage.processes > limit) {
            return Some(Cause::Over(Resource::Processes));
        }
        if limits.log_end && self.sink.full() {
            return Some(Cause::Over(Resource::Output));
        }
        let disk = self.disk.as_mut().zip(limits.disk);
        disk.is_some_and(|(disk, limit)| disk.over(limit)).then_some(Cause::Over(Resource::Disk))
    }

    /// Ends whatever is left: TERM and grace, then KILL until nothing is there.
    fn end(&mut self, cause: Cause) -> Outcome {
        let mut grace = self.spec.limits.grace.to_std();
        if cause == Cause::Asked(Asked::Gone) {
            grace = grace.min(ORPHAN_GRACE);
        }
        if self.lives() {
            for pid in self.everybody() {
                signal(pid, Signal::SIGTERM);
                // A stopped process would never see the TERM.
                signal(pid, Signal::SIGCONT);
            }
        }
        let mut end = now().saturating_add(grace);
        while self.lives() && now() < end {
            self.turn(end.saturating_sub(now()).min(Duration::from_millis(50)));
            self.usage();
            if self.control.asked() == Some(Asked::Gone) {
                end = end.min(now().saturating_add(ORPHAN_GRACE));
            }
        }
        let end = now().saturating_add(KILL_PATIENCE);
        while self.lives() {
            if now() >= end
                && let Some(outcome) = self.unkillable()
            {
                return outcome;
            }
            if let Some(group) = &self.group {
                group.kill();
            }
            kill_all(below_self);
            self.turn(Duration::from_millis(10));
            self.usage();
        }
        match cause {
            Cause::Late(exceeded) => Outcome::TimedOut(exceeded),
            Cause::Over(resource) => Outcome::OverLimit(resource),
            Cause::OutOfMemory => Outcome::OutOfMemory,
            Cause::Asked(_) => Outcome::Cancelled,
            Cause::Exited => self.ended.take().unwrap_or(Outcome::KeeperLost),
        }
    }

    /// Who does not go although it was killed.
    fn unkillable(&self) -> Option<Outcome> {
        let (pid, stat) = self
            .everybody()
            .into_iter()
            .filter_map(|pid| Some((pid.as_raw(), Stat::of(pid.as_raw())?)))
            .find(|(_, stat)| !matches!(stat.state, 'Z' | 'X'))?;
        let wchan = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        let wchan = match wchan.trim() {
            "" | "0" => "a place that the kernel does not tell".to_owned(),
            place => place.chars().filter(|c| c.is_ascii_graphic()).take(64).collect(),
        };
        Some(Outcome::Unkillable { pid, state: stat.state, wchan })
    }

    /// Takes what was written last; who else holds the pipe cannot hold up the end.
    fn drain(&mut self) {
        let end = now().saturating_add(DRAIN);
        while (self.stdout.is_some() || self.stderr.is_some()) && now() < end {
            self.turn(Duration::from_millis(20));
        }
    }

    /// Whether a process of the run is left.
    fn lives(&mut self) -> bool {
        self.reap() || self.group.as_ref().is_some_and(Group::populated)
    }

    fn everybody(&self) -> BTreeSet<Pid> {
        let mut everybody = below_self();
        everybody.extend(self.group.iter().flat_map(Group::members));
        everybody
    }

    /// Waits for something to happen and takes the output that is there, fairly.
    fn turn(&mut self, timeout: Duration) {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.control.readable().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        fds.extend(self.stdout.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.stderr.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        // Rounded up, so that the last millisecond before a deadline is not spent turning.
        let timeout = timeout.saturating_add(Duration::from_micros(999));
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::from(60_000_u16));
        poll(&mut fds, timeout).ok();
        drop(fds);
        while let Ok(Some(_)) = self.signals.read_signal() {}
        // Called often enough that the time it asks for does not matter.
        self.sink.tick(now());
        for standard in [true, false] {
            let read = match standard {
                true => self.stdout.as_mut().map(|pipe| pipe.read(&mut self.buffer)),
                false => self.stderr.as_mut().map(|pipe| pipe.read(&mut self.buffer)),
            };
            match read {
                None => {}
                Some(Ok(length)) if length > 0 => {
                    self.heard = now();
                    let length = u64::try_from(length).unwrap_or_default();
                    self.output = self.output.saturating_add(length);
                    let bytes = self.buffer.get(..usize::try_from(length).unwrap_or_default());
                    let bytes = bytes.unwrap_or_default();
                    if standard { self.sink.stdout(bytes) } else { self.sink.stderr(bytes) }
                }
                Some(Err(error)) if is_patient(&error) => {}
                Some(_) if standard => self.stdout = None,
                Some(_) => self.stderr = None,
            }
        }
    }

    /// Waits for every dead child; whether a living one is left.
    fn reap(&mut self) -> bool {
        loop {
            match wait_for_one() {
                Waited::Alive => return true,
                Waited::None => return false,
                Waited::Dead(pid, death) if pid == self.leader => {
                    self.ended = Some(match death {
                        Death::Exited(code) => Outcome::Finished(code),
                        Death::Signalled(signal) => Outcome::Signalled(signal),
                    });
                }
                Waited::Dead(..) => {}
            }
        }
    }
}
