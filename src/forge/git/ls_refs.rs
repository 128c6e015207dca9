//! The `ls-refs` command of protocol v2: the server's capabilities, our request, its answer.

use std::collections::BTreeMap;

use crosswatch_core::model::identity::Oid;

use super::pktline::{DELIMITER, FLUSH, Packet, PacketError, Packets, data};

/// No listing has more.
pub const MAX_REFS: usize = 1_000_000;

/// The refs of a remote that were asked for. Never a part of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefList {
    /// The ref that `HEAD` points at, such as `refs/heads/main`.
    pub head_symref: Option<String>,
    /// Every ref by its full name, `HEAD` among them unless it is unborn.
    pub refs: BTreeMap<String, Oid>,
    /// What the symbolic ones of them point at.
    pub symrefs: BTreeMap<String, String>,
}

impl RefList {
    /// Adds one ref, unless its name is nothing that git allows.
    pub(super) fn add(&mut self, name: &str, oid: Option<Oid>, target: Option<&str>) {
        if !fit(name) {
            return;
        }
        if let Some(target) = target.filter(|target| fit(target)) {
            if name == "HEAD" {
                self.head_symref = Some(target.to_owned());
            }
            self.symrefs.insert(name.to_owned(), target.to_owned());
        }
        if let Some(oid) = oid {
            self.refs.insert(name.to_owned(), oid);
        }
    }

    /// Drops what was not asked for: prefixes are only a hint to the server.
    pub(super) fn retain(&mut self, prefixes: &[String]) {
        let asked = |name: &String| {
            name == "HEAD" || prefixes.is_empty() || prefixes.iter().any(|p| name.starts_with(p))
        };
        self.refs.retain(|name, _| asked(name));
        self.symrefs.retain(|name, _| asked(name));
    }
}

fn fit(name: &str) -> bool {
    (name == "HEAD" || name.starts_with("refs/"))
        && name.len() <= 4096
        && !name.contains("..")
        && !name.chars().any(|c| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '\\'))
}

/// What a server of protocol v2 can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether it names the branch of an empty repository.
    pub unborn: bool,
    /// Whether its object names are SHA-256.
    pub sha256: bool,
}

/// Reads the advertisement; `Ok(None)` when the server speaks another version.
pub fn capabilities<'a>(packets: &mut Packets<'a>) -> Result<Option<Capabilities>, String> {
    let mut first = packets.expect().map_err(said)?;
    if matches!(first, Packet::Data(line) if line.starts_with(b"# service=")) {
        packets.expect().map_err(said)?;
        first = packets.expect().map_err(said)?;
    }
    match first {
        Packet::Data(line) if trimmed(line) == b"version 2" => {}
        Packet::Data(line) => return refused(line).map_or(Ok(None), Err),
        _ => return Ok(None),
    }
    let mut found = Capabilities::default();
    let mut lists = false;
    loop {
        let line = match packets.expect().map_err(said)? {
            Packet::Flush => return Ok(lists.then_some(found)),
            Packet::Data(line) => String::from_utf8_lossy(trimmed(line)).into_owned(),
            _ => return Err("the list of capabilities is not one".to_owned()),
        };
        match line.split_once('=').unwrap_or((&line, "")) {
            ("ls-refs", features) => {
                lists = true;
                found.unborn = features.split(' ').any(|feature| feature == "unborn");
            }
            ("object-format", "sha256") => found.sha256 = true,
            ("object-format", "sha1") => {}
            ("object-format", _) => return Err("its object format is unknown".to_owned()),
            _ => {}
        }
    }
}

/// The request for the refs below `prefixes` (none: all) and `HEAD`.
pub fn request(found: &Capabilities, prefixes: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut line = |text: &str| data(&mut out, text).map_err(said);
    line("command=ls-refs\n")?;
    line(concat!("agent=crosswatch/", env!("CARGO_PKG_VERSION"), "\n"))?;
    line(if found.sha256 { "object-format=sha256" } else { "object-format=sha1" })?;
    out.extend_from_slice(DELIMITER);
    let mut line = |text: &str| data(&mut out, text).map_err(said);
    line("symrefs\n")?;
    if found.unborn {
        line("unborn\n")?;
    }
    if !prefixes.is_empty() {
        line("ref-prefix HEAD\n")?;
    }
    for prefix in prefixes {
        if prefix.chars().any(char::is_control) {
            return Err(format!("{prefix:?} is not the beginning of a ref's name"));
        }
        line(&format!("ref-prefix {prefix}\n"))?;
    }
    out.extend_from_slice(FLUSH);
    Ok(out)
}

