//! The whole daemon in miniature: the real planner and step functions in a world of two forges, a CI,
//! subprocesses, a clock and people, under faults that a seed decides.
//!
//! A case is a seed and the steps of it that are taken. Each step draws from its own source, so that
//! leaving one out changes no other; that is how a failing case shrinks.

#![expect(clippy::expect_used, reason = "a simulation that cannot go on fails")]

mod checks;
mod ci;
mod daemon;
mod git;
mod large;
mod ledger;
mod looking;
mod oracle;
mod random;
mod run;
mod sending;
mod settings;
mod shrink;
mod workspace;
mod world;

use std::fmt;

pub use large::Large;
pub use ledger::{Ledger, Marking, Memory, OpenRow};
pub use run::{Simulation, Taken};
pub use settings::Variant;
pub use shrink::shrunk;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the seed, which decides what it draws.
    pub index: u32,
    /// Nothing happens outside and nothing fails: the daemon works on, that is all.
    pub calm: bool,
}

/// What is simulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Decides everything.
    pub seed: u64,
    /// Steps that are taken, in this order.
    pub steps: Vec<Step>,
}

impl Case {
    /// All steps of a seed.
    pub fn whole(seed: u64, steps: u32) -> Self {
        Self { seed, steps: (0..steps).map(|index| Step { index, calm: false }).collect() }
    }
}

impl fmt::Display for Case {
    /// `SEED:STEP,STEP…`, ranges as `3-7`, and `c` behind a calm step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.seed)?;
        let mut rest = &self.steps[..];
        let mut first = true;
        while let Some(start) = rest.first() {
            let run = rest
                .iter()
                .zip(start.index..)
                .take_while(|(step, index)| step.index == *index && step.calm == start.calm)
                .count();
            let (taken, more) = rest.split_at(run);
            rest = more;
            let separator = if std::mem::take(&mut first) { "" } else { "," };
            let end = taken.last().unwrap_or(start).index;
            let calm = if start.calm { "c" } else { "" };
            if end == start.index {
                write!(f, "{separator}{end}{calm}")?;
            } else {
                write!(f, "{separator}{}-{end}{calm}", start.index)?;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not SEED or SEED:STEPS such as 7:0-3,9,12c");
        let (seed, parts) = text.split_once(':').ok_or_else(wrong)?;
        let mut case = Self { seed: seed.parse().map_err(|_| wrong())?, steps: Vec::new() };
        for part in parts.split(',').filter(|part| !part.is_empty()) {
            let (part, calm) = match part.strip_suffix('c') {
                Some(part) => (part, true),
                None => (part, false),
            };
            let (start, end) = part.split_once('-').unwrap_or((part, part));
            let start: u32 = start.parse().map_err(|_| wrong())?;
            let end: u32 = end.parse().map_err(|_| wrong())?;
            case.steps.extend((start..=end).map(|index| Step { index, calm }));
        }
        Ok(case)
    }
}
