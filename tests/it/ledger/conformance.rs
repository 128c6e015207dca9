//! What a ledger promises, on SQLite and on PostgreSQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch::clock::Clock;
use crosswatch::ledger::{BuildFilter, Came, DeliveryRow, HookRow, Ledger, LedgerError, Stop};
use crosswatch::store::Store;
use crosswatch_core::model::build::{Cause, RequestId, Stage, Verdict};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::leap::Leap;
use crosswatch_core::model::ledger_view::{Approval, AttemptView, MainlineFacts};
use crosswatch_core::model::plan::Superseded;
use crosswatch_core::model::report::{Status, StatusKey, StatusState};
use crosswatch_core::model::time::{Span, Timestamp};

use super::plans::{AT, build, change, facts, plan, set};
use crate::support::postgres::Server;

fn workspace() -> Name {
    Name::from("w")
}

async fn once_however_often_committed(ledger: Ledger, _: Store, _: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let wanted = plan(vec![build(ledger.id(), 1), build(ledger.id(), 2)]);
    let first = ledger.commit(&term, &wanted).await.expect("committed");
    assert_eq!(first.queued.len(), 2);
    let again = ledger.commit(&term, &wanted).await.expect("committed");
    assert!(again.queued.is_empty());
    let rows = ledger.outbox().await.expect("rows");
    assert_eq!(rows.len(), 2);
    let view = ledger.view();
    let part = &view.workspaces["w"];
    assert_eq!((part.looks.len(), part.changes.len(), part.attempts.len()), (1, 2, 2));
    let attempt = &part.attempts[&Subject::Change(change(1))][0];
    assert_eq!((attempt.stage, &*attempt.set), (Stage::Queued, &*set(1)));
    // Read from the store it is what was decided, with how the mainline was then.
    let decided = wanted.workspaces[0].subjects().next().expect("a subject");
    let ci = Name::from("main");
    let trigger = &decided.triggers[0];
    let decided = AttemptView::queued(ci, &trigger.request, trigger.parts.clone());
    assert_eq!(*attempt, decided);
    assert_eq!((attempt.cause, attempt.mainline), (Cause::Recovery, Some(Verdict::Failure)));
    assert!(attempt.base.is_some());
    let subject = change(1).to_string();
    let audit = ledger.audit(&workspace(), &subject, 10).await.expect("audit");
    assert_eq!(audit.len(), 1, "an unchanged decision is audited once");
}

async fn a_decision_of_who_led_meanwhile_is_no_longer_ours(
    ledger: Ledger,
    store: Store,
    clock: Clock,
) {
    let ours = plan(vec![build(ledger.id(), 1)]);
    let term = ledger.lead("a").await.expect("leads");
    ledger.commit(&term, &ours).await.expect("committed");
    ledger.release(&term).await.expect("released");
    let other = Ledger::open(store, clock).await.expect("opened");
    let term = other.lead("b").await.expect("leads");
    let mut theirs = build(other.id(), 1);
    let reason = "theirs".to_owned();
    theirs.decision = crosswatch_core::model::plan::Decision::Unknown { reason }.into();
    other.commit(&term, &plan(vec![theirs])).await.expect("committed");
    other.release(&term).await.expect("released");
    let term = ledger.lead("a").await.expect("leads again");
    ledger.commit(&term, &ours).await.expect("committed");
    let audit = ledger.audit(&workspace(), &change(1).to_string(), 10).await.expect("audit");
    assert_eq!(audit.len(), 3, "{audit:?}");
}

async fn a_stolen_lease_writes_nothing(ledger: Ledger, _: Store, clock: Clock) {
    let old = ledger.lead("a").await.expect("leads");
    let refused = ledger.lead("b").await;
    assert!(matches!(refused, Err(LedgerError::LeaseAwaited { .. })), "{refused:?}");
    clock.advance(Span::minutes(5));
    let new = ledger.lead("b").await.expect("the lease ran out");
    assert!(new.number() > old.number());
    let wanted = plan(vec![build(ledger.id(), 1)]);
    let lost = ledger.commit(&old, &wanted).await;
    assert!(matches!(lost, Err(LedgerError::NotLeader { .. })), "{lost:?}");
    assert!(ledger.pause(&old, &workspace(), "x").await.is_err());
    assert!(ledger.renew(&old).await.is_err());
    assert!(ledger.outbox().await.expect("rows").is_empty());
    assert_eq!(ledger.commit(&new, &wanted).await.expect("committed").queued.len(), 1);
}