/// Reads the answer up to its flush; anything else than a whole answer is an error.
pub fn answer(packets: &mut Packets<'_>, sha256: bool) -> Result<RefList, String> {
    let mut list = RefList::default();
    let mut count = 0_usize;
    loop {
        let line = match packets.expect().map_err(said)? {
            Packet::Flush => return Ok(list),
            Packet::Data(line) => trimmed(line),
            Packet::Delimiter | Packet::ResponseEnd => {
                return Err("the list of refs ends without its end".to_owned());
            }
        };
        if let Some(error) = refused(line) {
            return Err(error);
        }
        count = count.saturating_add(1);
        if count > MAX_REFS {
            return Err(format!("it lists more than {MAX_REFS} refs"));
        }
        // A name that is not UTF-8 cannot be any that a person configured.
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut words = line.split(' ');
        let (oid, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let target = words.find_map(|word| word.strip_prefix("symref-target:"));
        let oid = match oid {
            "unborn" => None,
            oid if oid.len() == if sha256 { 64 } else { 40 } => Some(oid.parse::<Oid>()?),
            _ => return Err("a line of the list has no object name".to_owned()),
        };
        if name.is_empty() {
            return Err("a line of the list has no ref".to_owned());
        }
        list.add(name, oid, target);
    }
}

/// The output of `git ls-remote --symref`.
pub(super) fn ls_remote(output: &str) -> Result<RefList, String> {
    let mut list = RefList::default();
    for line in output.lines() {
        let (left, name) = line.split_once('\t').ok_or("git ls-remote printed another format")?;
        match left.strip_prefix("ref: ") {
            Some(target) => list.add(name, None, Some(target)),
            None => list.add(name, Some(left.parse()?), None),
        }
    }
    Ok(list)
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

fn refused(line: &[u8]) -> Option<String> {
    let message = String::from_utf8_lossy(line.strip_prefix(b"ERR ")?).into_owned();
    let message: String = message.chars().filter(|c| !c.is_control()).take(300).collect();
    Some(format!("it said {message:?}"))
}

fn said(error: PacketError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::fuzz::target;

    const A: &str = "0123456789abcdef0123456789abcdef01234567";

    fn lines(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| data(&mut bytes, line).expect("short"));
        bytes.extend_from_slice(FLUSH);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<RefList, String> {
        answer(&mut Packets::new(bytes), false)
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let bytes = lines(&[
            &format!("{A} HEAD symref-target:refs/heads/main\n"),
            &format!("{A} refs/heads/main\n"),
            &format!("{A} refs/pull/1/base symref-target:refs/heads/main\n"),
        ]);
        let list = read(&bytes).expect("an answer");
        assert_eq!(list.head_symref.as_deref(), Some("refs/heads/main"));
        assert_eq!(list.refs.len(), 3);
        assert_eq!(list.symrefs["refs/pull/1/base"], "refs/heads/main");
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn wrong_answers_are_refused() {
        assert!(read(&lines(&["ERR no such repository"])).is_err_and(|e| e.contains("no such")));
        assert!(read(&lines(&["1234 refs/heads/main"])).is_err());
        assert!(read(&lines(&[A])).is_err());
        assert!(read(b"<html>").is_err());
        let long = "a".repeat(64);
        assert!(answer(&mut Packets::new(&lines(&[&format!("{long} HEAD")])), true).is_ok());
        assert!(read(&lines(&[&format!("{long} HEAD")])).is_err());
    }

    #[test]
    fn an_unborn_head_has_a_name_and_no_commit() {
        let list = read(&lines(&["unborn HEAD symref-target:refs/heads/main\n"])).expect("read");
        assert_eq!((list.head_symref.as_deref(), list.refs.len()), (Some("refs/heads/main"), 0));
    }

    #[test]
    fn capabilities_tell_the_version() {
        let ask = |bytes: &[u8]| capabilities(&mut Packets::new(bytes));
        let two = lines(&["version 2\n", "ls-refs=unborn\n", "object-format=sha256\n"]);
        assert_eq!(ask(&two), Ok(Some(Capabilities { unborn: true, sha256: true })));
        let mut http = lines(&["# service=git-upload-pack\n"]);
        http.extend(&two);
        assert!(ask(&http).is_ok_and(|found| found.is_some()));
        assert_eq!(ask(&lines(&[&format!("{A} HEAD\0multi_ack")])), Ok(None));
        assert!(ask(b"<!doctype html>").is_err());
        assert!(ask(&lines(&["ERR gone"])).is_err());
    }

    #[test]
    fn no_answer_makes_a_reader_fall() {
        let hello = lines(&["version 2\n", "agent=git/2.47\n", "ls-refs=unborn\n", "fetch\n"]);
        let refs = lines(&[
            &format!("{A} HEAD symref-target:refs/heads/main\n"),
            &format!("{A} refs/heads/main\n"),
            &format!("{A} refs/pull/1/head peeled:{A}\n"),
        ]);
        let listed = format!("ref: refs/heads/main\tHEAD\n{A}\tHEAD\n{A}\trefs/heads/main\n");
        let read = target("pkt-lines", &[&hello, &refs, listed.as_bytes()], |bytes| {
            let hello = capabilities(&mut Packets::new(bytes)).is_ok();
            let refs = answer(&mut Packets::new(bytes), false).is_ok();
            hello || refs || ls_remote(&String::from_utf8_lossy(bytes)).is_ok()
        });
        assert!(read > 500, "{read}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            drop(read(&bytes));
            drop(capabilities(&mut Packets::new(&bytes)));
        }
    }
}
