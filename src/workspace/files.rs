//! Opening and removing what foreign code had its hands on: nothing here waits for a FIFO, follows a
//! link out of a workspace, or believes that a folder still is one.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Opens a regular file for reading; anything else (a FIFO would wait for ever) is refused.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// At most `max` bytes of a regular file.
pub(super) fn read_regular(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where `path` below `root` really is, which has to be below `root` too.
pub(super) fn inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let real = root.join(path).canonicalize()?;
    if real.starts_with(root.canonicalize()?) {
        Ok(real)
    } else {
        let why = format!("it is a link to {}, outside the workspace", real.display());
        Err(io::Error::new(ErrorKind::InvalidInput, why))
    }
}

/// Whether `path` itself is a folder, not a link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Removes whatever is at `path`; a link is removed, never what it points at.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.is_dir() => gone(fs::remove_file(path)),
        Ok(_) => match gone(fs::remove_dir_all(path)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                open_up(path)?;
                gone(fs::remove_dir_all(path))
            }
            result => result,
        },
    }
}

/// Makes folders writable again: some tools protect what they unpacked.
fn open_up(path: &Path) -> io::Result<()> {
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_removed_and_what_they_point_at_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let outside = dir.path().join("outside");
        fs::create_dir_all(outside.join("precious")).expect("a folder");
        let place = dir.path().join("place");
        symlink(&outside, &place).expect("a link");
        assert!(!is_folder(&place));
        remove(&place).expect("removed");
        fs::create_dir_all(place.join("sub")).expect("a folder");
        symlink(&outside, place.join("sub/link")).expect("a link");
        remove(&place).expect("removed");
        remove(&place).expect("nothing is there");
        fs::write(&place, "a file").expect("a file");
        remove(&place).expect("removed");
        assert!(outside.join("precious").is_dir());
    }

    #[test]
    fn folders_that_nobody_may_write_are_removed_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = dir.path().join("place");
        fs::create_dir_all(place.join("a/b")).expect("a folder");
        fs::write(place.join("a/b/file"), "x").expect("a file");
        let mode = |path: &str, mode| {
            fs::set_permissions(place.join(path), fs::Permissions::from_mode(mode))
                .expect("a mode");
        };
        mode("a/b", 0o500);
        mode("a", 0o000);
        remove(&place).expect("removed");
        assert!(!place.exists());
    }

    #[test]
    fn only_regular_files_inside_are_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("root");
        fs::create_dir(&root).expect("a folder");
        fs::write(dir.path().join("secret"), "x").expect("a file");
        symlink("../secret", root.join("out")).expect("a link");
        fs::write(root.join("in"), "good").expect("a file");
        symlink("in", root.join("link")).expect("a link");
        assert!(inside(&root, Path::new("out")).is_err());
        let real = inside(&root, Path::new("link")).expect("inside");
        assert_eq!(read_regular(&real, 3).expect("read"), b"goo");
        nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
        assert!(read_regular(&root.join("fifo"), 3).is_err(), "and does not wait");
        assert!(read_regular(&root, 3).is_err());
    }
}
