//! The daemon's own decisions as step functions: `step(&mut State, Event, now) -> Vec<Effect>`.
//!
//! Asynchronous code carries effects out and brings back events; it decides nothing. So every
//! schedule, retry and limit can be tested, and simulated, with a clock that is a number.

pub mod absence;
pub mod backoff;
pub mod credentials;
pub mod governor;
pub mod hints;
pub mod leap;
pub mod lifecycle;
pub mod outbox;
pub mod polling;
pub mod renewal;
pub mod report;
pub mod slots;
pub mod suspicion;
