//! The cases of repo's published grammar, and documents that are refused.

use super::*;
use crate::model::manifest::Pin;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn shown(read: &ReadManifest) -> String {
    let lines: Vec<String> = read
        .manifest
        .packages
        .iter()
        .map(|package| {
            let Vcs::Git { url, branch, pin } = &package.vcs else { panic!("git") };
            let at = match (branch, pin) {
                (_, Some(Pin::Commit(commit))) => {
                    format!("commit {}", commit.get(..7).unwrap_or(""))
                }
                (_, Some(Pin::Tag(tag))) => format!("tag {tag}"),
                (Some(branch), None) => branch.to_string(),
                (None, None) => "default".to_owned(),
            };
            let directory = package.directory.as_deref().unwrap_or_default();
            format!("{} {directory} {url} {at}", package.name)
        })
        .collect();
    lines.join("\n")
}

fn input<'a>(files: &'a [(String, Vec<u8>)]) -> Input<'a> {
    Input { files, source: Some("https://h/platform/manifest"), ..Input::default() }
}

fn file(path: &str, text: &str) -> (String, Vec<u8>) {
    (path.to_owned(), text.as_bytes().to_vec())
}

#[test]
fn the_whole_grammar_is_read() {
    let text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<manifest>
  <notice>Hello &amp; welcome</notice>
  <remote name="aosp" fetch=".." review="https://review.h/"/>
  <remote name="vendor" fetch="ssh://git@v.example.org/base/" revision="refs/heads/v2" alias="o"/>
  <default remote="aosp" revision="main" sync-j="4"/>
  <manifest-server url="https://m.h/"/>
  <superproject name="super" remote="aosp"/>
  <contactinfo bugurl="x"/>
  <project path="build/make" name="platform/build" groups="pdk,tradefed">
    <copyfile src="core/root.mk" dest="Makefile"/>
    <linkfile src="a" dest="b"/>
    <annotation name="a" value="b"/>
    <project name="sub" path="inner"/>
  </project>
  <project name="device/thing" remote="vendor"/>
  <project name="pinned" revision="{COMMIT}" upstream="refs/heads/stable"/>
  <project name="tagged" revision="refs/tags/v1.0"/>
  <project name="leaked" revision="refs/pull/4/head"/>
  <project name="twice" path="twice/a"/>
  <project name="twice" path="twice/b" revision="other"/>
  <project name="mac" groups="notdefault,platform-darwin"/>
  <project name="gone"/>
  <project name="again"/>
  <remove-project name="again"/>
  <project name="again" path="new/again" revision="next"/>
  <remove-project name="gone"/>
  <remove-project path="not/there" optional="true"/>
  <extend-project name="twice" path="twice/a" revision="extended"/>
  <extend-project name="tagged" dest-path="moved/tagged" groups="more"/>
  <repo-hooks in-project="hooks" enabled-list="pre-upload"/>
  <include name="more.xml" groups="extra" revision="included"/>
</manifest>"#
    );
    let files = [
        file(
            ".repo/manifests/more.xml",
            "<manifest><remote name='git' fetch='git://g.h'/><project name='more' remote='git'/>\
             <include name='deep/most.xml'/></manifest>",
        ),
        file(".repo/manifests/deep/most.xml", "<manifest><project name='most'/></manifest>"),
        file(
            ".repo/local_manifests/b.xml",
            "<manifest><extend-project name='more' revision='local'/></manifest>",
        ),
        file(
            ".repo/local_manifests/a.xml",
            "<manifest><remove-project name='device/thing'/></manifest>",
        ),
    ];
    let read = read(&text, &input(&files)).expect("a manifest");
    insta::assert_snapshot!(shown(&read), @r"
    again new/again https://h/again next
    leaked leaked https://h/leaked default
    more more git://g.h/more local
    most most https://h/most included
    pinned pinned https://h/pinned commit 0123456
    platform/build build/make https://h/platform/build main
    platform/build/sub build/make/inner https://h/platform/build/sub main
    tagged moved/tagged https://h/tagged tag v1.0
    twice/a twice/a https://h/twice extended
    twice/b twice/b https://h/twice other
    ");
    assert_eq!(read.change_refs, [("leaked".into(), "refs/pull/4/head".to_owned())]);
    assert!(read.notes.iter().any(|note| note.starts_with("1 projects are in no group")));
    let pinned = read.manifest.package("pinned").expect("pinned");
    assert!(matches!(&pinned.vcs, Vcs::Git { branch: Some(b), .. } if b.as_str() == "stable"));
}

#[test]
fn groups_that_were_chosen_decide() {
    let text = "<manifest><remote name='r' fetch='https://h'/><default remote='r' revision='m'/>
        <project name='a' groups='x'/><project name='b' groups='notdefault,y'/>
        <project name='c' groups='x,z'/></manifest>";
    let with = |groups: &str| {
        let config =
            format!("[core]\n\tbare = true\n[manifest]\n\tplatform = auto\n\tgroups = {groups}\n");
        let files = [file(".repo/manifests.git/config", &config)];
        let read = read(text, &input(&files)).expect("a manifest");
        read.manifest.packages.iter().map(|p| p.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(with("default"), "a c");
    assert_eq!(with("all"), "a b c");
    assert_eq!(with("default,y,-z"), "a b");
    assert_eq!(with("x,-path:c"), "a");
}

#[test]
fn errors_name_file_line_and_element() {
    let wrap = |inner: &str| format!("<manifest>\n{inner}</manifest>");
    let remote = "<remote name='r' fetch='https://h'/><default remote='r' revision='m'/>\n";
    for (text, said) in [
        ("<a/>".to_owned(), "line 1, column 1: <a>: expected <manifest>"),
        (wrap("<remote name='r'/>"), "line 2, column 1: <remote>: expected the attribute `fetch`"),
        (wrap("<project name='a'/>"), "line 2, column 1: <project>: expected a remote"),
        (
            wrap(&format!("{remote}<project/>")),
            "line 3, column 1: <project>: expected the attribute",
        ),
        (
            wrap(&format!("{remote}<project name='a'/><project name='b' path='a'/>")),
            "no other project",
        ),
        (wrap(&format!("{remote}<remove-project name='a'/>")), "project before it, found \"a\""),
        (wrap(&format!("{remote}<extend-project name='a'/>")), "project before it, found \"a\""),
        (
            wrap(&format!("{remote}<project name='a' path='../b'/>")),
            "path: expected a folder inside",
        ),
        (wrap("<include name='x.xml'/>"), "line 2, column 1: <include>: expected a file"),
        (
            wrap("<include name='broken.xml'/>"),
            ".repo/manifests/broken.xml: line 1, column 1: <manifest> is",
        ),
        (wrap("<include name='loop.xml'/>"), "at most 16 includes inside each other"),
        (wrap(remote), "lists no packages"),
        (
            "<!DOCTYPE m [<!ENTITY a 'b'>]><manifest/>".to_owned(),
            "line 1, column 1: a document type",
        ),
    ] {
        let files = [
            file(".repo/manifests/broken.xml", "<manifest>"),
            file(".repo/manifests/loop.xml", "<manifest><include name='loop.xml'/></manifest>"),
        ];
        let error = read(&text, &input(&files)).expect_err("refused").to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn includes_cannot_explode() {
    let many: String = (0..30).map(|_| "<include name='a.xml'/>").collect();
    let text = format!("<manifest>{many}</manifest>");
    let files = [file("a.xml", &text)];
    assert!(read(&text, &input(&files)).is_err());
}
