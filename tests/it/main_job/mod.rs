//! The main job, end to end: the built program, real git, real builds.

mod builds;
mod crash;
mod isolation;
mod sharing;
mod wakes;
