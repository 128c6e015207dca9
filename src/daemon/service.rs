//! Signals, and what systemd is told (`sd_notify(3)`). Without systemd nothing is told.

use crosswatch_core::model::time::Span;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::DaemonError;

/// What a signal means.
pub(super) enum Signal {
    /// TERM or INT.
    Stop,
    /// HUP.
    Reload,
}

/// The signals that the daemon listens to.
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
}

impl Signals {
    pub(super) fn new() -> Result<Self, DaemonError> {
        let listen =
            |kind| signal(kind).map_err(|error| DaemonError::Signals { why: error.to_string() });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}

/// The first pass is published, or a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon is ending.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A pass was made: the one sign of life that counts.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Passes are made at least this often, so that the watchdog is fed in time.
pub(super) fn longest_pass() -> Option<Span> {
    sd_notify::watchdog_enabled()
        .map(|period| Span(Span::from(period).0 / 3).min(Span::seconds(60)))
}
