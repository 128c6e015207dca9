//! Identity, which changes matter to a workspace, and adoption.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "renamed branches",
        sentence: "A base branch whose old name the forge redirects, or that vanished in the same look in which changes with equal heads moved to a new name, is an alias.",
        rows: &[
            "nothing is built, and a push is | o/a | o/a#1; ! o/a#1; end success; rename o/a main trunk; +3600; o/a#1 is unchanged; mainline is unchanged; o/a#1; +0; +30 o/a#1; o/a#1 base trunk; base o/a; +0 ~; +120 mainline",
            "a build that runs goes on | o/a | o/a#1; ! o/a#1; rename o/a main trunk; +0; o/a#1 is build; o/a#1 cancels 0",
            "on plain git | a | a#1; on a#1 main; ! a#1; end success; rename a main trunk; +3600; a#1 is unchanged; base a; +0; +120 mainline",
            "twice | o/a | o/a#1; ! o/a#1; end success; rename o/a main trunk; +60; rename o/a trunk master; +60; o/a#1 is unchanged",
            "and back | o/a | o/a#1; ! o/a#1; end success; rename o/a main trunk; +60; rename o/a trunk main; +60; o/a#1 is unchanged; mainline lacks called",
            "the manifest follows later | o/a | o/a#1; ! o/a#1; end success; rename o/a main trunk; mainline notes is called trunk now; written o/a trunk; +3600; o/a#1 is unchanged; mainline is unchanged; o/a#2; ! o/a#2",
            "a new change for the new name | o/a | rename o/a main trunk; o/a#1; ! o/a#1; o/a#1 base trunk",
            "an approval stays one | o/a | o/a#1; stranger o/a#1; !; approve o/a#1; +0 o/a#1; rename o/a main trunk; +60; o/a#1 is build",
            "what is held stays so | * o/a | use adopt none; o/a#1; +0; rename o/a main trunk; +3600; o/a#1 is held: Adopted",
            "what is merged there is merged | o/a o/b | o/b#2; o/a#1>o/b#2; ! o/a#1; end success; rename o/b main trunk; merge o/b#2; +0 ~; o/a#1 notes is merged; o/a#1 silent",
            "a stack on it | o/a | o/a#1; o/a#2; stack o/a#2 1; in o/a#1 o/a#2; ! o/a#2; end success; rename o/a main trunk; +60; o/a#2 is unchanged; o/a#2 set o/a#1 o/a#2",
            "a queue for it | o/a | o/a#1; ! o/a#1; queue o/a#1; +0 o/a@1; end success; rename o/a main trunk; +60; o/a@1 is unchanged",
            "an outage in between | o/a | o/a#1; ! o/a#1; end success; rename o/a main trunk; down o/a; +60; o/a#1 is unknown; o/a#1 cancels 0; up o/a; +60; o/a#1 is unchanged",
            "another branch is none | o/a | o/a#1; ! o/a#1; on o/a#1 other; o/a#1 is superseded",
        ],
    },
    Rule {
        name: "one repository",
        sentence: "`https://`, `ssh://`, `git://`, scp form, a trailing `.git` or `/`, `www.`, a user, ports and prefixes listed in the forge's `also`, and the host's letter case never make a second repository.",
        rows: &[
            "https without .git | *a | also x https://git.example.org/a; +0; a#1; ! a#1; a#1 packages a x",
            "a final / | *a | also x https://git.example.org/a/; +0; a#1; ! a#1; a#1 packages a x",
            "www. | *a | also x https://www.git.example.org/a; +0; a#1; ! a#1; a#1 packages a x",
            "a user | *a | also x https://me@git.example.org/a; +0; a#1; ! a#1; a#1 packages a x",
            "letter case of the host | *a | also x https://GIT.Example.org/a; +0; a#1; ! a#1; a#1 packages a x",
            "the scp form | *a | also x git@git.example.org:a.git; +0; a#1; ! a#1; a#1 packages a x",
            "ssh, as `also` has it | *a | also x ssh://git@git.example.org/a; +0; a#1; ! a#1; a#1 packages a x",
            "git:// | *a | also x git://git.example.org/a; +0; a#1; ! a#1; a#1 packages a x",
            "another host is another one | *a | also x https://other.example.org/a; +0; a#1; ! a#1; a#1 packages a",
        ],
    },
    Rule {
        name: "case of paths",
        sentence: "Paths keep their spelling for display and compare without case on GitHub, GitLab and Gitea, with case on plain git.",
        rows: &[
            "GitHub | *o/a | also x https://github.com/O/A; +0; o/a#1; ! o/a#1; o/a#1 packages o/a x",
            "plain git | *a | also x https://git.example.org/A; +0; a#1; ! a#1; a#1 packages a",
        ],
    },
    Rule {
        name: "tracked bases",
        sentence: "Its base is a (repository, branch) that the workspace tracks: a package, a definition repository, the workspace's own source, or one that a candidate of the workspace tracks.",
        rows: &[
            "a package | a | a#1; ! a#1",
            "a definition repository | *a | definition d; +0; d#1; ! d#1",
            "another branch | a | a#1; on a#1 stable; !; a#1 is nothing",
            "another branch on GitHub | o/a | o/a#1; on o/a#1 stable; !; o/a#1 is nothing",
            "a change is retargeted away: its build is superseded | o/a | o/a#1; ! o/a#1; on o/a#1 stable; o/a#1 is superseded; o/a#1 cancels 1",
            "and back: it is built again, since nothing was | o/a | o/a#1; ! o/a#1; on o/a#1 stable; +0; on o/a#1 main; +0; +30 o/a#1",
        ],
    },
    Rule {
        name: "stacked",
        sentence: "A change whose base is the source branch of another open change of the same repository depends on that change, matters where it matters, and uses its `head`.",
        rows: &[
            "the upper one is built with the lower | o/a | o/a#1; o/a#2; stack o/a#2 1; in o/a#1 o/a#2; ! o/a#2; o/a#2 set o/a#1 o/a#2; o/a#1 is covered: o/a#2; o/a#2 ref /head",
            "three | o/a | o/a#1; o/a#2; o/a#3; stack o/a#2 1; stack o/a#3 2; in o/a#1 o/a#2; in o/a#1 o/a#3; in o/a#2 o/a#3; ! o/a#3; o/a#3 overrides o/a#3",
            "the lower one is closed: nothing is known to stand below | o/a | o/a#1; o/a#2; stack o/a#2 1; in o/a#1 o/a#2; ! o/a#2; close o/a#1; o/a#2 is superseded",
            "on a branch that is no change's | o/a | o/a#2; stack o/a#2 7; !; o/a#2 is nothing",
            "on itself | o/a | o/a#2; stack o/a#2 2; !; o/a#2 is nothing",
            "a change from the default branch carries nothing | o/a | o/a#1; branch o/a#1 main; on o/a#1 stable; o/a#2; ! o/a#2; o/a#2 set o/a#2",
        ],
    },
    Rule {
        name: "pinned",
        sentence: "Their pushes do not rebuild the mainline and their changes are no roots, but a change of theirs can be a member of a set by reference; the override then nulls the pin.",
        rows: &[
            "no root | *b | pin a; +0; a#1; !; a#1 is nothing",
            "a member, and its pin is nulled | *b | pin a; +0; a#1; b#2>a#1; ! b#2; b#2 set a#1 b#2; b#2 unpins true",
            "a member on any base | *b | pin a; +0; a#1; on a#1 stable; b#2>a#1; ! b#2; b#2 set a#1 b#2",
            "its pushes build no mainline | *b | pin a; +0; base a; +0; +600",
            "pushes to the others do | *b | pin a; +0; base b; +0; +120 mainline",
            "roots where that is wanted | *b | pin a; use pinned roots; +0; a#1; ! a#1",
            "no pin, no nulling | b | b#2; ! b#2; b#2 unpins false",
        ],
    },
    Rule {
        name: "archived",
        sentence: "Archived repositories: `held (archived)`, asked hourly, never written to.",
        rows: &[
            "held | o/a | o/a#1; archive o/a; !; o/a#1 is held: Archived",
            "nothing is taken back of what was built before | o/a | o/a#1; ! o/a#1; archive o/a; +60; o/a#1 is build",
            "another one of its set does not hold it | o/a o/b | o/b#2; o/a#1>o/b#2; archive o/b; ! o/a#1",
        ],
    },
    Rule {
        name: "open on plain git",
        sentence: "A change is open while its ref exists, its head is not contained in its base, and its committer date is younger than `max_age`; containment is asked of a supervised git, and while unanswered it is Unknown, never closed.",
        rows: &[
            "its ref is gone | a | a#1; ! a#1; close a#1; a#1 is superseded; a#1 cancels 1",
            "its base contains it | a | a#1; ! a#1; merge a#1; a#1 is superseded; a#1 cancels 1",
            "not yet read | a | a#1; mute a#1; !; a#1 is unknown; a#1 cancels 0",
            "unread later: nothing is cancelled | a | a#1; ! a#1; base a; mute a#1; +1; a#1 is unknown; a#1 cancels 0",
            "read again: as before | a | a#1; ! a#1; base a; mute a#1; +1; speak; +1; a#1 is build",
        ],
    },
    Rule {
        name: "authors of plain git",
        sentence: "It has no author, so the forge must say `authors: any` (every head there is trusted) or `none` (no head is).",
        rows: &["any | a | a#1; ! a#1", "none | a | authors none; a#1; !; a#1 is held: Approval"],
    },
    Rule {
        name: "adoption",
        sentence: "The first look at a (workspace, repository, branch), a new workspace, an empty ledger: what is open is adopted: stored, `held (was open before we watched)`, nothing triggered, nothing written.",
        rows: &[
            "old ones are held | *a | old a#1 100; +0; a#1 is held: Adopted; +86400",
            "what opens later is not adopted | *a | +0; a#1; ! a#1",
            "a push releases it | *a | old a#1 100; +0; +1; a#1; +0; +30 a#1",
            "a person releases it | *a | old a#1 100; +0; rebuild a#1; +0 a#1",
            "members of a built set need no adoption | *a b | old b#2 100; +0; a#1>b#2; ! a#1; b#2 is covered: a#1",
            "the mainline is recorded, not built | *a | +0; +86400; mainline is unchanged",
            "its next push is built | *a | +0; base a; +0; +120 mainline",
        ],
    },
    Rule {
        name: "adopt",
        sentence: "`adopt: recent` (default) builds those whose head is younger than 24 h, at most 20, newest first (head age = committer date, or the change's creation if later); `all`, `none`.",
        rows: &[
            "recent | *a | old a#1 23; +0 a#1",
            "not recent | *a | old a#1 25; +0; a#1 is held: Adopted",
            "a pull request by its creation | *o/a | old o/a#1 23; old o/a#2 25; +0 o/a#1; o/a#2 is held: Adopted",
            "all | *a | use adopt all; old a#1 25; +0 a#1",
            "none | *a | use adopt none; old a#1 1; +0; a#1 is held: Adopted",
            "not read: waits to be known | *a | old a#1 1; mute a#1; +0; a#1 is unknown; speak; +60 a#1",
        ],
    },
    Rule {
        name: "epoch",
        sentence: "`epoch: N` of a workspace builds everything again, at the lowest priority.",
        rows: &[
            "changes | a | a#1; ! a#1; end success; use epoch 1; +0 a#1; a#1 was Idle Epoch",
            "the mainline | a | base a; +0; +120 mainline; end success; use epoch 1; +0; +120 mainline; mainline was Idle Epoch",
            "what was adopted and never built is not | *a | old a#1 100; +0; use epoch 1; +0; +120 mainline; a#1 is held: Adopted",
            "with a push it is a push | a | a#1; ! a#1; end success; use epoch 1; a#1; +0; +30 a#1; a#1 was Recent New",
            "the same epoch builds nothing | a | a#1; ! a#1; end success; use epoch 0; +600",
            "lost ones are tried again as idle ones | a | a#1; ! a#1; end success; use epoch 1; +0 ~; end lost; +120 ~; a#1 was Idle Epoch",
        ],
    },
];