async fn a_clock_that_jumps_takes_no_lease(ledger: Ledger, store: Store, clock: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let (theirs, day) = (Clock::manual(AT), Span::days(1));
    let other = Ledger::open(store, theirs.clone()).await.expect("opened");
    let refused = async || other.lead("b").await.map(drop).expect_err("it is held").to_string();
    assert!(refused().await.contains("a led last, in term 1"));
    for to in [AT + day, AT - day] {
        theirs.set(to);
        assert!(refused().await.contains("a led last"), "it saw nothing yet");
    }
    // Whatever the clock of who leads does, each renewal counts.
    for to in [AT + day, AT - day, AT - day] {
        clock.set(to);
        theirs.advance(Span::seconds(29));
        ledger.renew(&term).await.expect("renewed");
        assert!(refused().await.contains("a leads since term 1"));
        theirs.set(AT + day);
        assert!(refused().await.contains("a leads since term 1"));
    }
    clock.set(AT);
    theirs.advance(Span::seconds(29));
    refused().await;
    theirs.advance(Span::seconds(1));
    let new = other.lead("b").await.expect("nobody renewed it");
    assert!(new.number() > term.number());
    assert!(ledger.renew(&term).await.is_err());
    other.release(&new).await.expect("released");
    ledger.lead("a").await.expect("nobody waits for what was given back");
}

async fn what_a_leap_carries_along_is_stored(ledger: Ledger, store: Store, clock: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let mut noted = plan(Vec::new());
    let (recorded, many) = (build(ledger.id(), 1).triggers[0].request.fingerprint, 1_001);
    let part = Arc::make_mut(&mut noted.workspaces[0]);
    part.facts = (1..=many).map(facts).collect();
    part.mainline = Some(MainlineFacts {
        recorded,
        fingerprint: recorded,
        moved_at: AT,
        gathering_since: AT - Span::days(2),
        heads: Vec::new().into(),
        partly: BTreeMap::new(),
    });
    ledger.commit(&term, &noted).await.expect("committed");
    let leap = Leap { from: AT, by: Span::hours(8) };
    ledger.carry(&term, leap).await.expect("carried");
    ledger.carry(&term, leap).await.expect("carried");
    let again = Ledger::open(store, clock).await.expect("opened");
    again.look().await.expect("read");
    assert_eq!(again.view(), ledger.view());
    let part = &ledger.view().workspaces["w"];
    let (later, seen) = (AT + leap.by, &part.changes[&change(many)]);
    assert_eq!((part.changes.len(), seen.first_seen, seen.head_moved_at), (1_001, later, later));
    let mainline = part.mainline.as_ref().expect("a mainline");
    assert_eq!((mainline.moved_at, mainline.gathering_since), (later, AT - Span::days(2)));
    ledger.release(&term).await.expect("released");
    again.lead("b").await.expect("leads");
    assert!(ledger.carry(&term, Leap { from: later, ..leap }).await.is_err(), "it leads no more");
}

async fn late_marks_change_nothing(ledger: Ledger, _: Store, _: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let wanted = plan(vec![build(ledger.id(), 1)]);
    let id = ledger.commit(&term, &wanted).await.expect("committed").queued[0];
    let yes = |marked: Result<bool, LedgerError>| marked.expect("a mark");
    assert!(!yes(ledger.mark_sent(&term, id, None, None).await), "nothing was sent");
    assert!(yes(ledger.mark_sending(&term, id, AT).await));
    assert!(!yes(ledger.mark_sending(&term, id, AT).await), "it is on its way");
    assert!(yes(ledger.mark_queued_again(&term, id, AT, "no").await));
    assert!(yes(ledger.mark_sending(&term, id, AT).await));
    assert!(yes(ledger.mark_sent(&term, id, Some("7".to_owned()), None).await));
    assert!(yes(ledger.mark_running(&term, id, None, Some("l".to_owned())).await));
    assert!(yes(ledger.mark_ended(&term, id, Verdict::Success, None, None).await));
    assert!(!yes(ledger.mark_ended(&term, id, Verdict::Failure, None, None).await));
    assert!(!yes(ledger.mark_running(&term, id, None, None).await));
    assert!(ledger.outbox().await.expect("rows").is_empty());
    let builds = ledger.builds(&BuildFilter::default()).await.expect("builds");
    assert_eq!(builds[0].stage, Stage::Ended(Verdict::Success));
    let view = ledger.view();
    let attempt = &view.workspaces["w"].attempts[&Subject::Change(change(1))][0];
    assert_eq!(attempt.link.as_deref(), Some("l"));
}

