//! What is asked about many repositories at once.

use forge_model::world::ChangeState;

use super::*;

#[tokio::test]
async fn one_question_tells_where_something_happened() {
    let site = Site::new().await;
    let model = &site.model;
    // All of this is old when the marks are read.
    model.state().skew = -600;
    let names: Vec<String> = (0..100).map(|n| format!("org/r{n}")).collect();
    for name in &names {
        model.repository(name);
        model.open(name, NewChange::default());
    }
    model.state().skew = 0;
    model.forget_requests();
    let mut before = site.marks(&names).await;
    assert_eq!(before.len(), 100);
    assert_eq!(site.marks(&names).await, before);
    let total = model.requests().total();
    assert_eq!((total.requests, total.points), (2, 2));
    // Each in its second, and noticed by it alone.
    let acts: [(&str, &dyn Fn()); 8] = [
        ("a push", &|| drop(model.push("org/r3", "main", None))),
        ("a push to a change", &|| drop(model.push_change("org/r3", 1, None))),
        ("another body", &|| model.edit("org/r3", 1, Edit::Body(Some("x".to_owned())))),
        ("a draft", &|| model.edit("org/r3", 1, Edit::Draft(true))),
        ("a label", &|| model.edit("org/r3", 1, Edit::Label("x".to_owned()))),
        ("an end", &|| model.edit("org/r3", 1, Edit::Close)),
        ("another change", &|| assert!(model.open("org/r3", NewChange::default()) > 1)),
        ("another name", &|| model.rename("org/r3", "org/renamed")),
    ];
    for (at, (what, act)) in acts.into_iter().enumerate() {
        model.state().skew = -500 + 10 * i64::try_from(at).expect("few");
        act();
        let after = site.marks(&names).await;
        let differ: Vec<&RepositoryId> =
            after.iter().filter(|(id, mark)| before[*id] != **mark).map(|(id, _)| id).collect();
        assert_eq!(differ, [&id("org/r3")], "{what}");
        before = after;
    }
    // What follows within the second in which it was seen is not lost: that mark does not last.
    model.state().skew = 0;
    model.push("org/r5", "main", None);
    let young = site.marks(&names).await;
    eventually("it is told once more", async || {
        site.marks(&names).await[&id("org/r5")] != young[&id("org/r5")]
    })
    .await;
    // One that is gone has no mark, and takes none from the others.
    model.delete_repository("org/r7");
    let after = site.marks(&names).await;
    assert_eq!((after.len(), after.contains_key(&id("org/r7"))), (99, false));
    site.end().await;
}

#[tokio::test]
async fn a_question_that_is_too_heavy_is_asked_in_halves() {
    let site = Site::new().await;
    let names: Vec<String> = (0..100).map(|n| format!("org/r{n}")).collect();
    for name in &names {
        site.model.repository(name);
    }
    site.model.fault(Fault::on("graphql", What::Heavy(30)));
    assert_eq!(site.marks(&names).await.len(), 100);
    // 100, 50, 25, 25, 50, 25, 25
    assert_eq!(site.model.requests().total().requests, 7);
    // And remembered.
    site.model.forget_requests();
    assert_eq!(site.marks(&names).await.len(), 100);
    assert!(site.model.requests().total().requests <= 5);
    // A forge that is down is not asked ever smaller questions for ever.
    site.model.no_faults();
    site.model.fault(Fault::on("graphql", What::Status(502, Vec::new(), String::new())));
    site.model.forget_requests();
    let all = || names.iter().map(|name| id(name)).collect::<Vec<_>>();
    let error = site.forge.marks(all()).await.expect_err("it is down");
    assert_eq!(variant(&error), "unavailable");
    assert!(site.model.requests().total().requests <= 4);
    for (body, meaning) in [
        ("{\"errors\":[{\"type\":\"RATE_LIMITED\",\"message\":\"x\"}]}", "limited"),
        ("{\"data\":null,\"errors\":[{\"message\":\"Parse error\"}]}", "nonsense"),
        ("<html>", "nonsense"),
    ] {
        site.model.no_faults();
        site.model.fault(Fault::on("graphql", What::Status(200, Vec::new(), body.to_owned())));
        let error = site.forge.marks(all()).await.expect_err(body);
        assert_eq!(variant(&error), meaning, "{error}");
    }
    // An Enterprise Server may have no GraphQL.
    site.model.no_faults();
    site.model.fault(Fault::on("graphql", What::Status(404, Vec::new(), "{}".to_owned())));
    let marks = site.forge.marks(all()).await.expect("a server without marks");
    assert!(marks.is_empty(), "everything is read: {marks:?}");
    site.end().await;
}

