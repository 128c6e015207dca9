//! The sentences of explanations, one by one: each decision has its own rule and its own way out.

use crate::model::build::{Cause, Override, RequestId, SetMember, Stage, Verdict};
use crate::model::candidate::Difference;
use crate::model::change::{ForgeChange, OpenRef};
use crate::model::identity::{Fingerprint, Name};
use crate::model::ledger_view::{AttemptView, RefChoice};
use crate::model::manifest::Pin;
use crate::model::plan::{Blocked, CandidatePlan, Decision, FingerprintPart, Held, SubjectPlan};
use crate::model::settings::*;
use crate::model::time::Timestamp;
use crate::plan::decide::bare;
use crate::plan::explain::{Explanation, Member, Part, Reference, Tracking};
use crate::plan::explain_rules::{released, rule};
use crate::plan::explain_text::{queued, ref_choice, tracked_because, trust};
use crate::plan::tracked::Use;
use crate::references::{Finding, References, Via, Written};

use super::settings::{settings, workspace};
use super::world::{START, change, oid, repository, subject};

const HELD: [Held; 13] = [
    Held::Settling,
    Held::Draft,
    Held::Stale,
    Held::Approval,
    Held::Adopted,
    Held::Paused,
    Held::Mainline,
    Held::Retry,
    Held::Archived,
    Held::Mergeability,
    Held::NoWatchedPath,
    Held::PartlyMerged,
    Held::ReferenceBudget,
];
const BLOCKED: [Blocked; 8] = [
    Blocked::DependencyClosed,
    Blocked::TooMany,
    Blocked::TwoChanges,
    Blocked::Conflict,
    Blocked::UpdateFailed,
    Blocked::CandidateFailed,
    Blocked::CandidateUnsettled,
    Blocked::Ci,
];

/// What is decided on a subject, with what people read of it.
fn line(of: &str, decision: Decision, settings: &WorkspaceSettings) -> String {
    let what = match &decision {
        Decision::Held { why, until, .. } => {
            format!("held: {why:?}{}", if until.is_some() { ", for a time" } else { "" })
        }
        Decision::Blocked { why, .. } => format!("blocked: {why:?}"),
        other => other.word().to_owned(),
    };
    let plan = SubjectPlan { subject: subject(of), ..bare(&change("a#1"), decision) };
    let (rule, released) = (rule(&plan, settings), released(&plan, settings));
    format!("{of} is {what}\n  {rule}\n  {released}\n")
}

#[test]
fn every_decision_has_its_rule_and_its_way_out() {
    let settings = workspace();
    let reason = String::new;
    let held = |why, until| Decision::Held { why, reason: reason(), until };
    let until = Some(Timestamp(START));
    let rows: [(&str, Vec<Decision>); 3] = [
        (
            "a#1",
            [
                Decision::Build { reason: reason() },
                Decision::Unchanged { reason: reason() },
                Decision::Covered { by: change("b#2"), reason: reason() },
                Decision::Superseded { reason: reason() },
                Decision::Unknown { reason: reason() },
            ]
            .into_iter()
            .chain(HELD.map(|why| held(why, None)))
            .chain(BLOCKED.map(|why| Decision::Blocked { why, reason: reason() }))
            .collect(),
        ),
        (
            "mainline",
            vec![
                Decision::Unchanged { reason: reason() },
                held(Held::Settling, until),
                held(Held::PartlyMerged, until),
                held(Held::Mainline, None),
            ],
        ),
        ("o/a@1", vec![Decision::Unchanged { reason: reason() }, held(Held::Adopted, None)]),
    ];
    let lines = rows.into_iter().flat_map(|(of, decisions)| {
        decisions.into_iter().map(|decision| line(of, decision, &settings)).collect::<Vec<_>>()
    });
    insta::assert_snapshot!("decisions", lines.collect::<String>());
}

#[test]
fn a_rule_names_the_value_of_its_key() {
    let covered = Decision::Covered { by: change("b#2"), reason: String::new() };
    let adopted = Decision::Held { why: Held::Adopted, reason: String::new(), until: None };
    let said = |decision: &Decision, edit: &dyn Fn(&mut ChangeRules)| {
        let mut settings = workspace();
        edit(&mut settings.changes);
        rule(&bare(&change("a#1"), decision.clone()), &settings)
    };
    for (value, word) in [
        (Dependencies::Tops, "`dependencies: tops`"),
        (Dependencies::Each, "`dependencies: each`"),
        (Dependencies::Both, "`dependencies: both`"),
    ] {
        let text = said(&covered, &|rules| rules.dependencies = value);
        assert!(text.contains(word), "{text}");
    }
    for (value, word) in [
        (Adopt::Recent, "`adopt: recent`"),
        (Adopt::All, "`adopt: all`"),
        (Adopt::None, "`adopt: none`"),
    ] {
        let text = said(&adopted, &|rules| rules.adopt = value);
        assert!(text.contains(word), "{text}");
    }
}

