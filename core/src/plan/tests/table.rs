//! The rules of changes, one by one: each with its sentence, and rows that hold it and that go beyond it.
//!
//! A row is `what it shows | repositories | steps`. Repositories begin watched, with nothing open; with
//! `*` in front the first look is still to come. Steps stand between `;`:
//!
//! ```text
//! a#1>b#2,c#3        opens a#1, or pushes to it, with these dependencies
//! +30 a#1 b#2        30 seconds later one pass triggers exactly these; `+30 ~` triggers whatever it does
//! ! a#1              the same for a pass now that triggers nothing and one 90 seconds later
//! a#1 is held: Draft a#1 set c#3 b#2 a#1    a#1 says WORDS    a#1 silent    a#1 reason WORDS
//! a#1 was Idle Epoch a#1 because WORDS    how it was triggered last, and the whole reason of that
//! o/a@1              the entry of a merge queue that ends with o/a#1; the same may be asked of it
//! VERB …             what happens to the world, see `World::happens`
//! ```

mod building;
mod queueing;
mod resolving;
mod trusting;
mod watching;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::play::Play;

/// A sentence of the rules with its rows.
pub(super) struct Rule {
    /// What it is called in a failure.
    pub(super) name: &'static str,
    /// As it stands in the rules.
    pub(super) sentence: &'static str,
    /// One that holds it at least, and one that is beyond it.
    pub(super) rows: &'static [&'static str],
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    let watched = watching::RULES.iter().chain(trusting::RULES).chain(resolving::RULES);
    watched.chain(building::RULES).chain(queueing::RULES)
}

#[test]
fn every_row_holds() {
    let mut failures = Vec::new();
    for rule in rules() {
        for row in rule.rows {
            let played = catch_unwind(AssertUnwindSafe(|| Play::row(row)));
            let failure = match played {
                Ok(Ok(())) => continue,
                Ok(Err(why)) => why,
                Err(_) => "it panicked, see above".to_owned(),
            };
            failures.push(format!("{} ({}):\n  {row}\n  {failure}", rule.name, rule.sentence));
        }
    }
    assert!(failures.is_empty(), "{} rows fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn each_rule_has_a_row_and_a_counter_example() {
    for rule in rules() {
        assert!(rule.rows.len() > 1, "{} needs a counter-example", rule.name);
        assert!(rule.sentence.len() > 20, "{} names no sentence", rule.name);
    }
    let rows: usize = rules().map(|rule| rule.rows.len()).sum();
    assert!(rows >= 250, "{rows} rows");
}