async fn superseded_attempts_are_dropped_or_cancelled(ledger: Ledger, _: Store, _: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let wanted = plan(vec![build(ledger.id(), 1), build(ledger.id(), 2)]);
    let queued = ledger.commit(&term, &wanted).await.expect("committed").queued;
    assert!(ledger.mark_sending(&term, queued[0], AT).await.expect("a mark"));
    let mut subjects = vec![build(ledger.id(), 1), build(ledger.id(), 2)];
    for (subject, id) in subjects.iter_mut().zip(&queued) {
        subject.triggers.clear();
        let why = "it moved".to_owned();
        subject.superseded = vec![Superseded { request_id: *id, why, cancel: true }].into();
    }
    let committed = ledger.commit(&term, &plan(subjects)).await.expect("committed");
    assert_eq!((committed.cancel, committed.dropped), (vec![queued[0]], vec![queued[1]]));
    let rows = ledger.outbox().await.expect("rows");
    assert!(rows.len() == 1 && rows[0].cancel_wanted);
}

async fn pruning_leaves_what_is_open_and_the_newest(ledger: Ledger, store: Store, clock: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let attempts = (1..=53).map(|attempt| {
        let mut subject = build(ledger.id(), 1);
        let request = &mut subject.triggers[0].request;
        let (of, made) = (request.subject.clone(), request.fingerprint);
        request.request_id = RequestId::new(ledger.id(), "w", &of, "main", &made, attempt);
        request.attempt = attempt;
        plan(vec![subject])
    });
    for (index, wanted) in attempts.enumerate() {
        let id = ledger.commit(&term, &wanted).await.expect("committed").queued[0];
        if index > 0 {
            let verdict = Verdict::Lost;
            assert!(ledger.mark_ended(&term, id, verdict, None, None).await.expect("a mark"));
        }
    }
    ledger.prune(&term, AT).await.expect("pruned");
    let builds = ledger.builds(&BuildFilter::default()).await.expect("builds");
    assert_eq!(builds.len(), 53, "nothing is old");
    clock.advance(Span::seconds(1));
    ledger.prune(&term, clock.now()).await.expect("pruned");
    let builds = ledger.builds(&BuildFilter::default()).await.expect("builds");
    assert_eq!(builds.len(), 51, "those that decisions see, and the open one");
    let requests = sqlx::query_scalar("SELECT COUNT(*) FROM requests").fetch_one(store.reader());
    let requests: i64 = requests.await.expect("a number");
    assert_eq!(requests, 51, "a request goes with its attempt");
}

async fn an_approval_is_for_exactly_its_set(ledger: Ledger, _: Store, _: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let mut subject = build(ledger.id(), 1);
    subject.triggers[0].needs_approval = true;
    let wanted = plan(vec![subject]);
    assert!(ledger.commit(&term, &wanted).await.expect("committed").queued.is_empty());
    let approval =
        |set| Approval { subject: Subject::Change(change(1)), set, by: "p".to_owned(), at: AT };
    ledger.approve(&term, &workspace(), &approval(set(2))).await.expect("approved");
    assert!(ledger.commit(&term, &wanted).await.expect("committed").queued.is_empty());
    ledger.approve(&term, &workspace(), &approval(set(1))).await.expect("approved");
    assert_eq!(ledger.commit(&term, &wanted).await.expect("committed").queued.len(), 1);
    // Approvals of others that are one of it together: each for exactly its set.
    let mut other = build(ledger.id(), 3);
    other.triggers[0].needs_approval = true;
    let of = |number, set| (Subject::Change(change(number)), set);
    for (approved_as, queued) in [
        (vec![of(1, set(1)), of(2, set(2))], 0),
        (vec![of(1, set(3))], 0),
        (vec![of(1, set(1))], 1),
    ] {
        other.triggers[0].approved_as = approved_as;
        let wanted = plan(vec![other.clone()]);
        let committed = ledger.commit(&term, &wanted).await.expect("committed");
        assert_eq!(committed.queued.len(), queued);
    }
}

