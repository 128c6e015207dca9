//! Kept answers as files of a folder, so that a restart costs no quota. Losing any costs one request.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest first line of a file.
const LINE: usize = 16 * 1024;
const ENDING: &str = "answer";

/// Files of a folder that belongs to the daemon alone.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
}

/// What is known of an answer without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Name of the file, made from credential, URL and the headers that select an answer.
    pub(super) id: String,
    pub(super) etag: String,
    /// Headers that belong to the body.
    pub(super) headers: Vec<(String, String)>,
    /// When it was last read without a condition.
    pub(super) read_at: Timestamp,
    /// Of the body.
    pub(super) digest: String,
    pub(super) size: usize,
}

impl Shelf {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Everything that can be read. What cannot is removed.
    pub(super) fn list(&self) -> io::Result<Vec<Kept>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if !matches!(ending, Some(ENDING | "part")) {
                continue;
            }
            let kept = fs::File::open(&path).ok().and_then(|file| first_line(file).ok());
            let kept = kept.filter(|(kept, _)| path == self.path(&kept.id));
            match kept {
                Some((kept, _)) => all.push(kept),
                None => fs::remove_file(&path)?,
            }
        }
        Ok(all)
    }

    /// The body, if it is whole.
    pub(super) fn read(&self, kept: &Kept) -> Option<Bytes> {
        let file = fs::File::open(self.path(&kept.id)).ok()?;
        let (found, mut rest) = first_line(file).ok()?;
        let mut body = Vec::with_capacity(kept.size);
        let longest = u64::try_from(kept.size).ok()?.saturating_add(1);
        rest.by_ref().take(longest).read_to_end(&mut body).ok()?;
        let whole = found == *kept && digest(&body) == kept.digest;
        whole.then(|| Bytes::from(body))
    }

    pub(super) fn write(&self, kept: &Kept, body: &[u8]) -> io::Result<()> {
        let path = self.path(&kept.id);
        let part = path.with_extension("part");
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&part)?;
        let mut line = serde_json::to_vec(kept)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.write_all(body)?;
        drop(file);
        fs::rename(part, path)
    }

    pub(super) fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        let plain: String = id.chars().filter(char::is_ascii_hexdigit).collect();
        self.folder.join(plain).with_extension(ENDING)
    }
}

pub(super) fn digest(body: &[u8]) -> String {
    blake3::hash(body).to_hex().to_string()
}

/// What stands in the first line, and a reader of the rest.
fn first_line(file: fs::File) -> io::Result<(Kept, impl Read)> {
    let mut rest = io::BufReader::new(file);
    let mut line = Vec::new();
    let longest = u64::try_from(LINE).unwrap_or(u64::MAX);
    io::BufRead::read_until(&mut rest.by_ref().take(longest), b'\n', &mut line)?;
    Ok((serde_json::from_slice(&line)?, rest))
}
