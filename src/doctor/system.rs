//! What the kernel and the file system say of themselves.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::{prctl, statfs, statvfs};
use nix::unistd::{AccessFlags, access};

use super::facts::{Cgroup, Daemon, Folder, Limit, ProcMount};

/// A folder, or the nearest one above it that is there.
pub(super) fn folder(path: &Path) -> Folder {
    let exists = path.is_dir();
    let place = path.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("/"));
    let about = std::fs::metadata(place).ok();
    let room = statvfs::statvfs(place).ok();
    Folder {
        path: path.to_owned(),
        writable: access(place, AccessFlags::W_OK | AccessFlags::X_OK)
            .err()
            .map(|error| format!("{}: {}", place.display(), error.desc())),
        exists,
        owner: about.as_ref().map_or(0, MetadataExt::uid),
        mode: about.as_ref().map_or(0, |about| about.permissions().mode() & 0o7777),
        free: room.map_or(0, |room| room.blocks_available().saturating_mul(room.fragment_size())),
        filesystem: filesystem(place),
    }
}

/// Names of those that matter; the others only have to be local and lasting.
fn filesystem(place: &Path) -> String {
    let Ok(found) = statfs::statfs(place) else { return "unknown".to_owned() };
    let kind = found.filesystem_type();
    let known = [
        (statfs::NFS_SUPER_MAGIC, "nfs"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::FUSE_SUPER_MAGIC, "fuse"),
        (statfs::FsType(0xff53_4d42), "cifs"),
        (statfs::FsType(0xfe53_4d42), "smb2"),
        (statfs::FsType(0x0102_1997), "9p"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlay"),
        (statfs::EXT4_SUPER_MAGIC, "ext"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
    ];
    let name = known.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name);
    name.unwrap_or("another").to_owned()
}

/// Who has the lock of the state directory, without touching it.
pub(super) async fn daemon(state_dir: &Path, socket: PathBuf) -> Daemon {
    let lock = state_dir.join("lock");
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let held = std::fs::metadata(&lock).is_ok_and(|about| is_locked(&locks, about.ino()));
    if !held {
        return Daemon::None;
    }
    let text = std::fs::read_to_string(&lock).unwrap_or_default();
    let pid = text.trim().parse().unwrap_or(0);
    let answer = tokio::net::UnixStream::connect(&socket);
    match tokio::time::timeout(Duration::from_secs(5), answer).await {
        Ok(Ok(_)) => Daemon::Answers { pid },
        _ => Daemon::Silent { pid, socket },
    }
}

/// Whether `/proc/locks` has a whole-file lock on the inode.
fn is_locked(locks: &str, inode: u64) -> bool {
    locks.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        let place = words.clone().nth(5).and_then(|place| place.rsplit(':').next());
        words.nth(1) == Some("FLOCK") && place.and_then(|text| text.parse().ok()) == Some(inode)
    })
}

/// The control group of a process, or of this one.
pub(super) fn cgroup(pid: Option<i32>) -> Cgroup {
    let read = |name: String| std::fs::read_to_string(name).unwrap_or_default();
    let who = pid.map_or("self".to_owned(), |pid| pid.to_string());
    let of = read(format!("/proc/{who}/cgroup"));
    let Some(folder) = cgroup_folder(&of, &read("/proc/self/mountinfo".to_owned())) else {
        return Cgroup::default();
    };
    let listed = read(folder.join("cgroup.controllers").display().to_string());
    let both = AccessFlags::W_OK | AccessFlags::X_OK;
    Cgroup {
        writable: access(&folder, both).is_ok()
            && access(&folder.join("cgroup.procs"), AccessFlags::W_OK).is_ok(),
        controllers: listed.split_ascii_whitespace().map(str::to_owned).collect(),
        folder: Some(folder),
    }
}