async fn what_is_remembered_survives(ledger: Ledger, store: Store, clock: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let value = |at| ("k".to_owned(), format!("\"{at}\""), Timestamp(at));
    ledger.remember(&term, "answer", &[value(2)]).await.expect("remembered");
    ledger.save_workspace(&term, &workspace(), "{}").await.expect("saved");
    ledger.pause(&term, &workspace(), "p").await.expect("paused");
    let same = Ledger::open(store, clock).await.expect("opened");
    same.look().await.expect("read");
    assert_eq!(same.id(), ledger.id());
    assert_eq!(same.recall("answer").await.expect("recalled"), [value(2)]);
    assert_eq!(same.saved_workspace(&workspace()).await.expect("saved").as_deref(), Some("{}"));
    assert_eq!(same.view().workspaces["w"].paused_by.as_deref(), Some("p"));
    ledger.forget(&term, "answer", Timestamp(3)).await.expect("forgotten");
    assert!(ledger.recall("answer").await.expect("recalled").is_empty());
    let listing = |name: &str, at| (name.to_owned(), "{}".to_owned(), Timestamp(at));
    let listings = [listing("new", 3), listing("old", 2), listing("watched", 2)];
    ledger.remember(&term, "listing", &listings).await.expect("remembered");
    let watched = |name: &str| name == "watched";
    ledger.forget_unless(&term, "listing", Timestamp(3), watched).await.expect("forgotten");
    let mut left = ledger.recall("listing").await.expect("recalled");
    left.sort();
    assert_eq!(left, [listing("new", 3), listing("watched", 2)]);
    let before = ledger.view();
    ledger.renew(&term).await.expect("renewed");
    assert!(Arc::ptr_eq(&before.workspaces["w"], &ledger.view().workspaces["w"]));
}

async fn a_delivery_counts_once_and_a_missed_one_when_it_comes(
    ledger: Ledger,
    _: Store,
    clock: Clock,
) {
    let term = ledger.lead("a").await.expect("leads");
    let row = |guid: &str, at| DeliveryRow {
        forge: Name::from("hub"),
        guid: guid.to_owned(),
        hook: 7,
        event: "push".to_owned(),
        repository_id: 12,
        at,
    };
    let take = async |came, guids: &[&str], at| {
        let rows: Vec<DeliveryRow> = guids.iter().map(|guid| row(guid, at)).collect();
        ledger.deliveries(&term, came, &rows, &[]).await.expect("stored")
    };
    for (came, guids, new, why) in [
        (Came::Taken, &["a", "b", "a"][..], &[true, true, false][..], "twice in one"),
        (Came::Taken, &["b", "c"], &[false, true], "taken before"),
        (Came::Missed, &["c", "d"], &[false, true], "what was taken is not missed"),
        (Came::Missed, &["d"], &[false], "missed once"),
        (Came::Taken, &["d", "d"], &[true, false], "delivered after all"),
        (Came::Missed, &["d"], &[false], "and not missed again"),
    ] {
        assert_eq!(take(came, guids, AT).await, new, "{why}");
    }
    let other = DeliveryRow { forge: Name::from("other"), ..row("a", AT) };
    let stored = ledger.deliveries(&term, Came::Taken, &[other], &[]).await.expect("stored");
    assert_eq!(stored, [true], "another forge's");

    let hook = HookRow {
        forge: Name::from("hub"),
        hook: 7,
        target: "organization".to_owned(),
        place: "orgs/rock".to_owned(),
        events: ["push".to_owned(), "ping".to_owned()].into(),
        first_at: AT,
        last_at: AT,
        log_read_to: AT,
    };
    let later = AT + Span::minutes(9);
    let again = HookRow { first_at: later, last_at: later, log_read_to: later, ..hook.clone() };
    for hook in [&hook, &again] {
        ledger
            .deliveries(&term, Came::Taken, &[], std::slice::from_ref(hook))
            .await
            .expect("stored");
    }
    ledger.log_read(&term, &hook.forge, 7, AT + Span::minutes(3)).await.expect("stored");
    let kept = HookRow { last_at: later, log_read_to: AT + Span::minutes(3), ..hook };
    assert_eq!(ledger.hooks().await.expect("hooks"), [kept]);

    clock.advance(Span::days(8));
    take(Came::Taken, &["new"], clock.now()).await;
    ledger.forget_deliveries(&term).await.expect("forgotten");
    assert_eq!(take(Came::Taken, &["a", "new"], clock.now()).await, [true, false], "by age");
}