fn listed(merge: bool, forge: Option<(Option<bool>, bool)>) -> OpenRef {
    let forge = forge.map(|(mergeable, draft)| {
        Box::new(ForgeChange {
            draft,
            author: None,
            source: None,
            created_at: Timestamp(START),
            labels: [].into(),
            mergeable,
            references: References::default(),
        })
    });
    let ref_name = "refs/pull/1/head".into();
    OpenRef { number: 1, head: oid(1), base: Some("main".into()), ref_name, merge, forge }
}

fn chosen() -> Override {
    Override {
        change: change("a#1"),
        change_url: None,
        packages: Vec::new(),
        repository_url: String::new(),
        ref_name: String::new(),
        head: oid(1),
        base: "main".into(),
        unpin: false,
        repeats: [].into(),
    }
}

#[test]
fn why_a_ref_is_checked_out() {
    use RefKind::{Auto, Head, Merge};
    let plain = |merge| Some(listed(merge, None));
    let pull = |mergeable, draft| Some(listed(false, Some((mergeable, draft))));
    let conflicts = "`ref: auto`, and it conflicts with its base";
    let draft = "`ref: auto`, and it is a draft";
    let merges = "`ref: auto`, and the forge can merge it; a stacked change is built at its head";
    let stacked = "`ref: auto`, and it is stacked, or was a draft when that was chosen";
    let unsaid = "`ref: auto`, and the forge has not said whether it can be merged";
    let rows = [
        // `ref`, what is listed, what was chosen last, the words.
        (Auto, pull(Some(false), false), None, conflicts),
        (Auto, pull(Some(false), true), Some(RefChoice::Merge), conflicts),
        (Auto, pull(Some(true), true), None, draft),
        (Auto, pull(Some(true), false), Some(RefChoice::Head), merges),
        (Auto, pull(None, false), Some(RefChoice::Merge), merges),
        (Auto, pull(None, false), Some(RefChoice::Conflict), conflicts),
        (Auto, pull(None, false), Some(RefChoice::Head), stacked),
        (Auto, pull(None, true), Some(RefChoice::Head), draft),
        (Auto, pull(None, false), None, unsaid),
        (Head, pull(Some(true), false), None, "`ref: head`"),
        (Merge, pull(Some(false), false), None, "`ref: merge`"),
        (Head, plain(true), None, "`ref: head`"),
        (Merge, plain(false), None, "`ref: merge`"),
        (Auto, plain(true), None, "`ref: auto`, and the server shows a merge ref"),
        (Auto, plain(false), None, "`ref: auto`, and the server shows no merge ref"),
        (Auto, None, None, "`ref: auto`"),
    ];
    let own = chosen();
    for (row, (kind, listed, last, words)) in rows.into_iter().enumerate() {
        assert_eq!(ref_choice(kind, Some(&own), listed.as_ref(), last), words, "row {row}");
        let contained = ref_choice(kind, None, listed.as_ref(), last);
        assert_eq!(contained, "another member of its repository contains it", "row {row}");
    }
    let queue = "the branch of the merge queue, with everything that is queued up to it";
    assert_eq!(queued(Some(&own)), queue);
    assert_eq!(queued(None), "the branch of the merge queue has it");
}

#[test]
fn why_a_head_is_trusted_that_no_list_shows() {
    let settings = settings();
    let mut mirror = settings.forges["mirror"].clone();
    let authors = |forge: &mut std::sync::Arc<ForgeSettings>, authors| {
        if let ForgeKind::Git(git) = &mut std::sync::Arc::make_mut(forge).kind {
            git.authors = authors;
        }
    };
    let any = "`authors: any` of forge mirror, which shows no authors";
    assert_eq!(trust(true, Some(&*mirror)), format!("trusted: {any}"));
    authors(&mut mirror, Authors::None);
    let none = "`authors: none` of forge mirror, which shows no authors";
    assert_eq!(trust(false, Some(&*mirror)), format!("not trusted: {none}"));
    let gone = "not trusted: forge hub does not show it any more";
    assert_eq!(trust(false, Some(&*settings.forges["hub"])), gone);
    assert_eq!(trust(true, None), "not trusted: its forge is not in the configuration");
}

