//! Answers as a broken or hostile server would give them.

pub(super) use crate::fuzz::target;
