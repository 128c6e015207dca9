//! Answers as a broken or hostile server would give them.

pub(super) use crate::http::fuzz::{target, target_of};