#[test]
fn why_a_repository_is_tracked() {
    let mut own = workspace();
    let source =
        Source { url: "https://git.example.org/conf".to_owned(), branch: Some("main".into()) };
    let used = |package: &str, definition, pin| Use {
        package: package.into(),
        override_key: package.into(),
        branch: None,
        pin,
        definition,
        repeats: None,
        path: None,
    };
    let rows = [
        // Package, whether it defines, pin, the words without a source of the workspace, and with one.
        ("a", false, None, "package a of the manifest of w", ""),
        ("source", false, None, "package source of the manifest of w", ""),
        ("d", true, None, "definition repository d of the manifest", ""),
        (
            "source",
            true,
            None,
            "definition repository source of the manifest",
            "the source of workspace w",
        ),
        (
            "a",
            false,
            Some(Pin::Tag("v1".to_owned())),
            "package a of the manifest of w, pinned at tag v1",
            "",
        ),
        (
            "d",
            true,
            Some(Pin::Commit("0123456789abcdef".to_owned())),
            "definition repository d of the manifest, pinned at commit 0123456789",
            "",
        ),
    ];
    for (package, definition, pin, without, with) in rows {
        let used = used(package, definition, pin);
        own.source = None;
        assert_eq!(tracked_because(&used, &own), without);
        own.source = Some(source.clone());
        assert_eq!(tracked_because(&used, &own), if with.is_empty() { without } else { with });
    }
}

/// So many of everything that an explanation lists.
fn page(count: u8) -> Explanation {
    let numbers = || (1..=count).map(u64::from);
    let names = || numbers().map(|number| format!("p{number}").into()).collect::<Vec<Name>>();
    let finding =
        |text: &str| Finding { as_written: String::new(), line: 1, text: text.to_owned() };
    let part = |what: &str, value: &str, before: Option<&str>, moved| Part {
        part: FingerprintPart { what: what.to_owned(), value: value.to_owned() },
        before: before.map(str::to_owned),
        moved,
    };
    let moved = [part("x", "0123456789abcdef", Some("fedcba9876543210"), true)];
    let still = numbers().skip(1).map(|number| part(&format!("y{number}"), "same", None, false));
    let vias =
        [Via::Trailer, Via::Line, Via::Row, Via::Section, Via::List, Via::Autoproj, Via::Zuul];
    let references = vias.into_iter().zip(1..).map(|(via, line)| Reference {
        of: change(if line == 2 { "b#2" } else { "a#1" }),
        written: Written { change: change("b#2"), as_written: "b#2".to_owned(), line, via },
        became: "a member of the set".to_owned(),
    });
    let member = |ref_name: Option<&str>, packages| Member {
        member: SetMember { change: change("a#1"), head: oid(1), base: "main".into() },
        trusted: true,
        trust: "trusted".to_owned(),
        ref_name: ref_name.map(str::to_owned),
        ref_choice: "why".to_owned(),
        packages,
    };
    let attempt = |number: u8| AttemptView {
        request_id: RequestId([number; 16]),
        ci: "ci".into(),
        fingerprint: Fingerprint([number; 32]),
        attempt: number.into(),
        stage: Stage::Ended(Verdict::Lost),
        decided_at: Timestamp(START),
        ended_at: None,
        set: [].into(),
        parts: Vec::new().into_iter().collect(),
        link: None,
        note: (number == 4).then(|| "out of\ndisk".to_owned()),
        cause: Cause::New,
        mainline: None,
        base: None,
    };
    Explanation {
        workspace: "w".into(),
        subject: subject("a#1"),
        at: Timestamp(START),
        decision: Decision::Build { reason: "because".to_owned() },
        rule: "a rule".to_owned(),
        released: "a way out".to_owned(),
        manifest: Some("not known".to_owned()),
        tracked: numbers()
            .map(|number| Tracking {
                repository: repository(&format!("r{number}")),
                branch: (number > 1).then(|| "main".into()),
                because: vec!["one".to_owned(), "two".to_owned()],
            })
            .collect(),
        references: references.collect(),
        set: vec![member(Some("refs/pull/1/head"), names()), member(None, Vec::new())],
        candidate: Some(CandidatePlan {
            because: "it touches conf".to_owned(),
            rounds: usize::from(count) - 11,
            difference: Some(Difference {
                added: names(),
                removed: Vec::new(),
                changed: names(),
                digest: (count > 12).then_some(Fingerprint([7; 32])),
            }),
        }),
        approved: Some("by ann".to_owned()),
        fingerprint: Some(Fingerprint([9; 32])),
        parts: moved.into_iter().chain(still).collect(),
        left: vec![FingerprintPart { what: "z".to_owned(), value: "abcdef0123456789".to_owned() }],
        compared_with: None,
        attempts: (1..=count - 2).map(attempt).collect(),
        triggers: vec!["ci".into(), "second".into()],
        findings: vec![finding("wrong\u{1b}[2J")],
        notes: vec![finding("to know")],
    }
}

#[test]
fn a_page_shows_twelve_of_each_and_the_last_ten_builds() {
    insta::assert_snapshot!("twelve", page(12).text());
    insta::assert_snapshot!("thirteen", page(13).text());
    let mut open = page(12);
    open.fingerprint = None;
    open.candidate =
        Some(CandidatePlan { because: "it touches conf".to_owned(), rounds: 0, difference: None });
    let text = open.text();
    for line in [
        "\n  fingerprint  none while something in it is not known\n",
        "\n  candidate    it touches conf; no manifest yet\n    manifest   not settled\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