#[tokio::test]
async fn a_forge_that_cannot_be_asked_is_refused_at_once() {
    let site = Site::new().await;
    let ask = || async {
        let client = HttpClient::new().expect("a client");
        let (clock, tasks) = (Clock::system(), site.tasks.clone());
        Conditional::new(client, clock, tasks, None, None, Bounds::default()).await
    };
    let mut wrong = settings(&site.model);
    let read = reader(&wrong);
    wrong.kind = ForgeKind::GitHub(GitHubForge {
        api_url: "ftp://forge.example".to_owned(),
        webhook_secrets: Vec::new(),
    });
    let refused = GitHub::new(&wrong, None, ask().await, Arc::clone(&read));
    assert!(matches!(refused, Err(SetupError::Address { .. })));
    wrong.kind =
        ForgeKind::Git(GitForge { changes: Vec::new(), base: None, authors: Authors::Any });
    let refused = GitHub::new(&wrong, None, ask().await, read);
    assert!(matches!(refused, Err(SetupError::Kind { .. })));
    site.end().await;
}

#[tokio::test]
async fn repositories_that_are_read_together_are_one_question_and_look_the_same() {
    let site = Site::new().await;
    let model = &site.model;
    let names: Vec<String> = (0..25).map(|n| format!("Org/R{n}")).collect();
    for name in &names {
        model.repository(name);
        model.push(name, "feature/x", None);
        let body = Some("Depends on: #3\r\n\r\n- [ ] org/r1#1".to_owned());
        let fork = Some(format!("Alice/{}", name.replace('/', "-")));
        let number = model.open(name, NewChange { body, fork, ..NewChange::default() });
        model.edit(name, number, Edit::Label("x".to_owned()));
        let author = "renovate[bot]".to_owned();
        let branch = "bump".to_owned();
        model.open(name, NewChange { author, branch, draft: true, ..NewChange::default() });
    }
    model.edit("org/r1", 1, Edit::DeleteFork);
    model.edit("org/r2", 1, Edit::DeleteAuthor);
    model.edit("org/r3", 1, Edit::Close);
    model.state().named("org/r4").archived = true;
    model.state().named("org/r5").branches.clear();
    model.rename("org/r6", "org/renamed");
    for n in 0..30 {
        let branch = format!("topic-{n}");
        model.open("org/r7", NewChange { branch, ..NewChange::default() });
    }
    let ids: Vec<RepositoryId> = names.iter().map(|name| id(&name.to_lowercase())).collect();
    let together = async || {
        let all = ids.iter().map(|id| site.forge.list(id.clone()));
        let all = futures_util::future::join_all(all).await;
        all.into_iter().map(|listed| listed.expect("a list")).collect::<Vec<_>>()
    };
    model.forget_requests();
    let read = together().await;
    // All but the one with many changes.
    let asked = model.requests();
    assert_eq!((asked.of("graphql").requests, asked.total().requests), (1, 4), "{asked:?}");
    for (id, read) in ids.iter().zip(&read) {
        assert_eq!(&site.list(&id.path).await, read, "{id}");
    }
    assert_eq!(read[7].listing.changes.len(), 32);
    assert_eq!(read[6].spelling, "org/renamed");
    // Too heavy: in halves. Not there at all: by REST. Down: an error for each, without a crowd.
    model.fault(Fault::on("graphql", What::Heavy(10)));
    assert_eq!(together().await, read);
    model.no_faults();
    for fault in [
        What::Status(404, Vec::new(), "{}".to_owned()),
        What::Html,
        What::Status(200, Vec::new(), "{\"data\":{}}".to_owned()),
    ] {
        model.fault(Fault::on("graphql", fault));
        assert_eq!(together().await, read);
        model.no_faults();
    }
    model.fault(Fault::on("", What::Status(503, Vec::new(), String::new())));
    model.forget_requests();
    let all = ids.iter().map(|id| site.forge.list(id.clone()));
    for failed in futures_util::future::join_all(all).await {
        assert!(matches!(failed, Err(ForgeError::Unavailable(_))), "{failed:?}");
    }
    assert_eq!(model.requests().total().requests, 1);
    model.no_faults();
    // One that is not there takes nothing from the others.
    model.delete_repository("org/r8");
    let all = ids.iter().map(|id| site.forge.list(id.clone()));
    for (at, listed) in futures_util::future::join_all(all).await.into_iter().enumerate() {
        match listed {
            Ok(listed) => assert_eq!(listed, read[at]),
            Err(error) => assert_eq!((at, variant(&error)), (8, "not found"), "{error}"),
        }
    }
    site.end().await;
}

