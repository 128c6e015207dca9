//! Reads secrets from where the configuration says that they are.

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crosswatch_core::model::settings::SecretRef;
use nix::fcntl::OFlag;
use secrecy::SecretString;

const MAX_BYTES: u64 = 64 * 1024;

type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// Where secrets may be read from.
pub struct Secrets {
    variables: Box<Variables>,
}

impl Secrets {
    /// The process' own environment.
    pub fn from_environment() -> Self {
        Self::with(|name| std::env::var_os(name))
    }

    /// An environment made up by the caller.
    pub fn with(variables: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self { variables: Box::new(variables) }
    }

    /// The secret, without newlines at its end.
    pub fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        match reference {
            SecretRef::File(path) => read(path),
            SecretRef::Credential(name) => {
                let folder = (self.variables)("CREDENTIALS_DIRECTORY")
                    .filter(|folder| !folder.is_empty())
                    .ok_or_else(|| SecretError::NoCredentials { name: name.clone() })?;
                read(&PathBuf::from(folder).join(name))
            }
            SecretRef::Env(name) => {
                let value = (self.variables)(name)
                    .ok_or_else(|| SecretError::NoVariable { name: name.clone() })?;
                let what = format!("environment variable {name}");
                if value.len() as u64 > MAX_BYTES {
                    return Err(SecretError::TooLong { what });
                }
                match value.into_string() {
                    Ok(text) => finish(text, what),
                    Err(_) => Err(SecretError::NotText { what }),
                }
            }
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// Why a secret could not be read. Never has the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("the secret file {path} cannot be read ({reason}); create it, readable by the daemon's user", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::ErrorKind,
    },
    /// Everybody on the machine may read or change the file.
    #[error("the secret file {path} is open to everybody (mode {mode:04o}); run: chmod o-rwx {path}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A folder, a pipe or a device.
    #[error("{path} is not a file; name a regular file that has the secret", path = path.display())]
    NotAFile {
        /// What it is called.
        path: PathBuf,
    },
    /// The variable is not set.
    #[error(
        "the environment variable {name} is not set; set it for the daemon, or use {{file: PATH}}"
    )]
    NoVariable {
        /// The variable.
        name: String,
    },
    /// Not started with credentials.
    #[error(
        "there is no $CREDENTIALS_DIRECTORY for the credential {name}; start the daemon by systemd with LoadCredential={name}:PATH, or use {{file: PATH}}"
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// Longer than a secret is.
    #[error("{what} has more than 64 KiB; name a file with the secret alone")]
    TooLong {
        /// Where it was read.
        what: String,
    },
    /// Not UTF-8.
    #[error("{what} is not UTF-8 text; name a file with the secret as text")]
    NotText {
        /// Where it was read.
        what: String,
    },
    /// Nothing in it.
    #[error("{what} is empty; write the secret into it")]
    Empty {
        /// Where it was read.
        what: String,
    },
}

fn read(path: &Path) -> Result<SecretString, SecretError> {
    let unreadable = |error: std::io::Error| SecretError::Unreadable {
        path: path.to_owned(),
        reason: error.kind(),
    };
    // Without NONBLOCK the opening of a pipe would wait for its other end.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile { path: path.to_owned() });
    }
    if metadata.mode() & 0o007 != 0 {
        return Err(SecretError::Open { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    let what = format!("the secret file {}", path.display());
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(SecretError::TooLong { what });
    }
    match String::from_utf8(bytes) {
        Ok(text) => finish(text, what),
        Err(_) => Err(SecretError::NotText { what }),
    }
}

fn finish(mut text: String, what: String) -> Result<SecretString, SecretError> {
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.is_empty() { Err(SecretError::Empty { what }) } else { Ok(SecretString::from(text)) }
}
