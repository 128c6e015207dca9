//! The escape gallery: small hostile programs, each run as an update of a real daemon.
//!
//! After its deadline and its grace no process of a program exists, its run's recorded end is the
//! right one, and the next update works. One daemon with all programs runs for each [`Who`], and
//! each program has a test of its own, which reads its verdict; with `--exact` the daemon gets that
//! program alone. `fails_against` names the patch in `tests/planted` that makes a program escape.
//!
//! Every process of a program ends by itself after a minute and signals nobody but its own tree and
//! the keeper of its run, whatever the daemon does. What cannot be here is a program that kills all
//! processes of its user: where daemon and runs share one it would end the daemon, too.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]

mod files;
mod floods;
mod guardian;
mod holds;
mod leaves;
mod stage;
mod traces;
mod verdicts;

use verdicts::verdict;

/// A program, and what has to become of it.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    name: &'static str,
    does: Does,
    /// The run's recorded end is one of these.
    end: &'static [End],
    /// Its deadline in milliseconds.
    timeout: u32,
    silence: Option<&'static str>,
    /// More keys of the step.
    keys: &'static str,
    needs: &'static [Needs],
    next: Next,
    check: Check,
    fails_against: &'static str,
}

const PIECE: Piece = Piece {
    name: "",
    does: Does::Python(""),
    end: &[End::Wall],
    timeout: 2000,
    silence: None,
    keys: "",
    needs: &[],
    next: Next::Update,
    check: Check::Nothing,
    fails_against: "",
};

/// What runs.
#[derive(Clone, Copy)]
enum Does {
    /// A script, after `programs/prelude.py`.
    Python(&'static str),
    /// A mode of `programs/crowd.c`.
    Crowd(&'static str),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Code(i32),
    /// With 0, but there is no manifest that can be believed.
    NoManifest,
    /// With 0, but the folder of the workspace is no longer there.
    FolderGone,
    Signal(i32),
    Wall,
    Silence,
    Memory,
    Processes,
    Disk,
    Output,
    KeeperLost,
}

/// What a program needs to be worth running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    OrdinaryUser,
    Ssh,
}

/// What brings the workspace back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Update,
    /// Its folder is gone, so that it is bootstrapped anew.
    Fresh,
}

/// What else has to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    BoundedLog,
    CleanTail,
    ElsewhereUntouched,
}

/// As whom the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    ThisUser,
    /// Where the tests run as root.
    OrdinaryUser,
    WithoutCgroup,
}

fn all() -> impl Iterator<Item = &'static Piece> {
    let groups = [leaves::PIECES, guardian::PIECES, floods::PIECES, holds::PIECES, files::PIECES];
    groups.into_iter().flatten()
}

fn of(who: Who) -> impl Iterator<Item = &'static Piece> {
    all().filter(move |piece| {
        who != Who::WithoutCgroup || guardian::PIECES.iter().any(|one| one.name == piece.name)
    })
}

/// A table of programs, with a test for each and for each user.
macro_rules! pieces {
    (without_a_cgroup; $($name:ident: $piece:expr,)*) => {
        mod without_a_cgroup {
            $(#[test] fn $name() {
                crate::gallery::verdict(crate::gallery::Who::WithoutCgroup, stringify!($name));
            })*
        }
        pieces! { $($name: $piece,)* }
    };
    ($($name:ident: $piece:expr,)*) => {
        pub(super) const PIECES: &[Piece] =
            &[$(Piece { name: stringify!($name), ..$piece }),*];
        mod as_this_user {
            $(#[test] fn $name() {
                crate::gallery::verdict(crate::gallery::Who::ThisUser, stringify!($name));
            })*
        }
        mod as_an_ordinary_user {
            $(#[test] fn $name() {
                crate::gallery::verdict(crate::gallery::Who::OrdinaryUser, stringify!($name));
            })*
        }
    };
}
use pieces;

#[test]
fn every_program_fails_against_a_planted_weakness() {
    assert!(all().count() >= 30);
    let planted = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted");
    for piece in all() {
        let patch = planted.join(format!("{}.patch", piece.fails_against));
        assert!(patch.is_file(), "{}: there is no {}", piece.name, patch.display());
    }
}
