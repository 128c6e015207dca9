//! The ledger: one conformance suite on both databases, and what only a file can go through.

mod conformance;
mod file;
mod leap;
mod migration;
mod plans;
mod simulation;
