//! The folder of one local build: what it gets, what is kept of it.
//!
//! ```text
//! builds/REQUEST_ID/request.json     the whole request; its presence means that it was taken
//!                   overrides.json   the overrides alone
//!                   overrides.yml    the same as autoproj reads them
//!                   build.log        output; build.log.gz when it ended
//!                   result.json      how it ended; without it, it runs or was interrupted
//!                   work/            where the command runs, the only place that a cage can write
//! ```

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crosswatch_core::model::build::{BuildRequest, RequestId, Verdict};
use crosswatch_core::model::time::Timestamp;
use crosswatch_core::spelling::{Spelling, spell_request};
use serde::{Deserialize, Serialize};

/// Builds whose folders are kept whole; of older ones only request and result are.
const KEPT_WHOLE: usize = 50;

/// Longest result that is read back.
const LONGEST_RESULT: u64 = 64 << 10;

/// How a build ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BuildEnd {
    pub(super) verdict: Verdict,
    pub(super) ended_at: Timestamp,
    pub(super) summary: String,
}

/// What a folder says of its build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// There is no build of that request.
    Never,
    /// It was taken and has no result.
    Unfinished,
    /// It ended.
    Ended(BuildEnd),
}

/// The folder of one build.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder of a request among those of all builds.
    pub(super) fn new(builds: &Path, id: RequestId) -> Self {
        Self(builds.join(id.to_string()))
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the command runs.
    pub(super) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Where its output goes.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("build.log")
    }

    /// The whole request.
    pub(super) fn request(&self) -> PathBuf {
        self.0.join("request.json")
    }

    /// The overrides alone.
    pub(super) fn overrides(&self) -> PathBuf {
        self.0.join("overrides.json")
    }

    /// Makes the folder with all that the build gets; the request comes last.
    pub(super) fn make(&self, request: &BuildRequest) -> io::Result<()> {
        fs::create_dir_all(self.work())?;
        let yaml = spell_request(Spelling::Autoproj, request);
        write_whole(&self.overrides(), &serde_json::to_vec_pretty(&request.overrides)?)?;
        write_whole(&self.0.join("overrides.yml"), yaml.as_bytes())?;
        for spelling in request.spellings.iter().filter(|spelling| **spelling != Spelling::Json) {
            let text = spell_request(*spelling, request);
            write_whole(&self.0.join(spelling.file_name()), text.as_bytes())?;
        }
        write_whole(&self.request(), &serde_json::to_vec_pretty(request)?)
    }

    /// Stores how the build ended.
    pub(super) fn end(&self, end: &BuildEnd) -> io::Result<()> {
        write_whole(&self.result(), &serde_json::to_vec_pretty(end)?)
    }

    /// Reads what the folder says; an error is not "never".
    pub(super) fn trace(&self) -> io::Result<Trace> {
        let mut text = Vec::new();
        match fs::File::open(self.result()) {
            Ok(file) => {
                file.take(LONGEST_RESULT).read_to_end(&mut text)?;
                let end = serde_json::from_slice(&text).map_err(io::Error::other)?;
                Ok(Trace::Ended(end))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let taken = self.request().try_exists()?;
                Ok(if taken { Trace::Unfinished } else { Trace::Never })
            }
            Err(error) => Err(error),
        }
    }

    fn result(&self) -> PathBuf {
        self.0.join("result.json")
    }
}

/// Frees the space of builds that ended long ago; request and result stay, so that they are known.
pub(super) fn sweep(builds: &Path) -> io::Result<()> {
    let mut ended = Vec::new();
    for entry in fs::read_dir(builds)? {
        let folder = Folder(entry?.path());
        if folder.work().is_dir()
            && let Ok(about) = fs::metadata(folder.result())
        {
            ended.push((about.modified()?, folder));
        }
    }
    ended.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    for (_, folder) in ended.into_iter().skip(KEPT_WHOLE) {
        fs::remove_dir_all(folder.work())?;
        for log in ["build.log", "build.log.gz"] {
            match fs::remove_file(folder.path().join(log)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Writes a file so that after a power loss it is there wholly or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // A build in a cage may run as another user of the same group.
    set_readable(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(dir)?.sync_all()
}

fn set_readable(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o640))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::payload::tests::request;

    #[test]
    fn a_folder_tells_what_became_of_its_build() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path(), request().request_id);
        assert_eq!(folder.trace().unwrap(), Trace::Never);
        folder.make(&request()).unwrap();
        assert_eq!(folder.trace().unwrap(), Trace::Unfinished);
        let yaml = fs::read_to_string(folder.path().join("overrides.yml")).unwrap();
        assert!(
            yaml.starts_with("---\n- base/types:\n    remote_branch: refs/pull/7/head\n"),
            "{yaml}"
        );
        let end = BuildEnd {
            verdict: Verdict::Failure,
            ended_at: Timestamp(5),
            summary: "exit 1".into(),
        };
        folder.end(&end).unwrap();
        assert_eq!(folder.trace().unwrap(), Trace::Ended(end));
        fs::write(folder.path().join("result.json"), "half").unwrap();
        assert!(folder.trace().is_err());
    }

    #[test]
    fn old_builds_are_swept_but_known() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..(KEPT_WHOLE + 3) {
            let id = RequestId([u8::try_from(number).unwrap(); 16]);
            let folder = Folder::new(dir.path(), id);
            folder.make(&request()).unwrap();
            folder
                .end(&BuildEnd {
                    verdict: Verdict::Success,
                    ended_at: Timestamp(0),
                    summary: String::new(),
                })
                .unwrap();
        }
        sweep(dir.path()).unwrap();
        let folders: Vec<Folder> =
            fs::read_dir(dir.path()).unwrap().map(|entry| Folder(entry.unwrap().path())).collect();
        assert_eq!(folders.iter().filter(|folder| folder.work().is_dir()).count(), KEPT_WHOLE);
        assert!(folders.iter().all(|folder| matches!(folder.trace(), Ok(Trace::Ended(_)))));
    }
}
