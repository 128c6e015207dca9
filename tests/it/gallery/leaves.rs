//! Programs that leave the session, the group, or the sight of whoever looks for them.

use super::{Does, End, PIECE, Piece, pieces};

const GROUP_ALONE: &str = "05-only-the-group-is-ended";
const MARKER_ALONE: &str = "20-found-by-the-marker-alone";

pieces! {
    double_fork_and_setsid: Piece {
        does: Does::Python("
def middle():
    spawn(hold, session=True)
spawn(middle, session=True)
noted(3)
"),
        end: &[End::Code(0)],
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    changes_its_group: Piece {
        does: Does::Python("
def child():
    os.setpgid(0, 0)
    note()
    hold()
spawn(child)
hold()
"),
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    changes_name_and_clears_environment: Piece {
        does: Does::Python("leave(); time.sleep(60)"),
        fails_against: MARKER_ALONE,
        ..PIECE
    },
    becomes_its_own_subreaper: Piece {
        does: Does::Python("
def reaper():
    LIBC.prctl(36, 1, 0, 0, 0)
    for _ in range(3):
        leave()
    hold()
spawn(reaper, session=True)
noted(5)
sys.exit(4)
"),
        end: &[End::Code(4)],
        fails_against: MARKER_ALONE,
        ..PIECE
    },
    exits_leaving_a_server: Piece {
        does: Does::Python("
server = socket.create_server(('127.0.0.1', 0))
def serve():
    ignore()
    while True:
        server.accept()[0].close()
spawn(serve, session=True)
noted(2)
"),
        end: &[End::Code(0)],
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    exits_with_children_in_other_sessions: Piece {
        does: Does::Python("
for _ in range(5):
    spawn(hold, session=True)
noted(6)
sys.exit(3)
"),
        end: &[End::Code(3)],
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    two_watch_each_other: Piece {
        does: Does::Python("
def watch(other):
    ignore()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    end = time.monotonic() + 50
    while time.monotonic() < end:
        try:
            os.kill(other, 0)
        except ProcessLookupError:
            me = os.getpid()
            other = spawn(lambda: watch(me), session=True)
        time.sleep(0.001)
def first():
    watch(os.getppid())
for _ in range(4):
    pair = os.getpid()
    def begin():
        me = os.getpid()
        watch(spawn(lambda: watch(me), session=True))
    spawn(begin, session=True)
hold()
"),
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    hops_from_process_to_process: Piece {
        does: Does::Crowd("hop"),
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    execs_without_end: Piece {
        does: Does::Crowd("turn"),
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    takes_the_name_of_the_daemon: Piece {
        does: Does::Python("
def child():
    os.execve(sys.executable, ['crosswatch', '-c', 'import time; time.sleep(60)', KEEPER], {})
spawn(child, session=True)
LIBC.prctl(15, b'crosswatch', 0, 0, 0)
hold()
"),
        fails_against: MARKER_ALONE,
        ..PIECE
    },
    cannot_be_looked_at: Piece {
        does: Does::Python("
def child():
    LIBC.prctl(4, 0, 0, 0, 0)
    hold()
LIBC.prctl(4, 0, 0, 0, 0)
spawn(child, session=True)
hold()
"),
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    changes_groups_in_a_race: Piece {
        does: Does::Python("
def child():
    ignore()
    end = time.monotonic() + 50
    while time.monotonic() < end:
        for group in (0, os.getppid()):
            try:
                os.setpgid(0, group)
            except OSError:
                pass
for _ in range(3):
    spawn(child)
hold()
"),
        fails_against: GROUP_ALONE,
        ..PIECE
    },
    goes_into_a_namespace: Piece {
        // Where namespaces are not for users it is one that left the session.
        does: Does::Python("
script = 'trap \"\" TERM HUP INT; sleep 60 & sleep 60'
def child():
    os.execvp('unshare', ['unshare', '--user', '--map-root-user', '--pid', '--fork', 'sh', '-c', script])
spawn(child, session=True)
spawn(hold, session=True)
hold()
"),
        fails_against: GROUP_ALONE,
        ..PIECE
    },
}
