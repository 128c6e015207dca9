//! What references lead to.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "any depth",
        sentence: "References are followed to any depth, across forges, once each, only into repositories that this workspace tracks (mainline or candidate), with its credential.",
        rows: &[
            "three deep | a b c | a#1>b#2; b#2>c#3; c#3; ! a#1; a#1 set c#3 b#2 a#1",
            "across forges | a o/b | a#1>o/b#2; o/b#2; ! a#1; a#1 set o/b#2 a#1",
            "once each | a b c | a#1>b#2,c#3; b#2>c#3; c#3; ! a#1; a#1 set c#3 b#2 a#1",
            "nobody depends on it | a b | a#1; b#2; ! a#1 b#2",
        ],
    },
    Rule {
        name: "one wording",
        sentence: "Anything else is one finding of one wording, \"NAME is not a change that this workspace watches\", whatever the truth is, and costs no request.",
        rows: &[
            "a repository that is not tracked | a b | a#1>z#2; ! a#1; a#1 silent z#2 is not a change that this workspace watches",
            "one on GitHub | a b | a#1>o/z#2; ! a#1; a#1 silent o/z#2 is not a change that this workspace watches",
            "no such number | o/a o/b | o/a#1>o/b#2; ! o/a#1; o/a#1 silent o/b#2 is not a change that this workspace watches",
            "it is gone since | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; fate o/b#2 gone; +1 o/a#1; o/a#1 says o/b#2 is not a change that this workspace watches",
            "an open one says nothing | a b | a#1>b#2; b#2; ! a#1; a#1 silent",
        ],
    },
    Rule {
        name: "merged and there",
        sentence: "merged → satisfied once an observed tracked head (or the pin) contains the merge commit and, for a definition repository, an update with it succeeded.",
        rows: &[
            "plain git | a b | a#1>b#2; b#2; ! a#1; merge b#2; +1 a#1; a#1 set a#1; a#1 notes b#2 is merged",
            "GitHub | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; merge o/b#2; +1 o/a#1; o/a#1 notes o/b#2 is merged",
            "a definition waits for an update | *o/a | definition o/d; +0; o/a#1>o/d#2; o/d#2; ! o/a#1; merge o/d#2; +1; o/a#1 is held: Mainline; updated; +1 o/a#1",
            "merged too early is not waited for twice | o/a o/b | o/b#2; ! o/b#2; end success; merge o/b#2; +0; +120 mainline; end success; o/a#1>o/b#2; ! o/a#1; o/a#1 set o/a#1",
        ],
    },
    Rule {
        name: "merged too early",
        sentence: "Until then dependents are `held (waiting for the mainline)`, at most 1 h, then built with a finding.",
        rows: &[
            "held | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; fate o/b#2 merged main; +1; o/a#1 is held: Mainline; +3598",
            "then built, with a finding | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; fate o/b#2 merged main; +1; +3600 o/a#1; o/a#1 says for 1h no tracked head contains it yet",
            "of several the last is named | o/a o/b o/c | o/a#1>o/b#2,o/c#3; o/b#2; o/c#3; ! o/a#1; fate o/b#2 merged main; +0 ~; +600; fate o/c#3 merged main; +0; o/a#1 reason o/c#3 is merged",
            "in whichever order | o/a o/b o/c | o/a#1>o/b#2,o/c#3; o/b#2; o/c#3; ! o/a#1; fate o/c#3 merged main; +0 ~; +600; fate o/b#2 merged main; +0; o/a#1 reason o/b#2 is merged",
            "of several at once the first | o/a o/b o/c | o/a#1>o/b#2,o/c#3; o/b#2; o/c#3; ! o/a#1; fate o/b#2 merged main; fate o/c#3 merged main; +0; o/a#1 reason o/b#2 is merged",
            "what a member waits for counts | o/a o/b o/c o/d | o/a#1>o/b#2,o/d#4; o/b#2>o/c#3; o/c#3; o/d#4; ! o/a#1; fate o/d#4 merged main; +0 ~; +600; fate o/c#3 merged main; +0; o/a#1 reason o/c#3 is merged",
            "as much as its own | o/a o/b o/c o/d | o/a#1>o/b#2,o/d#4; o/b#2>o/c#3; o/c#3; o/d#4; ! o/a#1; fate o/c#3 merged main; +0 ~; +600; fate o/d#4 merged main; +0; o/a#1 reason o/d#4 is merged",
            "of both at once its own | o/a o/b o/c o/d | o/a#1>o/b#2,o/d#4; o/b#2>o/c#3; o/c#3; o/d#4; ! o/a#1; fate o/d#4 merged main; fate o/c#3 merged main; +0; o/a#1 reason o/d#4 is merged",
            "an outage does not begin it anew | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; fate o/b#2 merged main; +1; down o/b; +1800; up o/b; +1800 o/a#1",
        ],
    },
    Rule {
        name: "merged elsewhere",
        sentence: "Merged elsewhere → finding, left out.",
        rows: &[
            "into a branch that is not tracked | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; fate o/b#2 merged stable; +1 o/a#1; o/a#1 says it was merged into stable",
            "into the branch of another change, which takes its place | o/a o/b | o/a#1>o/b#2; o/b#2; o/b#3; ! o/a#1 o/b#3; fate o/b#2 merged topic-3; +1 o/a#1; o/a#1 set o/b#3 o/a#1; o/a#1 notes o/b#2 is merged into github.com/o/b#3, which takes its place; o/a#1 silent",
            "into its own branch | o/a | o/a#2; o/a#1>o/a#2; in o/a#2 o/a#1; ! o/a#1; fate o/a#2 merged topic-1; +1 o/a#1; o/a#1 notes o/a#2 is merged into it; o/a#1 set o/a#1",
        ],
    },
    Rule {
        name: "closed",
        sentence: "closed unmerged → `blocked (dependency closed)` unless `on_closed: ignore`; a closed change whose head its base contains, or with one of `merged_labels`, counts as merged.",
        rows: &[
            "blocked | a b | a#1>b#2; b#2; ! a#1; close b#2; +1; a#1 is blocked: DependencyClosed",
            "on GitHub | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; close o/b#2; +1; o/a#1 is blocked: DependencyClosed",
            "ignored | a b | use on_closed ignore; a#1>b#2; b#2; ! a#1; close b#2; +1 a#1; a#1 notes b#2 was closed and is left out",
            "contained | o/a o/b | o/a#1>o/b#2; o/b#2; ! o/a#1; contained o/b#2; close o/b#2; +1 o/a#1; o/a#1 set o/a#1",
            "a label of those | o/a o/b | use merged_labels landed; o/a#1>o/b#2; o/b#2; ! o/a#1; fate o/b#2 closed landed; +1 o/a#1",
            "another label | o/a o/b | use merged_labels landed; o/a#1>o/b#2; o/b#2; ! o/a#1; fate o/b#2 closed wontfix; +1; o/a#1 is blocked: DependencyClosed",
            "opened again | a b | a#1>b#2; b#2; ! a#1; end success; close b#2; +1; b#2; +0; +30 a#1; a#1 is build",
        ],
    },
    Rule {
        name: "leaves",
        sentence: "Merged and closed changes are leaves.",
        rows: &[
            "what a merged one depended on is no member | a b c | a#1>b#2; b#2>c#3; c#3; ! a#1; merge b#2; +1 a#1 c#3; a#1 set a#1",
            "what an open one depends on is | a b c | a#1>b#2; b#2>c#3; c#3; ! a#1; a#1 set c#3 b#2 a#1",
        ],
    },
    Rule {
        name: "another base",
        sentence: "Another effective base than the tracked one → left out, with a finding.",
        rows: &[
            "left out | a b | b#2; on b#2 stable; a#1>b#2; ! a#1; a#1 set a#1; a#1 says its base stable is not the branch",
            "the tracked one | a b | b#2; on b#2 main; a#1>b#2; ! a#1; a#1 set b#2 a#1; a#1 silent",
            "a stacked one by the base of its stack | o/a o/b | o/b#1; o/b#2; stack o/b#2 1; in o/b#1 o/b#2; o/a#9>o/b#2; ! o/a#9; o/a#9 set o/b#1 o/b#2 o/a#9",
        ],
    },
    Rule {
        name: "unread",
        sentence: "Forward references into an unread repository make the set unknown; after 1 h that is said on the change.",
        rows: &[
            "unknown | a b | a#1>b#2; b#2; ! a#1; down b; +1; a#1 is unknown; a#1 cancels 0",
            "not said at once | a b | a#1>b#2; b#2; ! a#1; down b; +3599; a#1 silent",
            "said after an hour | a b | a#1>b#2; b#2; ! a#1; down b; +3600; a#1 says b#2 could not be read for 1h",
            "and no more once it is read | a b | a#1>b#2; b#2; ! a#1; down b; +3600; up b; +0; a#1 silent; a#1 is build",
            "one that nothing leads to | a b c | a#1>b#2; b#2; ! a#1; down c; +3600; a#1 is build; a#1 silent",
        ],
    },
    Rule {
        name: "from last known lists",
        sentence: "Whether somebody depends on a change is taken from last known lists; an unread list adds and removes nothing.",
        rows: &[
            "it removes no cover | a b | a#1>b#2; b#2; ! a#1; down a; +600; b#2 is covered: a#1",
            "with `each` nobody waits | a b | use dependencies each; a#1>b#2; b#2; +0; down a; +90 b#2",
            "nor who builds it alone | a b | a#1>b#2; b#2; +0; down a; +90; alone b#2; +0 b#2",
            "nor that of what stands below what is unread | a b c d | a#1>b#2; b#2>c#3; c#3>d#4; d#4; ! a#1; end success; down b; +600; c#3 is covered: a#1; d#4 is covered: a#1",
            "of one that only its top knows | a b c d e | a#1>b#2; b#2>c#3; c#3>d#4; d#4; e#5>a#1; ! e#5; end success; down b; +600; c#3 is covered: e#5",
            "before the first build it is waited for | a b | a#1>b#2; b#2; +0; down a; +90; b#2 is unknown; up a; +1 a#1",
            "a cycle below it is waited for too | a b c | a#1>b#2; b#2>c#3; c#3>b#2; +0; down a; +90; b#2 is unknown; c#3 is unknown; up a; +1 a#1",
            "nor does one that was not read since the start | a b | a#1>b#2; b#2; ! a#1; forget a; +600; b#2 is covered: a#1",
            "it adds none | a b c | b#2; ! b#2; down a; +600; b#2 is build",
            "a read list that lacks it does | a b | a#1>b#2; b#2; ! a#1; close a#1; +1 b#2",
        ],
    },
    Rule {
        name: "cycles",
        sentence: "Cycles are collapsed first: a strongly connected component has one build, named after its smallest change, reported to all.",
        rows: &[
            "two | a b | a#1>b#2; b#2>a#1; ! a#1; b#2 is covered: a#1; b#2 set a#1 b#2",
            "three | a b c | b#1>c#2; c#2>a#3; a#3>b#1; ! a#3; b#1 is covered: a#3; c#2 is covered: a#3",
            "something above a cycle | a b c | a#1>b#2; b#2>a#1; c#3>a#1; ! c#3; a#1 is covered: c#3; b#2 is covered: c#3",
            "one that cannot be read | a b | a#1>b#2; b#2>a#1; ! a#1; down a; down b; +600; a#1 is unknown; b#2 is unknown",
            "one that refers to itself is no cycle | a | a#1>a#1; ! a#1; a#1 set a#1",
        ],
    },
    Rule {
        name: "same repository",
        sentence: "Two members of one repository and base: if one head contains the other, the containing one is overridden, the other is contained. Otherwise `blocked (two changes of REPO; rebase N on M)`, unless `same_repository: ci`, whose CI gets both heads in order.",
        rows: &[
            "one contains the other | b | b#1; b#2>b#1; in b#1 b#2; ! b#2; b#2 overrides b#2; b#2 set b#1 b#2",
            "the lower contains the upper | b | b#1; b#2>b#1; in b#2 b#1; ! b#2; b#2 overrides b#1",
            "neither | b | b#1; b#2>b#1; ! b#1; b#2 is blocked: TwoChanges; b#2 reason rebase #2 on #1",
            "neither, and the CI gets both | b | use same_repository ci; b#1; b#2>b#1; ! b#2; b#2 overrides b#1 b#2",
            "by way of a third | a b | b#1; b#2; a#3>b#1,b#2; ! b#1 b#2; a#3 is blocked: TwoChanges",
            "of two repositories | a b | b#1; a#2>b#1; ! a#2; a#2 overrides b#1 a#2",
            "not known yet | b | b#1; b#2>b#1; mute b#2; ! b#1; b#2 is unknown",
        ],
    },
    Rule {
        name: "too many",
        sentence: "More than `max_dependencies` (50) members besides the change: `blocked`.",
        rows: &[
            "one more | a b c | use max_dependencies 1; a#1>b#2,c#3; b#2; c#3; ! b#2 c#3; a#1 is blocked: TooMany",
            "as many | a b c | use max_dependencies 2; a#1>b#2,c#3; b#2; c#3; ! a#1",
        ],
    },
    Rule {
        name: "order in a set",
        sentence: "Order in a set: dependencies first, ties by identity.",
        rows: &[
            "dependencies first | a b | a#1>b#2; b#2; ! a#1; a#1 set b#2 a#1",
            "ties by identity | a b c | b#1>c#3,a#2; c#3; a#2; ! b#1; b#1 set a#2 c#3 b#1",
            "numbers, not texts | a | a#1>a#10,a#9; a#9; a#10; use same_repository ci; ! a#1; a#1 set a#9 a#10 a#1",
        ],
    },
    Rule {
        name: "short names",
        sentence: "`name#12` without owner: finding, resolved only if exactly one tracked repository has that name.",
        rows: &[
            "one has it | o/a o/b | o/b#2; o/a#1; short o/a#1 b 2; ! o/a#1; o/a#1 set o/b#2 o/a#1; o/a#1 silent",
            "two have it | o/a o/b p/b | o/b#2; o/a#1; short o/a#1 b 2; ! o/a#1 o/b#2; o/a#1 says no owner is named",
            "none has it | o/a o/b | o/a#1; short o/a#1 z 2; ! o/a#1; o/a#1 says no owner is named",
        ],
    },
    Rule {
        name: "branch matching",
        sentence: "`branch_matching: true` also joins open changes of other tracked repositories with the same source branch name, the same author, both trusted; never default branches, `develop`, `patch-N`, bots' prefixes.",
        rows: &[
            "joined | o/a o/b | use branch_matching true; o/a#1; branch o/a#1 feature; o/b#2; branch o/b#2 feature; ! o/a#1; o/b#2 is covered: o/a#1",
            "not asked for | o/a o/b | o/a#1; branch o/a#1 feature; o/b#2; branch o/b#2 feature; ! o/a#1 o/b#2",
            "another branch | o/a o/b | use branch_matching true; o/a#1; branch o/a#1 feature; o/b#2; branch o/b#2 other; ! o/a#1 o/b#2",
            "another author | o/a o/b | use branch_matching true; o/a#1; branch o/a#1 feature; o/b#2; branch o/b#2 feature; author o/b#2 bob member; ! o/a#1 o/b#2",
            "not trusted | o/a o/b | use branch_matching true; o/a#1; branch o/a#1 feature; o/b#2; stranger o/b#2; author o/b#2 ann none; branch o/b#2 feature; ! o/a#1; o/b#2 is held: Approval",
            "develop | o/a o/b | use branch_matching true; o/a#1; branch o/a#1 develop; o/b#2; branch o/b#2 develop; ! o/a#1 o/b#2",
            "patch-1 | o/a o/b | use branch_matching true; o/a#1; branch o/a#1 patch-1; o/b#2; branch o/b#2 patch-1; ! o/a#1 o/b#2",
            "a bot's prefix | o/a o/b | use branch_matching true; o/a#1; branch o/a#1 renovate/x; o/b#2; branch o/b#2 renovate/x; ! o/a#1 o/b#2",
        ],
    },
];
