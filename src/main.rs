//! The program: a keeper of one run, the parent of a daemon, or the command line.

use std::process::ExitCode;

use crosswatch::{cli, supervise};

/// The plans of a large installation are made anew again and again by changing threads. The allocator of
/// the C library keeps what each of them had; this one gives it back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Keepers and parents must be small and alone: they are told apart before anything is set up.
    match std::env::args_os().nth(1).as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(supervise::KEEPER) => supervise::keeper::main(),
        Some(supervise::parent::PARENT) => supervise::parent::main(),
        _ => cli::main(),
    }
}
