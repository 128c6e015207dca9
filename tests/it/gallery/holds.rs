//! Programs that wait for what never comes, or make others wait.

use super::{Does, End, Needs, PIECE, Piece, pieces};

const NO_KILL: &str = "23-no-kill-after-term";
const NO_SILENCE: &str = "31-silence-is-not-watched";
const END_OF_OUTPUT: &str = "32-the-end-of-output-is-awaited";
const LATE_EXIT: &str = "33-an-exit-after-the-deadline-counts";
const STALE_LOCKS: &str = "34-locks-of-killed-runs-stay";
const MAY_ASK: &str = "35-git-may-ask";
const TERMINAL: &str = "36-the-terminal-is-inherited";

pieces! {
    ignores_term: Piece {
        does: Does::Python("
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    time.sleep(0.05)
"),
        fails_against: NO_KILL,
        ..PIECE
    },
    closes_all_descriptors: Piece {
        does: Does::Python("
ignore()
os.closerange(0, 4096)
time.sleep(50)
"),
        fails_against: "37-the-end-of-output-is-the-end",
        ..PIECE
    },
    closes_all_descriptors_and_is_silent: Piece {
        does: Does::Python("
os.closerange(0, 4096)
time.sleep(50)
"),
        silence: Some("1s"),
        timeout: 20_000,
        end: &[End::Silence],
        fails_against: NO_SILENCE,
        ..PIECE
    },
    grandchild_holds_the_output: Piece {
        does: Does::Python("
spawn(lambda: spawn(hold, session=True), session=True)
noted(3)
"),
        timeout: 20_000,
        end: &[End::Code(0)],
        fails_against: END_OF_OUTPUT,
        ..PIECE
    },
    grandchild_talks_on: Piece {
        does: Does::Python("
def talk():
    ignore()
    while True:
        os.write(1, b'and on\\n' * 100)
        time.sleep(0.001)
spawn(lambda: spawn(talk, session=True), session=True)
noted(3)
sys.exit(9)
"),
        timeout: 20_000,
        end: &[End::Code(9)],
        fails_against: END_OF_OUTPUT,
        ..PIECE
    },
    exits_well_after_its_deadline: Piece {
        does: Does::Python("
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    time.sleep(0.05)
"),
        fails_against: LATE_EXIT,
        ..PIECE
    },
    reads_the_terminal: Piece {
        // The daemon of the gallery has a terminal; its runs must not.
        does: Does::Python("
try:
    terminal = os.open('/dev/tty', os.O_RDWR)
except OSError:
    terminal = None
if terminal is not None:
    os.write(terminal, b'password: ')
    os.read(terminal, 1)
for descriptor in (0, 1, 2):
    if os.isatty(descriptor):
        os.read(descriptor, 1)
sys.exit(5 if os.read(0, 1) == b'' else 8)
"),
        end: &[End::Code(5)],
        fails_against: TERMINAL,
        ..PIECE
    },
    asks_through_git: Piece {
        does: Does::Python("
code = subprocess.run(['git', 'ls-remote', HTTP + '/private.git']).returncode
sys.exit(42 if code == 128 else 43)
"),
        timeout: 6000,
        end: &[End::Code(42)],
        fails_against: MAY_ASK,
        ..PIECE
    },
    ssh_that_waits: Piece {
        does: Does::Python("
subprocess.run(['git', 'ls-remote', 'ssh://git@' + SSH + '/private.git'])
"),
        needs: &[Needs::Ssh],
        silence: Some("1s"),
        timeout: 20_000,
        end: &[End::Silence],
        fails_against: NO_SILENCE,
        ..PIECE
    },
    reads_a_fifo: Piece {
        does: Does::Python("
os.mkfifo('fifo')
open('fifo').read()
"),
        silence: Some("1s"),
        timeout: 20_000,
        end: &[End::Silence],
        fails_against: NO_SILENCE,
        ..PIECE
    },
    never_frees_its_lock: Piece {
        does: Does::Python("
import fcntl
lock = open('.git/index.lock', 'w')
open('.git/HEAD.lock', 'w').close()
fcntl.flock(lock, fcntl.LOCK_EX)
spawn(hold, session=True)
hold()
"),
        fails_against: STALE_LOCKS,
        ..PIECE
    },
    is_held_by_the_kernel: Piece {
        does: Does::Crowd("held"),
        fails_against: NO_KILL,
        ..PIECE
    },
    reads_what_it_writes: Piece {
        does: Does::Python("
ours, theirs = os.pipe()
def child():
    ignore()
    os.read(ours, 1)
spawn(child, session=True)
ignore()
os.write(theirs, b'z' * (1 << 22))
"),
        silence: Some("1s"),
        timeout: 20_000,
        end: &[End::Silence],
        fails_against: NO_SILENCE,
        ..PIECE
    },
}
