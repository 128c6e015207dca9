//! The program: a keeper of one run, or the command line.

use std::process::ExitCode;

use crosswatch::{cli, supervise};

fn main() -> ExitCode {
    // A keeper must be small and alone: it is told apart before anything else is set up.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == supervise::KEEPER) {
        return supervise::keeper::main();
    }
    cli::main()
}
