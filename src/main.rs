//! The program: a keeper of one run, or the command line.

use std::process::ExitCode;

use crosswatch::supervise;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|arg| arg == supervise::KEEPER) {
        return supervise::keeper::main();
    }
    ExitCode::FAILURE
}