#[tokio::test]
async fn none_of_many_changes_of_many_repositories_is_missed_though_pages_move() {
    const REPOSITORIES: usize = 12;
    let site = Site::patient().await;
    let model = &site.model;
    // How fast it may be read is not what is tested.
    if let Some(token) = model.state().tokens.get_mut(SECRET) {
        let limits = &mut token.meter.limits;
        (limits.core, limits.minute) = (1_000_000, 1_000_000);
    }
    let names: Vec<String> = (0..REPOSITORIES).map(|n| format!("org/r{n}")).collect();
    let open = |name: &str, number: u64| {
        let branch = format!("topic-{number}");
        assert_eq!(model.open(name, NewChange { branch, ..NewChange::default() }), number);
    };
    for name in &names {
        model.repository(name);
        (1..=300).for_each(|number| open(name, number));
    }
    let numbers = |listed: &Listed| -> BTreeSet<u64> {
        listed.listing.changes.iter().map(|change| change.number).collect()
    };
    // The newest of each is closed and another opened, again and again: with every other step all that
    // is older moves to where it may have been read, or back. It is never closed, so never missed.
    let reading = futures_util::future::join_all(names.iter().map(async |name| {
        loop {
            match site.forge.list(id(name)).await {
                Ok(listed) => break numbers(&listed),
                // It moved all the time; the next look is the answer.
                Err(ForgeError::Unavailable(_)) => {}
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }));
    let (newest, moves) = (std::cell::Cell::new(300), std::cell::Cell::new(0));
    let moving = async {
        loop {
            for close in [true, false] {
                newest.set(newest.get() + u64::from(!close));
                for name in &names {
                    let seen = model.requests().of("pulls").requests;
                    eventually("some pages are read", async || {
                        model.requests().of("pulls").requests > seen + 3
                    })
                    .await;
                    moves.set(moves.get() + 1);
                    match close {
                        true => model.edit(name, newest.get(), Edit::Close),
                        false => open(name, newest.get()),
                    }
                }
            }
        }
    };
    let read = tokio::select! {
        read = reading => read,
        () = moving => unreachable!("it never ends"),
    };
    for (name, read) in names.iter().zip(&read) {
        let missed: Vec<u64> = (1..300).filter(|number| !read.contains(number)).collect();
        assert_eq!(missed, Vec::<u64>::new(), "{name}");
    }
    assert!(moves.get() >= REPOSITORIES, "{} moves", moves.get());
    // And what is read at rest is what is open.
    for name in &names {
        let open: BTreeSet<u64> = {
            let state = model.state();
            let all = state.repositories[&state.names[name]].changes.values();
            let all = all.filter(|change| change.state == ChangeState::Open);
            all.map(|change| change.number).collect()
        };
        assert_eq!(numbers(&site.list(name).await), open, "{name}");
    }
    site.end().await;
}
