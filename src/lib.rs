//! The half of crosswatch that touches the world; see `ARCHITECTURE.md` for the house.

pub mod board;
pub mod ci;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod forge;
pub mod hooks;
pub mod http;
pub mod ledger;
pub mod pass;
pub mod report;
pub mod store;
pub mod supervise;
pub mod task;
pub mod watch;
pub mod web;
pub mod workspace;
