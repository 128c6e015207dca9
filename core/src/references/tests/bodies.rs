//! Bodies as people and bots write them, whole and torn.

use super::*;

/// Name, whose change, body, what it refers to, numbers of findings and notes.
type Body = (&'static str, On, &'static str, &'static [&'static str], (usize, usize));

const BODIES: &[Body] = &[
    (
        "a template filled in",
        On::GitHub,
        r#"<!--
Thank you for your pull request! Please read CONTRIBUTING.md first.
Depends on: #1234 (delete this line if there is none)
-->

## Description

Reworks the aggregator so that it no longer depends on the order of samples, see #88.

Fixes #1431

## Depends on

<!-- List the pull requests that have to be merged first:
- [ ] owner/repository#12
-->
- [x] rock-core/base-types#101
- [ ] rock-core/base-cmake#58 (supersedes #57)
- [ ] The bindings: https://github.com/rock-core/tools-orogen/pull/140/files

## Type of change

- [ ] Bug fix (non-breaking change which fixes an issue)
- [x] New feature, see #12
- [ ] Breaking change

## Checklist

- [x] `bundle exec rake test` passes
- [ ] Documentation, #13
"#,
        &["rock-core/base-cmake#58", "rock-core/tools-orogen#140"],
        (0, 0),
    ),
    (
        "a template left as it is",
        On::GitHub,
        r#"### What does this PR do?

### Depends on

- [ ] <!-- owner/repository#number -->

Depends on: none

**Checklist**
- [ ] I have read the [contributing guide](CONTRIBUTING.md)
- [ ] Depends on: <!-- e.g. #123 -->
"#,
        &[],
        (0, 0),
    ),
    (
        "dependabot",
        On::GitHub,
        r#"Bumps [serde](https://github.com/serde-rs/serde) from 1.0.1 to 1.0.2.
<details>
<summary>Release notes</summary>
<p><em>Sourced from <a href="https://github.com/serde-rs/serde/releases">serde's releases</a>.</em></p>
<blockquote>
<h2>v1.0.2</h2>
<ul>
<li>Depends on: #2841 (<a href="https://redirect.github.com/serde-rs/serde/issues/2841">#2841</a>)</li>
</ul>
</blockquote>
</details>
<details>
<summary>Commits</summary>
<ul>
<li><a href="https://github.com/serde-rs/serde/commit/0123456"><code>0123456</code></a> Release</li>
</ul>
</details>
<br />

[![score](https://dependabot-badges.githubapp.com/badges/x)](https://docs.github.com/en/x)

Dependabot will resolve any conflicts with this PR as long as you don't alter it yourself.

[//]: # (dependabot-automerge-start)
[//]: # (dependabot-automerge-end)

---

<details>
<summary>Dependabot commands and options</summary>
<br />

You can trigger Dependabot actions by commenting on this PR:
- `@dependabot rebase` will rebase this PR
- `@dependabot recreate` will recreate this PR, overwriting any edits
</details>
"#,
        &[],
        (0, 0),
    ),
    (
        "renovate",
        On::GitLab,
        r#"This MR contains the following updates:

| Package | Type | Update | Change |
|---|---|---|---|
| [tokio](https://tokio.rs) ([source](https://github.com/tokio-rs/tokio)) | dependencies | minor | `1.53` -> `1.54` |

---

### Release Notes

<details>
<summary>tokio-rs/tokio (tokio)</summary>

### [`v1.54`](https://github.com/tokio-rs/tokio/releases/tag/v1.54)

- depends on mio 1.1 ([#7000])

[#7000]: https://github.com/tokio-rs/tokio/pull/7000

</details>

---

- [ ] <!-- rebase-check -->If you want to rebase/retry this MR, check this box
"#,
        &[],
        (0, 1),
    ),
    (
        "autoproj-daemon's users",
        On::GitHub,
        "Adds the new orogen model.\r\n\r\nDepends on:\r\n\r\n- [ ] rock-core/base-types#7\r\n- [ ] \
         https://github.com/rock-core/base-console_bridge/pull/3\r\n- [x] rock-core/base-logging#1\r\n\
         - [ ] `rock-core/tools-syskit#9`\r\n- [ ] syskit#10\r\n",
        &[
            "rock-core/base-types#7",
            "rock-core/base-console_bridge#3",
            "rock-core/tools-syskit#9",
            "?syskit#10",
        ],
        (1, 0),
    ),
    (
        "GitLab across forges",
        On::GitLab,
        "## What\n\nUses the new field.\n\n**🔗 Depends on：** !7, lib!8 and other/group/lib!9; #4 + \
         https://github.com/o/r/pull/2.\n\n/label ~bug\n/assign @me\n",
        &["g/s/p#7", "g/s/lib#8", "other/group/lib#9", "github.com/o/r#2"],
        (1, 0),
    ),
    (
        "everything wrong at once",
        On::GitHub,
        "Depends on: !3, #0, https://me:x@github.com/a/b/pull/1, https://x.org/a/b/pull/1, b#2\n\
         Depends on: `#5`\n> Depends on: #6\n\n## Depends on\n\na/b#7\n\n    Depends on: #8\n",
        &["?b#2"],
        (5, 3),
    ),
];

#[test]
fn real_bodies() {
    for (name, on, body, references, (findings, notes)) in BODIES {
        let found = read_on(*on, body);
        assert_eq!(written(&found, *on), *references, "{name}: {found:#?}");
        assert_eq!(
            (found.findings.len(), found.notes.len()),
            (*findings, *notes),
            "{name}: {found:#?}"
        );
    }
}

#[test]
fn what_people_are_told() {
    let (_, on, body, ..) = BODIES[BODIES.len() - 1];
    let found = read_on(on, body);
    let line = |kind: &str, finding: &Finding| {
        format!("{kind} in line {}: {}: {}", finding.line, finding.as_written, finding.text)
    };
    let findings = found.findings.iter().map(|finding| line("finding", finding));
    let told: Vec<String> =
        findings.chain(found.notes.iter().map(|note| line("note", note))).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    finding in line 1: !3: for a pull request write #3
    finding in line 1: #0: changes are numbered from 1
    finding in line 1: https://…@github.com/a/b/pull/1: the address has a user in it; write it without
    finding in line 1: https://x.org/a/b/pull/1: not a change: no configured forge serves it on x.org
    finding in line 1: b#2: no owner is named: write OWNER/b#2; without one it counts only if exactly one watched repository has that name
    note in line 2: #5: not read: it is code; write it without the backticks
    note in line 7: a/b#7: not read: below the phrase references stand in a list; begin the line with `- `
    note in line 9: #8: not read: it is code; write it as plain text
    ");
}

/// Small and the same everywhere: a failing round can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % end.max(1)
    }
}

fn mutated(random: &mut Random) -> String {
    const SCRAPS: &[&str] = &[
        "Depends on",
        "Depends on: ",
        "\n",
        "\n\n",
        "- ",
        "- [ ] ",
        "- [x] ",
        "#12",
        "!12",
        "a/b#3",
        "~~",
        "`",
        "```\n",
        "> ",
        "<!--",
        "-->",
        "**",
        "_",
        "|",
        "\n|---|---|\n",
        "<details>",
        "<summary>Depends on</summary>\n",
        "</details>\n",
        "<del>",
        "</del>",
        "<blockquote>\n\n",
        "https://github.com/a/b/pull/12",
        "https://",
        "[x](",
        ")",
        "(",
        ":",
        "：",
        "\u{a0}",
        "\r\n",
        "🔗",
        "&amp;",
        "\\",
        "    ",
        "\t",
        "#",
        "@",
        "\u{0}",
        "[",
        "]",
        "1. ",
        "<",
        ">",
        "## ",
    ];
    let (_, _, body, ..) = BODIES[random.below(BODIES.len())];
    let mut chars: Vec<char> = body.chars().collect();
    for _ in 0..=random.below(8) {
        let at = random.below(chars.len() + 1);
        match random.below(4) {
            0 => {
                let end = (at + 1 + random.below(40)).min(chars.len());
                chars.drain(at..end);
            }
            1 => {
                let end = (at + random.below(60)).min(chars.len());
                let part: Vec<char> = chars[at..end].to_vec();
                let to = random.below(chars.len() + 1);
                chars.splice(to..to, part);
            }
            2 => {
                let scrap = SCRAPS[random.below(SCRAPS.len())];
                chars.splice(at..at, scrap.chars());
            }
            _ => chars.truncate(at.max(20)),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn twenty_thousand_torn_bodies() {
    let locator = locator();
    let forges = forges(&locator);
    let owners = [own(On::GitHub), own(On::GitLab), own(On::Gitea), own(On::Enterprise)];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut some = 0;
    for round in 0..20_000 {
        let body = mutated(&mut random);
        let of = &owners[random.below(owners.len())];
        let grammar = match random.below(8) {
            0 => Grammar::Autoproj,
            1 => Grammar::Zuul,
            _ => Grammar::Default,
        };
        let context = Context { grammar, ..Context::new(of, &forges) };
        let found = read(&body, &context);
        let lines = u32::try_from(body.split('\n').count()).expect("small");
        let places = found.references.iter().map(|one| one.line);
        let places = places.chain(found.findings.iter().chain(&found.notes).map(|one| one.line));
        for line in places {
            assert!(
                (1..=lines).contains(&line),
                "round {round}: line {line} of {body:?}: {found:?}"
            );
        }
        for reference in &found.references {
            assert_ne!(reference.change, *of, "round {round}: {body:?}");
            assert!(reference.change.number > 0, "round {round}: {body:?}");
        }
        some += usize::from(!found.references.is_empty());
    }
    assert!(some > 2_000, "the bodies are torn beyond recognition: {some}");
}
