//! What readers of GitHub fall for, a row each: the list of the reference, over a model of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crosswatch::clock::Clock;
use crosswatch::forge::github::{DEADLINE, GitHub};
use crosswatch::forge::governor::Governor;
use crosswatch::forge::{ForgeApi, ForgeError, Listed};
use crosswatch::http::conditional::{Bounds, Conditional};
use crosswatch::http::{Bearer, Gate, HttpClient};
use crosswatch::task::Tasks;
use crosswatch_core::model::time::{Span, Timestamp};
use forge_model::{Access, Edit, Fault, Model, NewChange, What};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{id, reader, settings};
use crate::support::eventually;

const NAME: &str = "org/a";
const SILENT: &str = "a connection without an answer";

/// A repository with one change, and who reads it.
struct Trap {
    model: Model,
    clock: Clock,
    tasks: Tasks,
    token: Bearer,
    forge: GitHub,
}

impl Trap {
    /// With a clock that stands still, and nothing that makes it wait; or with the time and the governor.
    async fn new(governed: bool, deadline: Span) -> Self {
        let (model, tasks) = (Model::start().await, Tasks::new());
        model.token("main", "one");
        model.token("other", "two");
        model.repository(NAME);
        model.open(NAME, NewChange::default());
        let now = model.state().now_ms();
        let clock = if governed { Clock::system() } else { Clock::manual(Timestamp(now)) };
        let mut gate: Option<Arc<dyn Gate>> = None;
        if governed {
            gate = Some(Arc::new(Governor::start(clock.clone(), &tasks, None).await));
        }
        let client = HttpClient::new().expect("a client");
        let bounds = Bounds::default();
        let ask = Conditional::new(client, clock.clone(), tasks.clone(), gate, None, bounds).await;
        let (settings, token) = (settings(&model), Bearer::new("one".to_owned().into()));
        let credential = Some(("main".to_owned(), token.clone()));
        let reader = reader(&settings);
        let forge = GitHub::by(deadline, &settings, credential, ask, reader);
        Self { model, clock, tasks, token, forge: forge.expect("a reader") }
    }

    async fn list(&self) -> Listed {
        self.forge.list(id(NAME)).await.expect("a list")
    }

    async fn numbers(&self) -> BTreeSet<u64> {
        self.list().await.listing.changes.iter().map(|change| change.number).collect()
    }

    async fn head(&self) -> String {
        self.list().await.listing.change(1).expect("the change").head.to_string()
    }

    async fn mark(&self) -> String {
        let marks = self.forge.marks(vec![id(NAME)]).await.expect("marks");
        marks[&id(NAME)].clone()
    }

    fn open(&self, count: usize) {
        for n in 0..count {
            let branch = format!("more-{n}");
            self.model.open(NAME, NewChange { branch, ..NewChange::default() });
        }
    }

    /// A fault that strikes once is an error, and then everything is as before.
    async fn fails(&self, what: What, expected: fn(&ForgeError) -> bool) {
        self.list().await;
        self.model.star(NAME);
        self.model.fault(Fault::on("pulls", what));
        let error = self.forge.list(id(NAME)).await.expect_err("no list");
        assert!(expected(&error), "{error:?}");
        self.model.no_faults();
        assert_eq!(self.numbers().await, [1].into());
    }

    /// A limit ends the question, and the next one waits for what it named.
    async fn limits(
        &self,
        status: u16,
        headers: &[(&str, String)],
        body: &str,
        wait: Option<Span>,
    ) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let what = What::Status(status, headers.collect(), body.to_owned());
        self.model.fault(Fault::on("/repos/", what).times(1));
        let error = self.forge.list(id(NAME)).await.expect_err("a limit");
        assert!(matches!(error, ForgeError::Limited(_)), "{error:?}");
        self.model.forget_requests();
        let early = tokio::time::timeout(Duration::from_millis(300), self.forge.list(id(NAME)));
        assert!(early.await.is_err(), "it waits");
        assert_eq!(self.model.requests().total().requests, 0, "and sends nothing");
        if let Some(wait) = wait {
            let most = wait.to_std() + Duration::from_secs(20);
            let list = tokio::time::timeout(most, self.numbers());
            assert_eq!(list.await.expect("it goes on"), [1].into());
            assert_eq!(self.model.requests().early, 0);
        }
    }
}