async fn what_is_said_is_due_until_it_is_written(ledger: Ledger, store: Store, clock: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let key = StatusKey {
        repository: change(1).repository,
        head: set(1)[0].head,
        context: "crosswatch/w".into(),
    };
    let status = |state: StatusState| Status {
        state,
        description: state.word().to_owned(),
        target: (state == StatusState::Success).then(|| "https://ci.example".to_owned()),
    };
    let wanted = |state, remarks: &[&str]| {
        let mut wanted = plan(Vec::new());
        let part = Arc::make_mut(&mut wanted.workspaces[0]);
        part.reports.statuses = vec![(key.clone(), status(state))];
        let remarks = remarks.iter().map(|text| (*text).to_owned()).collect();
        part.reports.remarks = vec![(change(1), remarks)];
        wanted
    };
    let commit = async |plan| ledger.commit(&term, &plan).await.expect("committed").reports;
    let due = async || {
        let due = ledger.due_statuses().await.expect("rows");
        due.into_iter().map(|due| due.status.state).collect::<Vec<_>>()
    };
    let mark = async |state| {
        ledger
            .mark_status(&term, &workspace(), &key, (&status(state), Some("7")))
            .await
            .expect("marked");
    };
    let (pending, success) = (StatusState::Pending, StatusState::Success);
    assert_eq!(commit(wanted(pending, &["x"])).await, 2);
    assert_eq!(ledger.view().workspaces["w"].said.statuses[&key], status(pending));
    assert_eq!(ledger.view().workspaces["w"].said.remarks[&change(1)], ["x"]);
    // The verdict takes its place before it is written.
    commit(wanted(success, &["x", "y"])).await;
    assert_eq!(due().await, [success]);
    let run = async || ledger.due_statuses().await.expect("rows").remove(0).run;
    assert_eq!(run().await, None);
    // A mark of what is no longer wanted leaves it due; going back to what is written does not.
    mark(pending).await;
    assert_eq!(due().await, [success]);
    assert_eq!(run().await.as_deref(), Some("7"), "the check run becomes what is wanted");
    commit(wanted(pending, &["y"])).await;
    assert_eq!(due().await, []);
    commit(wanted(success, &["y"])).await;
    let same = Ledger::open(store, clock.clone()).await.expect("opened");
    same.look().await.expect("read");
    assert_eq!(same.view().workspaces["w"].said.statuses[&key], status(success));
    mark(success).await;
    assert_eq!(due().await, []);
    commit(wanted(pending, &["y"])).await;
    assert_eq!(run().await, None, "one that is over does not begin again");
    commit(wanted(StatusState::Failure, &["y"])).await;
    assert_eq!(run().await.as_deref(), Some("7"));
    mark(StatusState::Failure).await;

    let comment = ledger.due_comments().await.expect("rows").remove(0);
    assert_eq!(comment.remarks[&workspace()], ["y"]);
    commit(wanted(success, &[])).await;
    let digest = || Some("d".to_owned());
    ledger.mark_comment(&term, &comment, Some("7".to_owned()), digest()).await.expect("marked");
    let comment = ledger.due_comments().await.expect("rows").remove(0);
    assert!(comment.remarks.is_empty() && ledger.view().workspaces["w"].said.remarks.is_empty());
    assert_eq!((comment.comment_id.as_deref(), comment.digest.as_deref()), (Some("7"), Some("d")));
    ledger.mark_comment(&term, &comment, Some("7".to_owned()), digest()).await.expect("marked");
    assert!(ledger.due_comments().await.expect("rows").is_empty());

    let stop = |why: &str, ends_at| Stop {
        place: "github.com/o/a".to_owned(),
        why: why.to_owned(),
        since: AT,
        ends_at,
    };
    ledger.stop(&term, &stop("once", AT + Span::hours(1))).await.expect("stopped");
    ledger.stop(&term, &stop("twice", AT + Span::hours(2))).await.expect("stopped");
    let stops = ledger.stops(AT + Span::hours(1)).await.expect("rows");
    assert_eq!(stops, [stop("twice", AT + Span::hours(2))]);
    assert!(ledger.stops(AT + Span::hours(2)).await.expect("rows").is_empty());
    ledger.clear_stops(&term).await.expect("cleared");
    assert!(ledger.stops(AT).await.expect("rows").is_empty());
    clock.advance(Span::seconds(1));
    ledger.prune(&term, clock.now()).await.expect("pruned");
    assert!(ledger.due_comments().await.expect("rows").is_empty());
}

