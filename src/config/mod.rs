//! `workspaces.yaml`: read once into a tree with places, walked once into [`Settings`].

mod error;
mod keys;
mod mask;
mod nearest;
mod resolved;
mod schema;
mod secret;
#[cfg(test)]
mod tests;
mod tree;
mod walk;
mod watch;

use std::io::Read;
use std::path::Path;

use crosswatch_core::model::settings::{SecretRef, Settings};

pub use error::{ConfigError, ConfigErrors, Place};
pub use resolved::resolved;
pub use schema::schema;
pub use secret::{SecretError, Secrets};
pub use watch::Watch;

/// Largest configuration that is read.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Reads a configuration and checks that its secrets can be read.
pub fn load(path: &Path, secrets: &Secrets) -> Result<Settings, ConfigErrors> {
    let text = read(path).map_err(|error| ConfigErrors::whole(path, error))?;
    let check = |(reference, place, key): &(SecretRef, Place, String)| {
        let error = secrets.resolve(reference).err()?;
        Some(ConfigError::new(error.to_string()).at(*place).under(key.as_str()))
    };
    build(&text, path, |found| found.iter().filter_map(check).collect())
}

/// Reads a configuration without its secrets, which only the daemon may be able to read.
pub fn without_secrets(path: &Path) -> Result<Settings, ConfigErrors> {
    let text = read(path).map_err(|error| ConfigErrors::whole(path, error))?;
    parse(&text, path)
}

/// Reads a configuration and names its secrets by their keys, without reading them.
pub fn with_references(path: &Path) -> Result<(Settings, Vec<(String, SecretRef)>), ConfigErrors> {
    let text = read(path).map_err(|error| ConfigErrors::whole(path, error))?;
    let mut named = Vec::new();
    let settings = build(&text, path, |found| {
        named.extend(found.iter().map(|(reference, _, key)| (key.clone(), reference.clone())));
        Vec::new()
    })?;
    Ok((settings, named))
}

/// Understands the text of a configuration; `origin` names it and its folder. Secrets are not read.
pub fn parse(text: &str, origin: &Path) -> Result<Settings, ConfigErrors> {
    build(text, origin, |_| Vec::new())
}

fn build(
    text: &str,
    origin: &Path,
    check: impl FnOnce(&[(SecretRef, Place, String)]) -> Vec<ConfigError>,
) -> Result<Settings, ConfigErrors> {
    let whole = |error| ConfigErrors::whole(origin, error);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refuse_unread(text.as_bytes()).map_err(whole)?;
    let read = tree::read(text);
    let masks = mask::Masks::of(&read);
    let tree::Text { root, mut errors, .. } = read;
    let Some(root) = root.filter(|root| !root.is_nothing()) else {
        if errors.is_empty() {
            errors.push(empty());
        }
        return Err(ConfigErrors::new(origin, text, &masks, errors));
    };
    let folder = origin.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let walked = walk::walk(&root, &folder);
    errors.extend(walked.errors);
    errors.extend(check(&walked.secrets));
    if errors.is_empty() {
        Ok(walked.settings)
    } else {
        Err(ConfigErrors::new(origin, text, &masks, errors))
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |error: std::io::Error| {
        ConfigError::new(format!("the configuration cannot be read ({error})"))
            .mend("name a file that the daemon's user may read")
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ConfigError::new("this is not a file").mend("name the file workspaces.yaml"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    refuse_unread(&bytes)?;
    String::from_utf8(bytes).map_err(|_| binary())
}

/// Refuses by name what is not worth parsing.
fn refuse_unread(bytes: &[u8]) -> Result<(), ConfigError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
        return Err(binary());
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(empty());
    }
    Ok(())
}

fn too_large() -> ConfigError {
    ConfigError::new("larger than 4 MiB")
        .mend("name a workspaces.yaml; no configuration is that large")
}

fn binary() -> ConfigError {
    ConfigError::new("binary: not UTF-8 text").mend("name a workspaces.yaml written as UTF-8 text")
}

fn empty() -> ConfigError {
    ConfigError::new("the file is empty").mend("begin with workspaces.example.yaml")
}
