//! Workspaces: bootstrap and update as supervised subprocesses, and the manifest that they export.

mod candidate;
mod carry;
mod checkouts;
mod fence;
mod files;
mod folders;
mod history;
mod life;
mod manifest;
mod matching;
mod run;
mod saved;
mod slots;
mod stale;

pub use candidate::{CandidateLender, Candidates, Keep, Loan};
pub use fence::Held;
pub use life::{Life, Orders, Store, Surroundings};
pub use run::Lender;
pub use saved::{Saved, Suspicion};
pub use slots::Slots;
