//! The program: a keeper of one run, or the command line.

use std::process::ExitCode;

use crosswatch::supervise;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|arg| arg == supervise::KEEPER) {
        return supervise::keeper::main();
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let once = std::env::args().any(|a| a == "--once");
    let config = std::env::args().last().unwrap_or_default().into();
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match rt.block_on(crosswatch::daemon::run(crosswatch::daemon::RunOptions {
        config,
        once,
        without_wakes: false,
    })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(e.exit_code())
        }
    }
}
