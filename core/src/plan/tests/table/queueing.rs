//! Merge queues: `o/a@1` is the entry of the queue for `main` that ends with `o/a#1`.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "queues",
        sentence: "Merge queues and trains (`gh-readonly-queue/BASE/*`) are subjects of their own: the queue's members with their references, reported on that head; they never count as mainline.",
        rows: &[
            "built at once, at its own head, before other changes | o/a | o/a#1; ! o/a#1; end success; queue o/a#1; +0 o/a@1; o/a@1 set o/a#1; o/a@1 was Mainline New; o/a@1 ref refs/heads/gh-readonly-queue/main/pr-1-; o/a#1 is unchanged",
            "everything that is queued before it | o/a | o/a#1; o/a#2; ! o/a#1 o/a#2; queue o/a#1; queue o/a#2; +0 o/a@1 o/a@2; o/a@2 set o/a#1 o/a#2; o/a@1 set o/a#1; o/a@2 overrides o/a#2",
            "not what is queued beside it | o/a | o/a#1; o/a#2; ! o/a#1 o/a#2; queue o/a#1; queue o/a#2 apart; +0 o/a@1 o/a@2; o/a@2 set o/a#2",
            "nor what is queued for another branch | *o/a | also x https://github.com/o/a next; +0; o/a#1; o/a#2; on o/a#2 next; ! o/a#1 o/a#2; queue o/a#2 next; +0 o/a@2; queue o/a#1; +0 o/a@1; o/a@1 set o/a#1",
            "with what they depend on elsewhere | o/a o/b o/c | o/b#2; o/c#3; o/a#1>o/b#2; o/a#4>o/c#3; +90 ~; end success; queue o/a#1; queue o/a#4; +0 o/a@1 o/a@4; o/a@1 set o/b#2 o/a#1; o/a@4 set o/b#2 o/a#1 o/c#3 o/a#4; o/a@4 overrides o/b#2 o/c#3 o/a#4",
            "what is not queued before it is left out | o/a | o/a#2; o/a#1>o/a#2; in o/a#2 o/a#1; ! o/a#1; queue o/a#1; +0 o/a@1; o/a@1 set o/a#1; o/a@1 notes is left out: it is not queued before it",
            "a push elsewhere is another one | o/a o/b | o/b#2; o/a#1>o/b#2; ! o/a#1; queue o/a#1; +0 o/a@1; o/b#2; +0 o/a@1; o/a@1 cancels 0; o/a@1 attempts 2",
            "a push to nothing in it | o/a o/b | o/b#2; o/a#1; ! o/a#1 o/b#2; queue o/a#1; +0 o/a@1; o/b#2; +0; o/a@1 is build",
            "once | o/a | o/a#1; ! o/a#1; queue o/a#1; +0 o/a@1; end success; +3600; o/a@1 is unchanged",
            "the mainline stays where it is | o/a | o/a#1; ! o/a#1; queue o/a#1; +0 o/a@1; +600; mainline is unchanged",
            "for another branch it is nothing here | o/a | o/a#1; ! o/a#1; queue o/a#1 other; +0; o/a@1 is nothing",
            "for another branch than that of a pinned package too | *o/a | pin o/b; use pinned roots; +0; o/a#1; ! o/a#1; queue o/a#1 other; +0; o/a@1 is nothing",
            "of a pinned package it is nothing | *o/a | pin o/b; +0; o/b#1; +0; queue o/b#1; +0; o/b@1 is nothing",
            "unless its changes are roots | *o/a | pin o/b; use pinned roots; +0; o/b#1; +0; queue o/b#1; +0 o/b@1",
            "on plain git it is a branch | a | a#1; ! a#1; queue a#1; +0; a@1 is nothing",
            "switched off | o/a | use build mainline; o/a#1; +0; queue o/a#1; +0; o/a@1 is held: Paused",
            "paused | o/a | o/a#1; ! o/a#1; pause; queue o/a#1; +0; o/a@1 is held: Paused; resume; +0 o/a@1",
            "a person's rebuild | o/a | o/a#1; ! o/a#1; queue o/a#1; +0 o/a@1; end failure; +1; rebuild o/a@1; +0 o/a@1; o/a@1 was Person Person",
            "lost: tried again | o/a | o/a#1; ! o/a#1; end success; queue o/a#1; +0 o/a@1; end lost; +119; o/a@1 is held: Retry; +1 o/a@1",
            "a dependency that was closed | o/a o/b | o/b#2; o/a#1>o/b#2; ! o/a#1; close o/b#2; queue o/a#1; +0; o/a@1 is blocked: DependencyClosed",
            "short of what its author may look up | o/a o/b | many o/a#1 o/b 1 601; queue o/a#1; +0; o/a@1 is held: ReferenceBudget",
            "it does not settle, and needs no merge ref | o/a | o/a#1; mergeable o/a#1 unsaid; queue o/a#1; +0 o/a@1; o/a#1 is held: Settling",
        ],
    },
    Rule {
        name: "queues cover nothing",
        sentence: "Only covered members get no build of their own.",
        rows: &[
            "its change is built all the same | o/a | o/a#1; +0; queue o/a#1; +0 o/a@1; +90 o/a#1",
            "it is not covered | o/a o/b | o/a#1; o/b#2>o/a#1; ! o/b#2; queue o/a#1; +0 o/a@1; o/a#1 is covered: o/b#2",
            "of each entry one build | o/a | o/a#1; o/a#2; ! o/a#1 o/a#2; queue o/a#1; queue o/a#2; +0 o/a@1 o/a@2; o/a@1 is build",
        ],
    },
    Rule {
        name: "the end of a queue",
        sentence: "`superseded` (a recorded build is no longer wanted: queued → dropped in the same commit, running → cancelled for changes, left for mainline; only ever on Known).",
        rows: &[
            "it leaves | o/a | o/a#1; ! o/a#1; end success; queue o/a#1; +0 o/a@1; unqueue o/a#1; o/a@1 is superseded; o/a@1 cancels 1; +0; o/a@1 is nothing",
            "it ended before | o/a | o/a#1; ! o/a#1; queue o/a#1; +0 o/a@1; end success; unqueue o/a#1; +0; o/a@1 is nothing",
            "an outage is no end | o/a | o/a#1; ! o/a#1; end success; queue o/a#1; +0 o/a@1; down o/a; o/a@1 is unknown; o/a@1 cancels 0; up o/a; o/a@1 is build",
            "its branch moves | o/a | o/a#1; ! o/a#1; end success; queue o/a#1; +0 o/a@1; queue o/a#1; +0 o/a@1; o/a@1 attempts 2",
            "the one before it is merged | o/a | o/a#1; o/a#2; ! o/a#1 o/a#2; end success; queue o/a#1; queue o/a#2; +0 o/a@1 o/a@2; end success; unqueue o/a#1; merge o/a#1; +0; o/a@2 set o/a#2; o/a@2 is unchanged",
            "a change that is not open is waited for | o/a | o/a#1; ! o/a#1; queue o/a#1; close o/a#1; +0; o/a@1 is unknown; o/a@1 reason is queued, but is not among the open changes",
            "one that goes elsewhere too | o/a | o/a#1; ! o/a#1; queue o/a#1; on o/a#1 other; +0; o/a@1 is unknown; o/a@1 reason is queued for main, but goes to other",
            "what cannot be compared is not known | o/a | o/a#1; o/a#2; ! o/a#1 o/a#2; queue o/a#1; +0 o/a@1; hush o/a#2; +0; o/a@2 is unknown; speak; +0 o/a@2",
        ],
    },
    Rule {
        name: "trust in queues",
        sentence: "A set is trusted when every head in it is. Otherwise it is `held (approval)`.",
        rows: &[
            "a stranger's change | o/a | o/a#1; stranger o/a#1; !; queue o/a#1; +0; o/a@1 is held: Approval",
            "approved itself | o/a | o/a#1; stranger o/a#1; !; queue o/a#1; +0; approve o/a@1; +0 o/a@1",
            "an approval of its change is one of it | o/a | o/a#1; stranger o/a#1; !; approve o/a#1; +0 o/a#1; queue o/a#1; +0 o/a@1",
            "an approval of another head is not | o/a | o/a#1; stranger o/a#1; !; approve o/a#1; +0 o/a#1; o/a#1; queue o/a#1; +0; o/a@1 is held: Approval",
            "of each change in it | o/a | o/a#1; stranger o/a#1; o/a#2; stranger o/a#2; !; approve o/a#2; +0 o/a#2; queue o/a#1; queue o/a#2; +0; o/a@2 is held: Approval; approve o/a#1; +0 o/a#1 o/a@1 o/a@2",
            "with what it depends on | o/a o/b | o/b#2; stranger o/b#2; o/a#1>o/b#2; !; queue o/a#1; +0; o/a@1 is held: Approval; approve o/a#1; +0 o/a#1 o/a@1",
            "nor one of a set that is cut short, since it is too large | o/a o/b | use max_dependencies 1; o/b#4; o/a#1; o/a#2; o/a#3>o/a#1,o/a#2,o/b#4; in o/a#1 o/a#2; in o/a#1 o/a#3; in o/a#2 o/a#3; stranger o/a#3; +90 ~; o/a#3 is blocked: TooMany; approve o/a#3; queue o/a#1; queue o/a#2; queue o/a#3; +0 o/a@1 o/a@2; o/a@3 is held: Approval",
            "an approval of what it depends on alone is not enough | o/a o/b | o/b#2; stranger o/b#2; o/a#1>o/b#2; !; approve o/b#2; +0 o/b#2; queue o/a#1; +0; o/a@1 is held: Approval",
        ],
    },
    Rule {
        name: "adoption of queues",
        sentence: "Adoption: the first look at a (workspace, repository, branch): what is open is adopted: stored, `held (was open before we watched)`, nothing triggered, nothing written.",
        rows: &[
            "with its change | * o/a | use adopt none; o/a#1; queue o/a#1; +0; o/a@1 is held: Adopted; +3600; o/a@1 is held: Adopted",
            "a recent one is built | * o/a | o/a#1; queue o/a#1; +0 o/a#1 o/a@1",
            "all | * o/a | use adopt all; old o/a#1 50; queue o/a#1; +0 o/a#1 o/a@1",
            "queued later it is new | * o/a | use adopt none; o/a#1; +0; queue o/a#1; +0 o/a@1; o/a#1 is held: Adopted",
            "queued again it is new | * o/a | use adopt none; o/a#1; queue o/a#1; +0; unqueue o/a#1; o/a#2; +0; queue o/a#2; +0 o/a@2",
            "a person releases it | * o/a | use adopt none; o/a#1; queue o/a#1; +0; rebuild o/a@1; +0 o/a@1",
        ],
    },
];