async fn a_request_is_read_as_it_was_decided(ledger: Ledger, store: Store, clock: Clock) {
    let term = ledger.lead("a").await.expect("leads");
    let wanted = plan(vec![build(ledger.id(), 1), build(ledger.id(), 2)]);
    ledger.commit(&term, &wanted).await.expect("committed");
    let requests: Vec<_> = wanted.workspaces[0]
        .subjects()
        .map(|subject| subject.triggers[0].request.clone())
        .collect();
    assert_eq!(requests[0].heads.len(), 1);
    let view = ledger.view();
    // The other one is as a version left it that kept everything in the request.
    let mut write = store.begin().await.expect("begun");
    let second = wanted.workspaces[0].subjects().nth(1).expect("the other one");
    let parts = &second.triggers[0].parts;
    for (moved, text) in [
        (
            "UPDATE attempts SET heads = NULL, members = NULL, seen = NULL, parts = $1 \
             WHERE request_id = $2",
            serde_json::to_string(parts),
        ),
        (
            "UPDATE requests SET request = $1 WHERE request_id = $2",
            serde_json::to_string(&requests[1]),
        ),
    ] {
        sqlx::query(moved)
            .bind(text.expect("JSON"))
            .bind(requests[1].request_id.to_string())
            .execute(&mut *write)
            .await
            .expect("written");
    }
    write.commit().await.expect("committed");
    let other = Ledger::open(store, clock.clone()).await.expect("opened");
    other.look().await.expect("read");
    assert_eq!(other.view(), view);
    let mut sent: Vec<_> = other.outbox().await.expect("rows").into_iter().collect();
    sent.sort_by_key(|row| row.request.subject.clone());
    assert_eq!(sent.into_iter().map(|row| row.request).collect::<Vec<_>>(), requests);
    let rows = other.builds(&BuildFilter::default()).await.expect("rows");
    assert!(rows.iter().all(|row| requests.contains(&row.request)) && rows.len() == 2);
    // Commits that an attempt stands on are not pruned.
    clock.advance(Span::seconds(1));
    ledger.prune(&term, clock.now()).await.expect("pruned");
    let rows = other.builds(&BuildFilter::default()).await.expect("rows");
    assert!(rows.iter().all(|row| row.request.heads.len() == 1));
}

on_both!(
    once_however_often_committed,
    a_request_is_read_as_it_was_decided,
    a_stolen_lease_writes_nothing,
    a_clock_that_jumps_takes_no_lease,
    what_a_leap_carries_along_is_stored,
    late_marks_change_nothing,
    superseded_attempts_are_dropped_or_cancelled,
    a_decision_of_who_led_meanwhile_is_no_longer_ours,
    an_approval_is_for_exactly_its_set,
    pruning_leaves_what_is_open_and_the_newest,
    what_is_remembered_survives,
    a_delivery_counts_once_and_a_missed_one_when_it_comes,
    what_is_said_is_due_until_it_is_written,
);
