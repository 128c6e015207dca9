//! Runs every program once for each user and keeps what came of it for the programs' tests.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

use crosswatch::clock::Clock;
use crosswatch_core::model::time::{Span, Timestamp};
use serde_json::Value;

use super::stage::{Stage, recorded, shown};
use super::traces::{Noted, Snapshot, uptime};
use super::{Check, End, Needs, Next, Piece, Who, floods, of};

/// Beyond deadline and grace, in milliseconds, where the machine has a core for the daemon.
const SLACK: u64 = 2000;
/// A verdict is not awaited longer than this.
const PATIENCE: Span = Span::minutes(2);
/// No run's log is larger; what runs say beyond their limit is dropped.
const LARGEST_LOG: u64 = 4 << 20;

type Verdicts = BTreeMap<&'static str, Verdict>;

#[derive(Clone, Debug)]
enum Verdict {
    Good,
    Skipped(&'static str),
    Bad(String),
}

/// Fails unless the program was ended as it has to be.
pub(super) fn verdict(who: Who, name: &str) {
    static PLAYED: [OnceLock<Verdicts>; 3] = [const { OnceLock::new() }; 3];
    let verdicts = PLAYED[who as usize].get_or_init(|| play(who));
    match verdicts.get(name).expect("every program has a verdict") {
        Verdict::Good => {}
        Verdict::Skipped(why) => {
            // Past the capture of the test's output: what was not tested has to be seen.
            writeln!(std::io::stderr(), "skipped: {name} ({who:?}): {why}").ok();
        }
        Verdict::Bad(why) => assert!(why.is_empty(), "{name} ({who:?}): {why}"),
    }
}

fn play(who: Who) -> Verdicts {
    let selected = selected(who);
    let mut verdicts = Verdicts::new();
    let mut pieces = Vec::new();
    for piece in selected {
        match skipped(piece, who) {
            Some(why) => drop(verdicts.insert(piece.name, Verdict::Skipped(why))),
            None => pieces.push(piece),
        }
    }
    // Crowds apart: thousands of processes slow down whoever has to look at all of them.
    let crowd = |piece: &&'static Piece| floods::PIECES.iter().any(|one| one.name == piece.name);
    let (crowds, others): (Vec<&'static Piece>, Vec<&'static Piece>) =
        pieces.into_iter().partition(crowd);
    // And each under a limit of processes for itself: the kernel counts those of a user, not of a run.
    let (limited, crowds): (Vec<_>, Vec<_>) =
        crowds.into_iter().partition(|piece| piece.keys.contains("processes"));
    let acts = [others, crowds].into_iter().chain(limited.into_iter().map(|piece| vec![piece]));
    for pieces in acts {
        let names: Vec<_> = pieces.iter().map(|piece| piece.name).collect();
        let played = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(perform(who, pieces))
        });
        let closed = || Verdict::Bad("the gallery did not open".to_owned());
        let played =
            played.unwrap_or_else(|_| names.iter().map(|name| (*name, closed())).collect());
        verdicts.extend(played);
    }
    verdicts
}

/// The programs that tests were asked for.
fn selected(who: Who) -> Vec<&'static Piece> {
    let arguments: Vec<String> = std::env::args().collect();
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let named = |piece: &&Piece| {
        let end = format!("::{}", piece.name);
        !exact || arguments.iter().any(|argument| argument.ends_with(&end))
    };
    of(who).filter(named).collect()
}

fn skipped(piece: &Piece, who: Who) -> Option<&'static str> {
    let root = nix::unistd::geteuid().is_root();
    if who == Who::OrdinaryUser && !root {
        return Some("the tests run as an ordinary user anyway");
    }
    let ordinary = !root || who == Who::OrdinaryUser;
    piece.needs.iter().find_map(|needs| match needs {
        // Root is held by the controller `pids` alone, which runs get where the daemon is alone in
        // its own control group.
        Needs::OrdinaryUser => (!ordinary).then_some("only as an ordinary user"),
        Needs::Ssh => {
            (!super::stage::installed("ssh")).then_some("there is no `ssh` on this machine")
        }
    })
}

/// Where a program is on its way.
enum Act {
    Waits,
    /// No process of it may be there at `due`, in the system's time.
    Runs {
        due: u64,
    },
    Ended {
        ordered: Timestamp,
    },
    Over(Verdict),
}

struct Player {
    piece: &'static Piece,
    act: Act,
    notes: Vec<Noted>,
}

async fn perform(who: Who, pieces: Vec<&'static Piece>) -> Verdicts {
    if pieces.is_empty() {
        return Verdicts::new();
    }
    let stage = Stage::open(who, &pieces).await;
    let clock = Clock::system();
    let end = clock.now() + PATIENCE;
    let mut players: Vec<Player> = pieces
        .into_iter()
        .map(|piece| Player { piece, act: Act::Waits, notes: Vec::new() })
        .collect();
    while players.iter().any(|player| !matches!(player.act, Act::Over(_))) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let workspaces = stage.workspaces();
        let mut snapshot = None;
        for player in &mut players {
            let Some(status) = workspaces.get(player.piece.name) else { continue };
            player.step(&stage, status, &mut snapshot, clock.now());
        }
        if clock.now() > end || workspaces.is_empty() {
            let log = stage.site.log();
            for player in &mut players {
                player.give_up(workspaces.get(player.piece.name), &log);
            }
        }
    }
    players
        .into_iter()
        .filter_map(|player| match player.act {
            Act::Over(verdict) => Some((player.piece.name, verdict)),
            _ => None,
        })
        .collect()
}

