//! The deciding half of crosswatch.
//!
//! Everything here is a pure function of its arguments: no file, socket, process, clock or
//! randomness. Time enters as [`model::time::Timestamp`], the world as a [`model::snapshot::Snapshot`]
//! and the memory of what was triggered as a [`model::ledger_view::LedgerView`].

pub mod control;
pub mod manifest;
pub mod model;
pub mod moving;
pub mod plan;
pub mod references;
pub mod spelling;
