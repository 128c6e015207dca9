//! Programs that turn against the files around them.

use super::{Check, Does, End, Next, PIECE, Piece, pieces};

const NO_KILL: &str = "23-no-kill-after-term";
const LIMITS: &str = "29-limits-are-not-set";
const NO_MANIFEST: &str = "39-no-manifest-is-no-failure";
const GONE_FOLDER: &str = "38-a-folder-that-is-gone-is-no-failure";
const SURVIVORS: &str = "05-only-the-group-is-ended";

pieces! {
    fills_the_directory: Piece {
        does: Does::Python("
for number in range(24):
    with open(f'big{number}', 'wb') as file:
        file.write(b'z' * (8 << 20))
    time.sleep(0.1)
hold()
"),
        keys: "limits: {disk: 32MiB}",
        timeout: 8000,
        end: &[End::Disk],
        fails_against: LIMITS,
        ..PIECE
    },
    deletes_its_directory: Piece {
        does: Does::Python("
import shutil
shutil.rmtree(os.getcwd())
"),
        end: &[End::NoManifest, End::FolderGone],
        next: Next::Fresh,
        fails_against: GONE_FOLDER,
        ..PIECE
    },
    deletes_its_directory_and_stays: Piece {
        does: Does::Python("
import shutil
shutil.rmtree(os.getcwd())
hold()
"),
        next: Next::Fresh,
        fails_against: NO_KILL,
        ..PIECE
    },
    replaces_its_directory_by_a_link: Piece {
        does: Does::Python("
here, there = os.getcwd(), SITE + '/elsewhere'
os.rename(here, here + '.moved')
os.symlink(there, here)
"),
        end: &[End::NoManifest, End::FolderGone],
        next: Next::Fresh,
        check: Check::ElsewhereUntouched,
        fails_against: GONE_FOLDER,
        ..PIECE
    },
    changes_the_manifest_while_it_is_read: Piece {
        does: Does::Python("
whole = open('manifest.json').read()
def write():
    ignore()
    end = time.monotonic() + 50
    while time.monotonic() < end:
        for text in (whole, whole[:40], '', '{' * 100, whole):
            with open('manifest.json', 'w') as file:
                file.write(text)
spawn(write, session=True)
noted(2)
"),
        // What is there when its last process is gone is what is read; it need not be whole.
        end: &[End::Code(0), End::NoManifest],
        fails_against: SURVIVORS,
        ..PIECE
    },
    makes_the_manifest_a_fifo: Piece {
        does: Does::Python("
os.unlink('manifest.json')
os.mkfifo('manifest.json')
"),
        end: &[End::NoManifest],
        fails_against: NO_MANIFEST,
        ..PIECE
    },
    makes_the_manifest_endless: Piece {
        does: Does::Python("
os.unlink('manifest.json')
os.symlink('/dev/zero', 'manifest.json')
"),
        end: &[End::NoManifest],
        fails_against: NO_MANIFEST,
        ..PIECE
    },
    unlinks_its_log: Piece {
        does: Does::Python("
logs = os.path.realpath(os.path.join(SITE, 'state', 'logs', NAME))
for name in os.listdir(logs):
    os.unlink(os.path.join(logs, name))
print('after its log was gone', flush=True)
spawn(hold, session=True)
noted(2)
sys.exit(7)
"),
        end: &[End::Code(7)],
        fails_against: SURVIVORS,
        ..PIECE
    },
    unlinks_the_lock: Piece {
        does: Does::Python("
import glob
root = os.path.join(SITE, 'state', 'workspaces')
for name in glob.glob(os.path.join(root, NAME + '.lock')) + glob.glob('.crosswatch*'):
    os.unlink(name)
spawn(hold, session=True)
hold()
"),
        fails_against: NO_KILL,
        ..PIECE
    },
    leaves_a_checkout_that_is_a_fifo: Piece {
        // Of the package `types` of the manifest.
        does: Does::Python("
os.mkdir('types')
os.mkfifo('types/.git')
"),
        end: &[End::Code(0)],
        fails_against: NO_MANIFEST,
        ..PIECE
    },
}