fn cgroup_folder(of: &str, mounts: &str) -> Option<PathBuf> {
    let own = of.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, place) = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut words = mount.split_ascii_whitespace();
        kind.starts_with("cgroup2 ").then_some(())?;
        Some((words.nth(3)?, words.next()?))
    })?;
    // A daemon in a delegated group stands aside in one of its own, beside those of its runs.
    let own = own.strip_suffix("/crosswatch-daemon").unwrap_or(own);
    let below = Path::new(own).strip_prefix(root).ok()?;
    // Joining nothing would put a `/` at the end.
    let folder: PathBuf = Path::new(place).join(below).components().collect();
    folder.is_dir().then_some(folder)
}

/// Whether this process can be made the parent of orphans; it is none afterwards.
pub(super) fn subreaper() -> Result<(), String> {
    prctl::set_child_subreaper(true)
        .and_then(|()| prctl::set_child_subreaper(false))
        .map_err(|error| error.desc().to_owned())
}

/// How `/proc` is mounted.
pub(super) fn proc_mount() -> ProcMount {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    hidepid(&mounts)
}

fn hidepid(mounts: &str) -> ProcMount {
    // The last mount on a place is the one that is seen.
    let line = mounts.lines().rev().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (mount.split_ascii_whitespace().nth(4) == Some("/proc") && kind.starts_with("proc "))
            .then_some(kind)
    });
    let option = line
        .and_then(|kind| kind.split([' ', ',']).find_map(|option| option.strip_prefix("hidepid=")));
    ProcMount {
        mounted: line.is_some(),
        hidepid: option.filter(|value| !["0", "off"].contains(value)).map(str::to_owned),
    }
}

/// The soft limit of that name in `/proc/PID/limits`, for a process or for this one.
pub(super) fn limit(pid: Option<i32>, name: &str) -> Limit {
    let read = |who: &str| std::fs::read_to_string(format!("/proc/{who}/limits")).ok();
    // Those of a daemon that shut itself are root's to read.
    let text = pid.and_then(|pid| read(&pid.to_string())).or_else(|| read("self"));
    let text = text.unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    Limit(value.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()))
}

/// systemd's folder of credentials, where it was given one.
pub(super) fn credentials() -> Option<Folder> {
    let path = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty())?;
    Some(folder(Path::new(&path)))
}

/// What can be said of an SQLite file without opening it as a database.
pub(super) fn sqlite(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let shown = path.display();
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(format!("{shown} will be made"));
        }
        Err(error) => return Err(format!("{shown} cannot be read: {error}")),
    };
    if let Err(error) = access(path, AccessFlags::W_OK) {
        return Err(format!("{shown} cannot be written: {}", error.desc()));
    }
    let mut head = Vec::new();
    let read = std::io::Read::by_ref(&mut file).take(16).read_to_end(&mut head);
    match read {
        Ok(_) if head.is_empty() || head == b"SQLite format 3\0" => Ok(format!("{shown}")),
        Ok(_) => Err(format!("{shown} is no SQLite database")),
        Err(error) => Err(format!("{shown} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_is_found_in_a_hybrid_too() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             31 30 0:27 / /proc rw shared:5 - proc proc rw,hidepid=invisible\n\
             40 30 0:31 / /tmp rw,nosuid - cgroup2 cgroup2 rw\n";
        let of = "4:memory:/x\n0::/\n";
        assert_eq!(cgroup_folder(of, mounts), Some("/tmp".into()));
        assert_eq!(cgroup_folder("4:memory:/x\n", mounts), None);
        assert_eq!(cgroup_folder("0::/not/there\n", mounts), None);
    }

    #[test]
    fn what_proc_hides_is_read() {
        let line = |options: &str| format!("22 25 0:21 / /proc rw,nosuid - proc proc {options}\n");
        assert_eq!(hidepid(&line("rw,hidepid=2")).hidepid.as_deref(), Some("2"));
        assert_eq!(hidepid(&line("rw,hidepid=off")).hidepid, None);
        assert!(hidepid(&line("rw")).mounted && !hidepid("").mounted);
    }

    #[test]
    fn a_lock_is_seen_without_taking_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            is_locked(&locks, file.as_file().metadata().unwrap().ino())
        };
        assert!(!held());
        file.as_file().try_lock().unwrap();
        assert!(held());
    }
}
