//! Further files of a workspace that match patterns, for the reader of its manifest.

use std::io::Read;
use std::path::Path;

/// Entries of folders that are looked at for one manifest, and files that are read.
const MAX_ENTRIES: usize = 1_000_000;
const MAX_FILES: usize = 50_000;
const MAX_DEPTH: usize = 40;

/// Files below `root` whose path matches one of `patterns`, in path order, each once.
///
/// `*` stands for anything in one part of a path, `**` for any number of folders; neither for a name
/// that begins with a dot. Links are not followed, since they could lead out of the workspace.
pub(super) fn matching(
    root: &Path,
    patterns: &[String],
    max_bytes: u64,
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut walk = Walk { found: Vec::new(), entries: 0, bytes_left: max_bytes };
    let patterns: Vec<Vec<&str>> = patterns
        .iter()
        .map(|pattern| pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect())
        .collect();
    let patterns: Vec<&[&str]> = patterns.iter().map(Vec::as_slice).collect();
    walk.folder(root, "", &patterns, 0)?;
    walk.found.sort();
    Ok(walk.found)
}

struct Walk {
    found: Vec<(String, Vec<u8>)>,
    entries: usize,
    bytes_left: u64,
}

impl Walk {
    /// Looks into a folder with what is left of each pattern there.
    fn folder(
        &mut self,
        folder: &Path,
        shown: &str,
        patterns: &[&[&str]],
        depth: usize,
    ) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Ok(());
        }
        // A folder that cannot be read holds nothing for us; the tool made what it needs.
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
        for entry in entries.flatten() {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(format!(
                    "the workspace has more than {MAX_ENTRIES} files; narrow `manifest.files`"
                ));
            }
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            let Some(name) = name.to_str() else { continue };
            let path = if shown.is_empty() { name.to_owned() } else { format!("{shown}/{name}") };
            if kind.is_dir() {
                let below = below(patterns, name);
                if !below.is_empty() {
                    self.folder(&entry.path(), &path, &below, depth + 1)?;
                }
            } else if kind.is_file() && patterns.iter().any(|pattern| is_file(pattern, name)) {
                self.read(&entry.path(), path)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, file: &Path, path: String) -> Result<(), String> {
        if self.found.len() >= MAX_FILES {
            return Err(format!("more than {MAX_FILES} files match `manifest.files`"));
        }
        let mut bytes = Vec::new();
        let read = std::fs::File::open(file)
            .and_then(|file| file.take(self.bytes_left.saturating_add(1)).read_to_end(&mut bytes));
        // It may be gone again.
        let Ok(read) = read else { return Ok(()) };
        self.bytes_left = self.bytes_left.checked_sub(read as u64).ok_or_else(|| {
            format!(
                "the files of `manifest.files` are larger than `manifest.max_bytes` with {path}"
            )
        })?;
        self.found.push((path, bytes));
        Ok(())
    }
}

/// What is left of the patterns inside the folder `name`.
fn below<'p>(patterns: &[&'p [&'p str]], name: &str) -> Vec<&'p [&'p str]> {
    let mut below: Vec<&[&str]> = Vec::new();
    let mut add = |rest: &'p [&'p str]| {
        if !rest.is_empty() && !below.contains(&rest) {
            below.push(rest);
        }
    };
    for pattern in patterns.iter().copied() {
        match pattern {
            ["**", rest @ ..] => {
                if !name.starts_with('.') {
                    add(pattern);
                }
                if let [first, rest @ ..] = rest
                    && part(first, name)
                {
                    add(rest);
                }
            }
            [first, rest @ ..] if part(first, name) => add(rest),
            _ => {}
        }
    }
    below
}

fn is_file(pattern: &[&str], name: &str) -> bool {
    match pattern {
        [last] | ["**", last] => *last != "**" && part(last, name),
        _ => false,
    }
}

/// Whether one part of a path fits, in linear time.
fn part(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_files_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        for path in
            ["a/west.yml", "a/b/c/package.xml", "package.xml", ".git/package.xml", ".west/config"]
        {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "12345").unwrap();
        }
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("a/package.xml")).unwrap();
        let found = |patterns: &[&str], most| {
            let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
            matching(root.path(), &patterns, most)
                .map(|found| found.into_iter().map(|(path, _)| path).collect::<Vec<_>>())
        };
        assert_eq!(found(&["**/package.xml"], 99).unwrap(), ["a/b/c/package.xml", "package.xml"]);
        assert_eq!(found(&["*/west.yml", "./a/w*"], 99).unwrap(), ["a/west.yml"]);
        assert_eq!(found(&[".west/config"], 99).unwrap(), [".west/config"]);
        assert_eq!(found(&["link/*", "a/**"], 99).unwrap(), Vec::<String>::new());
        assert!(found(&["**/package.xml"], 9).unwrap_err().contains("max_bytes"));
    }

    #[test]
    fn stars_match_within_a_part() {
        for (pattern, name, fits) in [
            ("*.repos", "ros2.repos", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "acb", false),
            ("*", ".hidden", false),
            ("west.yml", "west.yml", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(part(pattern, name), fits, "{pattern} {name}");
        }
    }
}
