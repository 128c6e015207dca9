//! Programs that turn against their keeper. Each makes sure that it is a keeper before it does.

use super::{Does, End, PIECE, Piece, pieces};

const NOT_ADOPTED: &str = "22-the-parent-adopts-nothing";
const NO_KILL: &str = "23-no-kill-after-term";
const STUCK_KEEPER: &str = "24-a-stopped-keeper-is-awaited";
const SAME_SESSION: &str = "25-the-command-stays-in-the-keepers-session";

pieces! {
    without_a_cgroup;
    stops_itself: Piece {
        does: Does::Python("
# Whatever becomes of the stopped one, it is not left behind.
def later():
    time.sleep(55)
    os.kill(os.getppid(), signal.SIGKILL)
spawn(later)
noted(2)
os.kill(os.getpid(), signal.SIGSTOP)
"),
        fails_against: NO_KILL,
        ..PIECE
    },
    stops_its_parent_and_the_keeper: Piece {
        does: Does::Python("
guardian, parent = keeper(), os.getpid()
def child():
    ignore()
    os.kill(guardian, signal.SIGSTOP)
    os.kill(parent, signal.SIGSTOP)
    time.sleep(50)
    os.kill(guardian, signal.SIGCONT)
    os.kill(parent, signal.SIGKILL)
spawn(child, session=True)
hold()
"),
        end: &[End::KeeperLost, End::Wall],
        fails_against: STUCK_KEEPER,
        ..PIECE
    },
    kills_the_keeper: Piece {
        does: Does::Python("
spawn(hold)
noted(2)
os.kill(keeper(), signal.SIGKILL)
hold()
"),
        end: &[End::KeeperLost],
        fails_against: NOT_ADOPTED,
        ..PIECE
    },
    hides_and_kills_the_keeper: Piece {
        does: Does::Python("
guardian = keeper()
leave()
noted(2)
def child():
    time.sleep(0.2)
    os.kill(guardian, signal.SIGKILL)
    leave()
    hold()
spawn(child, session=True)
hold()
"),
        end: &[End::KeeperLost],
        fails_against: NOT_ADOPTED,
        ..PIECE
    },
    kills_its_own_group_with_the_keepers: Piece {
        does: Does::Python("
guardian = keeper()
leave()
noted(2)
if os.getpgid(guardian) == guardian:
    os.killpg(guardian, signal.SIGKILL)
else:
    os.kill(guardian, signal.SIGKILL)
if os.getpgrp() in (os.getpid(), guardian):
    os.killpg(0, signal.SIGKILL)
hold()
"),
        end: &[End::KeeperLost],
        fails_against: NOT_ADOPTED,
        ..PIECE
    },
    kills_its_own_group: Piece {
        does: Does::Python("
guardian = keeper()
spawn(hold, session=True)
noted(2)
if os.getpgrp() in (os.getpid(), guardian):
    os.killpg(0, signal.SIGKILL)
sys.exit(6)
"),
        end: &[End::Signal(9)],
        fails_against: SAME_SESSION,
        ..PIECE
    },
    asks_the_keeper_to_end: Piece {
        does: Does::Python("
guardian = keeper()
spawn(hold, session=True)
noted(2)
for _ in range(20):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guardian, number)
    time.sleep(0.01)
hold()
"),
        fails_against: "26-a-keeper-that-can-be-asked-to-end",
        ..PIECE
    },
    sends_the_keeper_every_signal: Piece {
        does: Does::Python("
guardian = keeper()
spawn(hold, session=True)
noted(2)
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        try:
            os.kill(guardian, number)
        except ProcessLookupError:
            break
        time.sleep(0.01)
hold()
"),
        end: &[End::KeeperLost, End::Wall],
        fails_against: NOT_ADOPTED,
        ..PIECE
    },
    traces_the_keeper: Piece {
        // Only root may; for others it is a program that does not end.
        does: Does::Python("
guardian = keeper()
leave()
noted(2)
LIBC.ptrace(16, guardian, None, None)
hold()
"),
        end: &[End::KeeperLost, End::Wall],
        fails_against: STUCK_KEEPER,
        ..PIECE
    },
    starves_the_keeper: Piece {
        // The keeper's own limits, where the system lets others change them.
        does: Does::Python("
import resource
guardian = keeper()
spawn(hold, session=True)
noted(2)
for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
    try:
        resource.prlimit(guardian, kind, (0, 0))
    except OSError:
        pass
print('said after its limits were taken', flush=True)
hold()
"),
        end: &[End::KeeperLost, End::Wall],
        fails_against: NOT_ADOPTED,
        ..PIECE
    },
}