type Row = (&'static str, bool, for<'t> fn(&'t Trap) -> LocalBoxFuture<'t, ()>);

const ROWS: &[Row] = &[
    ("the ETag changes with the token", false, |trap| {
        async {
            let before = trap.list().await;
            trap.token.replace("two".to_owned().into());
            for (round, kept) in [(1, 0), (2, 3)] {
                trap.model.forget_requests();
                assert_eq!(trap.list().await, before, "round {round}");
                let total = trap.model.requests().total();
                assert_eq!((total.requests, total.not_modified), (3, kept), "round {round}");
            }
        }
        .boxed_local()
    }),
    ("a star changes the list of pull requests", false, |trap| {
        async {
            let before = trap.list().await;
            trap.model.star(NAME);
            trap.model.forget_requests();
            assert_eq!(trap.list().await, before);
            assert_eq!(trap.model.requests().of("pulls").not_modified, 0);
        }
        .boxed_local()
    }),
    ("more than 30 pull requests", false, |trap| {
        async {
            trap.open(44);
            assert_eq!(trap.numbers().await, (1..=45).collect());
        }
        .boxed_local()
    }),
    ("more than 100 pull requests", false, |trap| {
        async {
            trap.open(210);
            assert_eq!(trap.numbers().await, (1..=211).collect());
        }
        .boxed_local()
    }),
    ("the ETag of a first page that is full", false, |trap| {
        async {
            trap.open(99);
            assert_eq!(trap.numbers().await.len(), 100);
            trap.open(1);
            assert_eq!(trap.numbers().await.len(), 101);
            trap.model.edit(NAME, 1, Edit::Close);
            assert_eq!(trap.numbers().await, (2..=101).collect());
        }
        .boxed_local()
    }),
    ("two edits within one second", false, |trap| {
        async {
            trap.model.edit(NAME, 1, Edit::Body(Some("one".to_owned())));
            let first = trap.mark().await;
            trap.model.edit(NAME, 1, Edit::Body(Some("two".to_owned())));
            trap.model.state().skew += 10;
            assert_ne!(trap.mark().await, first, "what was young is read again when it is older");
            let rests = trap.mark().await;
            assert_eq!(trap.mark().await, rests);
        }
        .boxed_local()
    }),
    ("a 304 that is stale", false, |trap| {
        async {
            let before = trap.head().await;
            let after = trap.model.push_change(NAME, 1, None);
            trap.model.fault(Fault::on("pulls", What::Stale304));
            assert_eq!(trap.head().await, before, "it cannot be known");
            trap.clock.advance(Span::hours(1));
            assert_eq!(trap.head().await, after, "for an hour at most");
        }
        .boxed_local()
    }),
    ("a replica that is behind", false, |trap| {
        async {
            trap.model.state().lag = 1_500;
            let before = trap.head().await;
            let after = trap.model.push_change(NAME, 1, None);
            assert_eq!(trap.head().await, before);
            eventually("it has caught up", async || trap.head().await == after).await;
        }
        .boxed_local()
    }),
    ("403 for the primary limit", true, |trap| {
        async {
            let reset = trap.model.state().now() + 5;
            let headers = [
                ("x-ratelimit-limit", "5000".to_owned()),
                ("x-ratelimit-remaining", "0".to_owned()),
                ("x-ratelimit-reset", reset.to_string()),
                ("x-ratelimit-resource", "core".to_owned()),
            ];
            let said = "{\"message\": \"API rate limit exceeded\"}";
            trap.limits(403, &headers, said, Some(Span::seconds(5))).await;
        }
        .boxed_local()
    }),
    ("403 for a secondary limit with Retry-After", true, |trap| {
        async {
            let after = [("retry-after", "1".to_owned())];
            let said = "{\"message\": \"You have exceeded a secondary rate limit\"}";
            trap.limits(403, &after, said, Some(Span::seconds(1))).await;
        }
        .boxed_local()
    }),
    ("403 for a secondary limit without Retry-After", true, |trap| {
        async {
            let said = "{\"message\": \"You have exceeded a secondary rate limit\"}";
            trap.limits(403, &[], said, None).await;
        }
        .boxed_local()
    }),
    ("429 with Retry-After", true, |trap| {
        async {
            let after = [("retry-after", "1".to_owned())];
            trap.limits(429, &after, "{}", Some(Span::seconds(1))).await;
        }
        .boxed_local()
    }),
    ("429 without Retry-After", true, |trap| {
        async { trap.limits(429, &[], "", None).await }.boxed_local()
    }),
    ("a body that is cut off", false, |trap| {
        trap.fails(What::Cut, |error| matches!(error, ForgeError::Unavailable(_))).boxed_local()
    }),
    ("garbage", false, |trap| {
        let garbage = What::Garbage(b"[{\"number\": 1}, \xff\xfe".to_vec());
        trap.fails(garbage, |error| matches!(error, ForgeError::Nonsense(_))).boxed_local()
    }),
    (SILENT, false, |trap| {
        trap.fails(What::Hang, |error| matches!(error, ForgeError::Unavailable(_))).boxed_local()
    }),
    ("HTML with 502", false, |trap| {
        let page = What::Status(502, Vec::new(), "<html><h1>Unicorn!</h1></html>".to_owned());
        trap.fails(page, |error| matches!(error, ForgeError::Unavailable(_))).boxed_local()
    }),
    ("HTML with 200", false, |trap| {
        trap.fails(What::Html, |error| matches!(error, ForgeError::Nonsense(_))).boxed_local()
    }),
    ("a repository that was renamed", false, |trap| {
        async {
            let before = trap.list().await;
            trap.model.rename(NAME, "Org/New");
            let after = trap.list().await;
            assert_eq!(after.spelling, "Org/New");
            assert_eq!(after.forge_id, before.forge_id);
            let heads = |listed: &Listed| {
                let change = listed.listing.change(1).expect("the change");
                (change.head, listed.listing.branches.clone())
            };
            assert_eq!(heads(&after), heads(&before));
        }
        .boxed_local()
    }),
    ("a private repository that is 404", false, |trap| {
        async {
            trap.list().await;
            trap.model.set_private(NAME, true);
            let access = |access| {
                trap.model.state().tokens.get_mut("one").expect("a token").access = access;
            };
            access(Access::Only(BTreeSet::new()));
            let error = trap.forge.list(id(NAME)).await.expect_err("it is not seen");
            assert!(matches!(error, ForgeError::NotFound(_)), "{error:?}");
            access(Access::All);
            assert_eq!(trap.numbers().await, [1].into());
        }
        .boxed_local()
    }),
    ("a fork that was deleted", false, |trap| {
        async {
            let fork = Some("alice/a".to_owned());
            let number = trap.model.open(NAME, NewChange { fork, ..NewChange::default() });
            let source = async || {
                let listed = trap.list().await;
                let change = listed.listing.change(number).expect("the change").clone();
                change.forge.expect("a pull request").source
            };
            assert!(source().await.is_some());
            trap.model.edit(NAME, number, Edit::DeleteFork);
            assert_eq!(source().await, None);
        }
        .boxed_local()
    }),
    ("a force push", false, |trap| {
        async {
            let before = trap.head().await;
            let there = trap.model.push_change(NAME, 1, None);
            assert_eq!(trap.head().await, there);
            trap.model.push_change(NAME, 1, Some(&before));
            assert_eq!(trap.head().await, before, "and back to what it was");
        }
        .boxed_local()
    }),
    ("clocks that differ", false, |trap| {
        async {
            // The forge is an hour ahead of us, then an hour behind.
            for (ahead, ours) in [(3_600, Span(0)), (0, Span::hours(2))] {
                trap.model.state().skew += ahead;
                trap.clock.advance(ours);
                trap.model.edit(NAME, 1, Edit::Body(Some(format!("{ahead}"))));
                let young = trap.mark().await;
                assert!(young.ends_with('~'), "young by the forge's own clock");
                trap.model.state().skew += 10;
                assert_ne!(trap.mark().await, young);
                assert_eq!(trap.numbers().await, [1].into());
            }
        }
        .boxed_local()
    }),
];

#[tokio::test]
async fn nothing_of_the_list_of_traps_is_fallen_for() {
    for (name, governed, row) in ROWS {
        // Only where nothing comes something has to be waited for.
        let silent = *name == SILENT;
        let deadline = if silent { Span::seconds(2) } else { DEADLINE };
        let trap = Trap::new(*governed, deadline).await;
        let held = std::panic::AssertUnwindSafe(row(&trap)).catch_unwind().await;
        assert!(held.is_ok(), "the row that failed: {name}");
        trap.tasks.stop().await;
        assert_eq!(trap.tasks.panicked(), Vec::<String>::new(), "{name}");
    }
}
