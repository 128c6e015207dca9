//! Programs that want everything: processes, output, memory, descriptors.

use super::{Check, Does, End, Needs, PIECE, Piece, pieces};

const NO_KILL: &str = "23-no-kill-after-term";
const ENDLESS_LOG: &str = "27-the-log-knows-no-end";
const RAW: &str = "28-control-sequences-are-shown";
const LIMITS: &str = "29-limits-are-not-set";

pieces! {
    ignores_everything_and_forks: Piece {
        does: Does::Crowd("flood"),
        fails_against: NO_KILL,
        ..PIECE
    },
    forks_without_bound: Piece {
        does: Does::Crowd("bomb"),
        keys: "limits: {processes: 300}",
        needs: &[Needs::OrdinaryUser],
        end: &[End::Processes, End::Wall],
        fails_against: NO_KILL,
        ..PIECE
    },
    ten_thousand_zombies: Piece {
        does: Does::Crowd("zombies"),
        keys: "limits: {processes: 20000}",
        timeout: 4000,
        fails_against: NO_KILL,
        ..PIECE
    },
    output_without_end: Piece {
        does: Does::Python("
line = b'x' * 1023 + b'\\n'
block = line * 64
for _ in range(10 * 1024 * 16):
    os.write(1, block)
hold()
"),
        keys: "output: {max: 1MiB}",
        check: Check::BoundedLog,
        fails_against: ENDLESS_LOG,
        ..PIECE
    },
    output_without_newline: Piece {
        does: Does::Python("
block = b'y' * 65536
for _ in range(10 * 1024 * 16):
    os.write(2, block)
hold()
"),
        keys: "output: {max: 1MiB}",
        check: Check::BoundedLog,
        fails_against: ENDLESS_LOG,
        ..PIECE
    },
    one_byte_before_each_silence: Piece {
        does: Does::Python("
ignore()
while True:
    os.write(1, b'.')
    time.sleep(0.4)
"),
        silence: Some("1500ms"),
        timeout: 3000,
        fails_against: "30-a-byte-resets-the-timeout",
        ..PIECE
    },
    nul_bytes_and_escape_sequences: Piece {
        does: Does::Python("
os.write(1, b'\\x00\\x00\\x1b[2J\\x1b]0;owned\\x07\\x1b[31mred\\xff\\xfe\\xc3\\r\\n')
os.write(2, b'\\x1b]8;;http://x\\x1b\\\\link\\x90q\\x9c \\x1b[8m\\x1b never ends\\x00' * 50)
sys.exit(1)
"),
        end: &[End::Code(1)],
        check: Check::CleanTail,
        fails_against: RAW,
        ..PIECE
    },
    memory_eater: Piece {
        does: Does::Python("
kept = []
for _ in range(40):
    kept.append(bytearray(b'z') * (16 << 20))
    time.sleep(0.02)
hold()
"),
        keys: "limits: {memory: 128MiB}",
        timeout: 8000,
        end: &[End::Memory],
        fails_against: LIMITS,
        ..PIECE
    },
    descriptor_eater: Piece {
        does: Does::Python("
kept = []
try:
    while len(kept) < 5000:
        kept.append(os.open('/dev/null', os.O_RDONLY))
except OSError:
    pass
sys.exit(100 if len(kept) < 128 else 101)
"),
        keys: "limits: {open_files: 128}",
        end: &[End::Code(100)],
        fails_against: LIMITS,
        ..PIECE
    },
    process_eater: Piece {
        // Where the kernel holds the limit it sees a refusal, else it is ended.
        does: Does::Python("
refused = False
try:
    for _ in range(400):
        spawn(hold)
except OSError:
    refused = True
time.sleep(1)
sys.exit(100 if refused else 101)
"),
        keys: "limits: {processes: 200}",
        timeout: 8000,
        end: &[End::Processes, End::Code(100)],
        fails_against: LIMITS,
        ..PIECE
    },
    output_beyond_its_limit: Piece {
        does: Does::Python("
ignore()
block = b'z' * 65536
for _ in range(16 * 1024):
    os.write(1, block)
"),
        keys: "output: {max: 1MiB, over: end}",
        timeout: 8000,
        end: &[End::Output],
        check: Check::BoundedLog,
        fails_against: ENDLESS_LOG,
        ..PIECE
    },
    talks_through_its_grace: Piece {
        does: Does::Python("
def talk(*_):
    while True:
        os.write(1, b'still here\\n')
        time.sleep(0.02)
signal.signal(signal.SIGTERM, talk)
talk()
"),
        silence: Some("1s"),
        fails_against: NO_KILL,
        ..PIECE
    },
    children_that_exit_at_full_speed: Piece {
        does: Does::Python("
ignore()
def race():
    ignore()
    end = time.monotonic() + 50
    while time.monotonic() < end:
        os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)
        time.sleep(0.001)
for _ in range(2):
    spawn(race, session=True)
hold()
"),
        fails_against: NO_KILL,
        ..PIECE
    },
}
