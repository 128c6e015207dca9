//! Logs of finished runs: compressed, and kept by age and size.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crosswatch_core::model::settings::LogRules;
use crosswatch_core::model::time::{Span, Timestamp};
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::OFlag;

use super::run::RunResult;
use super::spool::{pieces, splice};

/// Where a log is after it was compressed.
pub(super) fn packed(log: &Path) -> PathBuf {
    beside(log, ".gz")
}

fn beside(log: &Path, end: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Compresses the log of a finished run. It is there whole at every moment, under one of its names.
pub fn compress(log: &Path) -> io::Result<()> {
    splice(log)?;
    let options = |write: bool| {
        let mut options = OpenOptions::new();
        options.read(!write).write(write).create(write).truncate(write);
        options.mode(0o640).custom_flags(OFlag::O_NOFOLLOW.bits());
        options
    };
    let mut source = options(false).open(log)?;
    let about = source.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let (packed, part) = (packed(log), beside(log, ".gz.part"));
    let before = match options(false).open(&packed) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let done = match &before {
        Some(before) => before.metadata()?.modified()? == about.modified()?,
        None => false,
    };
    // Where it was compressed already, only the old name was left by an interruption.
    if !done {
        let mut to = options(true).open(&part)?;
        if let Some(mut before) = before {
            // Another run under the same name: one file may hold both, one after the other.
            io::copy(&mut before, &mut to)?;
        }
        let mut encoder = GzEncoder::new(to, Compression::new(6));
        io::copy(&mut source, &mut encoder)?;
        let to = encoder.finish()?;
        // Its age is that of the run.
        to.set_modified(about.modified()?)?;
        to.sync_all()?;
        fs::rename(&part, &packed)?;
        if let Some(folder) = log.parent() {
            File::open(folder)?.sync_all()?;
        }
    }
    fs::remove_file(log)
}

/// What is to be done with the logs of one state directory.
#[derive(Clone, Debug)]
pub struct Care {
    /// The state directory.
    pub state_dir: PathBuf,
    /// How long logs are kept.
    pub rules: LogRules,
    /// Names of the configured workspaces, whose last log stays.
    pub workspaces: BTreeSet<String>,
    /// When this daemon started: no run is older than its daemon.
    pub since: Timestamp,
    /// The time.
    pub now: Timestamp,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cared {
    /// Logs that were compressed.
    pub compressed: usize,
    /// Logs that were removed.
    pub removed: usize,
    /// What could not be done, each with its path and reason.
    pub failures: Vec<String>,
}

impl Care {
    /// Compresses the logs of finished runs and removes the oldest beyond age and size.
    pub fn run(&self) -> Cared {
        let mut cared = Cared::default();
        let logs = self.logs();
        for log in logs.iter().filter(|log| log.finished && log.plain) {
            match compress(&log.path) {
                Ok(()) => cared.compressed += 1,
                Err(error) => cared.failures.push(format!("{}: {error}", log.path.display())),
            }
        }
        let mut logs = if cared.compressed > 0 { self.logs() } else { logs };
        logs.sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
        let mut total: u64 = logs.iter().map(|log| log.size).sum();
        for log in logs.iter().filter(|log| log.finished && !log.stays) {
            let old = log.at + self.rules.keep < self.now;
            if !old && total <= self.rules.max_size.0 {
                continue;
            }
            match remove(&log.path) {
                Ok(()) => {
                    total = total.saturating_sub(log.size);
                    cared.removed += 1;
                }
                Err(error) => cared.failures.push(format!("{}: {error}", log.path.display())),
            }
        }
        cared
    }

    fn logs(&self) -> Vec<Found> {
        let mut all = Vec::new();
        for folder in folders(&self.state_dir.join("logs")) {
            let mut found = self.logs_in(&folder, |name| name.len() > ".log".len());
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if self.workspaces.contains(name)
                && let Some(last) = found.last_mut()
            {
                last.stays = true;
            }
            all.extend(found);
        }
        for folder in folders(&self.state_dir.join("builds")) {
            let ended = folder.join("result.json").is_file();
            let mut found = self.logs_in(&folder, |name| name == "build.log");
            found.iter_mut().for_each(|log| log.finished |= ended);
            all.extend(found);
        }
        all
    }

    /// Logs in one folder, in the order of their names, which begin with the time.
    fn logs_in(&self, folder: &Path, ours: impl Fn(&str) -> bool) -> Vec<Found> {
        let mut found: BTreeMap<PathBuf, Found> = BTreeMap::new();
        for (name, about) in entries(folder) {
            let Some(name) = name.to_str() else { continue };
            let log = ["", ".gz"].into_iter().find_map(|end| {
                let log = name.strip_suffix(end)?;
                (log.ends_with(".log") && ours(log)).then_some((log, end.is_empty()))
            });
            let Some((log, plain)) = log else { continue };
            let Some(at) = about.is_file().then(|| modified(&about)) else { continue };
            let path = folder.join(log);
            let entry = found.entry(path.clone()).or_insert_with(|| Found {
                finished: RunResult::path(&path).is_file(),
                path,
                at,
                size: 0,
                plain: false,
                stays: false,
            });
            entry.at = entry.at.max(at);
            entry.size = entry.size.saturating_add(about.len());
            entry.plain |= plain;
            // Nothing of a run lives longer than its daemon, but its keeper may end a little later.
            entry.finished |= !plain || at + Span::minutes(1) < self.since;
        }
        found.into_values().collect()
    }
}

struct Found {
    path: PathBuf,
    at: Timestamp,
    size: u64,
    plain: bool,
    finished: bool,
    stays: bool,
}

fn remove(log: &Path) -> io::Result<()> {
    let mut all = vec![log.to_owned(), packed(log), beside(log, ".gz.part"), RunResult::path(log)];
    all.extend(pieces(log));
    for path in all {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Real folders of our own in a real folder of our own: never what a link leads to.
fn folders(of: &Path) -> Vec<PathBuf> {
    let all = entries(of).into_iter().filter(|(_, about)| about.is_dir());
    all.map(|(name, _)| of.join(name)).collect()
}

/// What is ours in a folder, and what it is, without following links.
fn entries(folder: &Path) -> Vec<(OsString, Metadata)> {
    let ours = |about: &Metadata| about.uid() == nix::unistd::geteuid().as_raw();
    if !fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir() && ours(&about)) {
        return Vec::new();
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?)))
        .filter(|(_, about)| ours(about))
        .collect()
}

fn modified(about: &Metadata) -> Timestamp {
    let since = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let millis = since.unwrap_or_default().as_millis();
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, UNIX_EPOCH};

    use crosswatch_core::model::size::Size;
    use flate2::read::MultiGzDecoder;

    use super::*;

    const DAY: u64 = 86_400;
    const NOW: u64 = 1_000 * DAY;

    fn write(path: &Path, text: &str, day: u64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(day * DAY);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    fn unpacked(log: &Path) -> String {
        let mut text = String::new();
        MultiGzDecoder::new(File::open(packed(log)).unwrap()).read_to_string(&mut text).unwrap();
        text
    }

    fn care(folder: &Path, keep: u64, max_size: u64) -> Care {
        let at = |secs: u64| Timestamp(i64::try_from(secs).unwrap() * 1000);
        Care {
            state_dir: folder.to_owned(),
            rules: LogRules { keep: Span::days(keep), max_size: Size(max_size) },
            workspaces: ["one".to_owned(), "two".to_owned()].into(),
            since: at(NOW - DAY),
            now: at(NOW),
        }
    }

    #[test]
    fn a_log_is_compressed_and_an_interruption_loses_and_doubles_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        write(&log, "text\n", 999);
        compress(&log).unwrap();
        assert!(!log.exists());
        assert_eq!(unpacked(&log), "text\n");
        // The old name was left.
        write(&log, "text\n", 999);
        compress(&log).unwrap();
        assert_eq!(unpacked(&log), "text\n");
        // Another run of the same name.
        write(&log, "more\n", 1_000);
        write(&folder.path().join("a.log.gz.part"), "half of something", 1_000);
        compress(&log).unwrap();
        assert_eq!(unpacked(&log), "text\nmore\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_finished_logs_are_touched_and_the_last_one_of_a_workspace_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        write(&at("logs/one/1-update.log"), "old", 900);
        write(&at("logs/one/1-update.json"), "{}", 900);
        write(&at("logs/one/2-update.log"), "last", 901);
        write(&at("logs/one/notes.txt"), "not ours", 900);
        write(&at("logs/two/1-update.log"), "old", 900);
        write(&at("logs/two/2-update.log"), "runs", 1_000);
        write(&at("logs/gone/1-update.log"), "of a workspace that is gone", 900);
        write(&at("builds/aa/build.log"), "old build", 900);
        write(&at("builds/aa/work/x.log"), "a file of a build", 900);
        write(&at("builds/bb/build.log"), "ended", 1_000);
        write(&at("builds/bb/result.json"), "{}", 1_000);
        write(&at("builds/cc/build.log"), "runs", 1_000);
        let cared = care(folder.path(), 30, u64::MAX).run();
        assert_eq!(cared.failures, Vec::<String>::new());
        assert_eq!((cared.compressed, cared.removed), (6, 4));
        for path in [
            "logs/one/2-update.log.gz",
            "logs/one/notes.txt",
            "logs/two/2-update.log",
            "builds/aa/work/x.log",
            "builds/bb/build.log.gz",
            "builds/bb/result.json",
            "builds/cc/build.log",
        ] {
            assert!(at(path).exists(), "{path}");
        }
        assert_eq!(fs::read_dir(at("logs/one")).unwrap().count(), 2);
        assert!(
            !at("builds/aa/build.log.gz").exists() && !at("logs/gone/1-update.log.gz").exists()
        );
    }

    #[test]
    fn the_oldest_go_first_when_all_are_too_large() {
        let folder = tempfile::tempdir().unwrap();
        // Nothing that compresses.
        let mut state = 1_u64;
        let noise: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from(state >> 58).unwrap())
        })
        .take(10_000)
        .collect();
        for number in 0..9 {
            write(
                &folder.path().join(format!("logs/one/{number}-update.log")),
                &noise,
                990 + number,
            );
        }
        let size =
            |folder: &Path| -> u64 { care(folder, 1, 0).logs().iter().map(|l| l.size).sum() };
        assert_eq!(care(folder.path(), 30, 40_000).run().removed, 4);
        assert!((30_000..=40_000).contains(&size(folder.path())), "{}", size(folder.path()));
        let left = care(folder.path(), 1, 0).logs();
        assert_eq!(left.first().unwrap().path, folder.path().join("logs/one/4-update.log"));
        assert_eq!(care(folder.path(), 30, 40_000).run(), Cared::default());
        assert_eq!(care(folder.path(), 30, 0).run().removed, 4);
        assert_eq!(care(folder.path(), 30, 0).logs().len(), 1, "the last one stays");
    }

    #[test]
    fn nothing_behind_a_link_is_touched() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(&outside.path().join("one/1-update.log"), "foreign", 1);
        write(&outside.path().join("x.log"), "foreign", 1);
        fs::create_dir_all(folder.path().join("logs/two")).unwrap();
        symlink(outside.path().join("one"), folder.path().join("logs/three")).unwrap();
        symlink(outside.path().join("x.log"), folder.path().join("logs/two/1-update.log")).unwrap();
        symlink(outside.path(), folder.path().join("builds")).unwrap();
        assert_eq!(care(folder.path(), 1, 0).run(), Cared::default());
        assert!(outside.path().join("one/1-update.log").exists());
        assert!(compress(&folder.path().join("logs/two/1-update.log")).is_err());
        assert!(outside.path().join("x.log").exists());
    }
}