impl Player {
    fn step(
        &mut self,
        stage: &Stage,
        status: &Value,
        snapshot: &mut Option<Snapshot>,
        now: Timestamp,
    ) {
        match self.act {
            Act::Over(_) => {}
            Act::Waits => {
                if let Some(first) = Noted::read(&stage.notes(self.piece.name)).first() {
                    let limit = self.piece.limit() + Stage::GRACE;
                    self.act = Act::Runs { due: first.started() + limit };
                }
            }
            Act::Runs { due } => {
                let ended = ended(status);
                let late = uptime() > due + slack();
                if !ended && !late {
                    return;
                }
                self.notes = Noted::read(&stage.notes(self.piece.name));
                let marker = stage.marker(self.piece.name);
                let snapshot = snapshot.get_or_insert_with(Snapshot::take);
                let left = snapshot.of(&marker, &self.notes, stage.daemon.id());
                if !left.is_empty() {
                    if late {
                        let shown: Vec<&String> = left.iter().take(5).collect();
                        self.bad(format!(
                            "{} of its processes live on after deadline and grace; {status}\n{shown:#?}",
                            left.len()
                        ));
                    }
                    return;
                }
                if ended {
                    match self.judge(stage, status) {
                        Ok(()) if stage.again(self.piece) => {
                            self.act = Act::Ended { ordered: now };
                        }
                        Ok(()) => self.bad("the daemon refuses to run it again".to_owned()),
                        Err(why) => self.bad(why),
                    }
                } else if uptime() > due + slack() + 10_000 {
                    self.bad(format!("its end is not recorded: {status}"));
                }
            }
            Act::Ended { ordered } => {
                if stage.is_good(self.piece.name) && status["phase"] == "ready" {
                    let checked = self.check_next(stage);
                    self.act = Act::Over(checked.map_or_else(Verdict::Bad, |()| Verdict::Good));
                } else if now > ordered + Span::seconds(20) {
                    self.bad(format!("the next update did not work: {status}"));
                } else if self.crowded() && ended(status) {
                    // An order that is refused now is given again with the next look.
                    stage.again(self.piece);
                }
            }
        }
    }

    /// The kernel counts processes of a user and not of a run: without the controller `pids` a
    /// well-behaved run under such a limit may meet it because of the others.
    fn crowded(&self) -> bool {
        self.piece.keys.contains("processes")
    }

    fn bad(&mut self, why: String) {
        self.act = Act::Over(Verdict::Bad(why));
    }

    fn give_up(&mut self, status: Option<&Value>, log: &str) {
        let what = match self.act {
            Act::Over(_) => return,
            Act::Waits => "it did not begin",
            Act::Runs { .. } => "it did not end",
            Act::Ended { .. } => "it did not run again",
        };
        let status = status.map(Value::to_string).unwrap_or_default();
        let skip = log.len().saturating_sub(4000);
        let log = String::from_utf8_lossy(&log.as_bytes()[skip..]).into_owned();
        self.bad(format!("{what}: {status}\n{log}"));
    }

    fn judge(&self, stage: &Stage, status: &Value) -> Result<(), String> {
        let failure = status["failure"].as_str().unwrap_or_default();
        let outcome = stage.outcome(self.piece.name);
        let right = |end: &End| shown(*end, failure) && recorded(*end) == outcome;
        if !self.piece.end.iter().any(right) {
            let expected = self.piece.end;
            return Err(format!("its end is {outcome}, `{failure}`, and not {expected:?}"));
        }
        match self.piece.check {
            Check::BoundedLog => {
                let size = stage.size_of_logs(self.piece.name);
                let peak = stage.peak_of_daemon();
                if size == 0 || size > LARGEST_LOG || peak > 1 << 30 {
                    return Err(format!("{size} bytes of log, {peak} bytes of memory"));
                }
            }
            Check::CleanTail => {
                let shown = status["tail"].as_array().cloned().unwrap_or_default();
                let text: String = shown.iter().filter_map(Value::as_str).collect();
                let control = |c: char| c.is_control() && c != '\n' && c != '\t';
                if !text.contains("red") || text.chars().any(control) {
                    return Err(format!("its output is shown as {text:?}"));
                }
            }
            Check::Nothing | Check::ElsewhereUntouched => {}
        }
        Ok(())
    }

    fn check_next(&self, stage: &Stage) -> Result<(), String> {
        if self.piece.check == Check::ElsewhereUntouched && !stage.elsewhere_is_untouched() {
            return Err("what the link points at was changed".to_owned());
        }
        Ok(())
    }
}

impl Piece {
    /// After this many milliseconds it is ended at the latest.
    fn limit(&self) -> u64 {
        let silence = self.silence.filter(|_| self.end == [End::Silence]);
        // Of the table's own spellings.
        let silence = silence.map(|text| match text {
            "1s" => 1000,
            _ => 1500,
        });
        silence.unwrap_or(u64::from(self.timeout))
    }

    /// Whether the workspace has to be made anew after it.
    pub(super) fn fresh(&self) -> bool {
        self.next == Next::Fresh
    }
}

/// How late the machine may make everything: a busy one lets whoever has to end a run wait.
fn slack() -> u64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    (SLACK as f64 * (load / cores).clamp(1.0, 5.0)) as u64
}

fn ended(status: &Value) -> bool {
    match status["phase"].as_str() {
        Some("ready") => true,
        Some("failed") => status["failure"].is_string(),
        _ => false,
    }
}
