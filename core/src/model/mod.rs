//! The words that every other module speaks in.

pub mod branches;
pub mod build;
pub mod candidate;
pub mod change;
pub mod common;
pub mod fingerprint;
pub mod identity;
pub mod leap;
pub mod ledger_view;
pub mod locator;
pub mod made_of;
pub mod manifest;
pub mod observed;
pub mod part;
pub mod parts;
pub mod paths;
pub mod plan;
pub mod question;
pub mod queue;
pub mod report;
pub mod run;
pub mod saved;
pub mod settings;
mod shown;
pub mod size;
pub mod snapshot;
pub mod time;
