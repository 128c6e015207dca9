//! Whose heads may be built, and whose words are read.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "trusted heads",
        sentence: "A head is trusted when its source repository is the base repository (only writers push there), or its author owns the source repository and is owner, member or collaborator of the base repository or can write there, or is in `trusted`.",
        rows: &[
            "a branch of the repository itself, whoever opened it | o/a | o/a#1; author o/a#1 eve none; ! o/a#1",
            "a member with an own fork | o/a | o/a#1; author o/a#1 ann member; fork o/a#1 ann; ! o/a#1",
            "an owner | o/a | o/a#1; author o/a#1 ann owner; fork o/a#1 ann; ! o/a#1",
            "a collaborator | o/a | o/a#1; author o/a#1 ann collaborator; fork o/a#1 ann; ! o/a#1",
            "a member with somebody else's fork | o/a | o/a#1; author o/a#1 ann member; fork o/a#1 eve; !; o/a#1 is held: Approval",
            "a stranger | o/a | o/a#1; stranger o/a#1; !; o/a#1 is held: Approval",
            "a stranger in `trusted` | o/a | use trusted Eve; o/a#1; stranger o/a#1; ! o/a#1",
        ],
    },
    Rule {
        name: "no trust",
        sentence: "Having contributed once is not trust. Rights that cannot be read are no trust, with the reason said.",
        rows: &[
            "a contributor | o/a | o/a#1; author o/a#1 eve contributor; fork o/a#1 eve; !; o/a#1 is held: Approval",
            "an account that is gone | o/a | o/a#1; ghost o/a#1; !; o/a#1 is held: Approval",
            "becomes a member | o/a | o/a#1; author o/a#1 eve none; fork o/a#1 eve; !; author o/a#1 eve member; +0 o/a#1",
        ],
    },
    Rule {
        name: "trusted sets",
        sentence: "A set is trusted when every head in it is. Otherwise it is `held (approval)`.",
        rows: &[
            "a stranger below | o/a o/b | o/b#2; stranger o/b#2; o/a#1>o/b#2; !; o/a#1 is held: Approval",
            "a stranger at the top does not hold what is below | o/a o/b | o/b#2; o/a#1>o/b#2; stranger o/a#1; ! o/b#2; o/a#1 is held: Approval",
            "a stranger beside it | o/a o/b | o/b#2; stranger o/b#2; o/a#1; ! o/a#1",
        ],
    },
    Rule {
        name: "approvals",
        sentence: "An approval names the exact heads and bases and who gave it; another head, member or base needs another one.",
        rows: &[
            "it releases | o/a | o/a#1; stranger o/a#1; !; approve o/a#1; +0 o/a#1",
            "another head | o/a | o/a#1; stranger o/a#1; !; approve o/a#1; +0 o/a#1; o/a#1; +0; +30; o/a#1 is held: Approval",
            "another head of a member | o/a o/b | o/b#2; stranger o/b#2; o/a#1>o/b#2; !; approve o/a#1; +0 o/a#1; o/b#2; +0; +30; o/a#1 is held: Approval",
            "another member | o/a o/b | o/a#1; stranger o/a#1; o/b#2; ! o/b#2; approve o/a#1; +0 o/a#1; o/a#1>o/b#2; +0; +30; o/a#1 is held: Approval",
            "an approval of one is none of another | o/a o/b | o/a#1; stranger o/a#1; o/b#2; stranger o/b#2; !; approve o/a#1; +0 o/a#1; o/b#2 is held: Approval",
        ],
    },
    Rule {
        name: "bodies of bots",
        sentence: "Bodies of bots are not read for references.",
        rows: &[
            "flagged by the forge | o/a o/b | o/b#2; o/a#1>o/b#2; author o/a#1 robot bot; ! o/b#2; +510 o/a#1; o/a#1 set o/a#1; o/a#1 notes references of bots are not read",
            "named in `bots` | o/a o/b | use bots dependabot; o/b#2; o/a#1>o/b#2; author o/a#1 dependabot[bot] member; ! o/b#2; o/a#1 set o/a#1",
            "a person's are | o/a o/b | o/b#2; o/a#1>o/b#2; ! o/a#1; o/a#1 set o/b#2 o/a#1",
        ],
    },
    Rule {
        name: "few of strangers",
        sentence: "References of an untrusted author may name at most 10 members.",
        rows: &[
            "eleven | o/a o/b | many o/a#1 o/b 1 11; stranger o/a#1; +0; o/a#1 says only the first 10 references count",
            "ten | o/a o/b | many o/a#1 o/b 1 10; stranger o/a#1; +0; o/a#1 says o/b#10 is not a change; o/a#1 lacks only the first",
            "eleven of a member | o/a o/b | many o/a#1 o/b 1 11; +0; o/a#1 says o/b#11 is not a change",
        ],
    },
    Rule {
        name: "reference budget",
        sentence: "Single look-ups are paid from a budget per author (60 an hour, trusted 600); over it: `held (reference budget)`, nobody else waits.",
        rows: &[
            "sixty of a stranger | o/a o/b | many o/a#1 o/b 1 10; stranger o/a#1; many o/a#2 o/b 11 10; stranger o/a#2; many o/a#3 o/b 21 10; stranger o/a#3; many o/a#4 o/b 31 10; stranger o/a#4; many o/a#5 o/b 41 10; stranger o/a#5; many o/a#6 o/b 51 10; stranger o/a#6; !; o/a#6 is held: Approval",
            "more of a stranger | o/a o/b | many o/a#1 o/b 1 10; stranger o/a#1; many o/a#2 o/b 11 10; stranger o/a#2; many o/a#3 o/b 21 10; stranger o/a#3; many o/a#4 o/b 31 10; stranger o/a#4; many o/a#5 o/b 41 10; stranger o/a#5; many o/a#6 o/b 51 10; stranger o/a#6; many o/a#7 o/b 61 1; stranger o/a#7; !; o/a#7 is held: ReferenceBudget; o/a#7 reason eve named too many",
            "after an hour they are read | o/a o/b | many o/a#1 o/b 1 10; stranger o/a#1; many o/a#2 o/b 11 10; stranger o/a#2; many o/a#3 o/b 21 10; stranger o/a#3; many o/a#4 o/b 31 10; stranger o/a#4; many o/a#5 o/b 41 10; stranger o/a#5; many o/a#6 o/b 51 10; stranger o/a#6; many o/a#7 o/b 61 1; stranger o/a#7; +0; +3599; o/a#7 is held: ReferenceBudget; +1; o/a#7 is held: Approval",
            "of closed changes too | o/a o/b | many o/a#1 o/b 1 10; stranger o/a#1; many o/a#2 o/b 11 10; stranger o/a#2; many o/a#3 o/b 21 10; stranger o/a#3; many o/a#4 o/b 31 10; stranger o/a#4; many o/a#5 o/b 41 10; stranger o/a#5; many o/a#6 o/b 51 10; stranger o/a#6; +0; close o/a#6; close o/a#5; +0; many o/a#7 o/b 61 1; stranger o/a#7; !; o/a#7 is held: ReferenceBudget",
            "nobody else waits | o/a o/b | many o/a#1 o/b 1 10; stranger o/a#1; many o/a#2 o/b 11 10; stranger o/a#2; many o/a#3 o/b 21 10; stranger o/a#3; many o/a#4 o/b 31 10; stranger o/a#4; many o/a#5 o/b 41 10; stranger o/a#5; many o/a#6 o/b 51 10; stranger o/a#6; many o/a#7 o/b 61 1; stranger o/a#7; many o/b#90 o/a 91 1; ! o/b#90",
            "what was answered once costs nothing | o/a o/b | many o/a#1 o/b 1 10; stranger o/a#1; many o/a#2 o/b 11 10; stranger o/a#2; many o/a#3 o/b 21 10; stranger o/a#3; many o/a#4 o/b 31 10; stranger o/a#4; many o/a#5 o/b 41 10; stranger o/a#5; many o/a#6 o/b 51 10; stranger o/a#6; many o/a#7 o/b 1 10; stranger o/a#7; !; o/a#7 is held: Approval",
            "six hundred of a member | o/a o/b | many o/a#1 o/b 1 600; ! o/a#1",
            "more of a member | o/a o/b | many o/a#1 o/b 1 601; !; o/a#1 is held: ReferenceBudget",
            "the first that is too many is named | o/a o/b | many o/a#1 o/b 1 602; !; o/a#1 reason o/b#601 of github.com/o/a#1",
            "of what decides the manifest as well | *o/a o/b | definition o/d; +0; many o/d#1 o/b 1 601; !; o/d#1 is held: ReferenceBudget",
            "of a stranger's too | *o/a o/b | definition o/d; +0; many o/a#1 o/b 1 10; stranger o/a#1; many o/a#2 o/b 11 10; stranger o/a#2; many o/a#3 o/b 21 10; stranger o/a#3; many o/a#4 o/b 31 10; stranger o/a#4; many o/a#5 o/b 41 10; stranger o/a#5; many o/a#6 o/b 51 10; stranger o/a#6; many o/d#7 o/b 61 1; stranger o/d#7; !; o/d#7 is held: ReferenceBudget",
            "open changes and those of plain git cost nothing | a b | a#1>b#7; ! a#1; a#1 says b#7 is not a change",
        ],
    },
];
