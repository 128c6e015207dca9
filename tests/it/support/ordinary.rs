//! Programs as a user who is not root, whoever runs the tests.

use std::path::Path;
use std::process::Command;

/// `nobody`, on every system that has one.
const ORDINARY: u32 = 65_534;

/// A command that runs `program` as an ordinary user: as this one, unless that is root.
#[expect(clippy::disallowed_methods, reason = "tests start programs themselves")]
pub fn command(program: impl AsRef<Path>) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program.as_ref());
    }
    let mut command = Command::new("setpriv");
    let user = ORDINARY.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
    command.arg(program.as_ref());
    command
}

/// Gives everything below `folder` to that user.
pub fn give(folder: &Path) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (user, group) = (Some(ORDINARY.into()), Some(ORDINARY.into()));
    nix::unistd::chown(folder, user, group).expect("root gives away");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            give(&path);
        } else {
            nix::unistd::chown(&path, user, group).expect("root gives away");
        }
    }
}

/// Whether that user may run the program at all; a target folder in a private home is not for it.
pub fn may_run(program: &Path) -> bool {
    let may = command("test").arg("-x").arg(program).status();
    may.is_ok_and(|status| status.success())
}
