//! A model for benchmarks and the demo: `forge-model ADDRESS REPOSITORIES CHANGES SECRET [LATENCY_MS]`.
//!
//! `REPOSITORIES` repositories `model/rN`, each with `CHANGES` open changes. It says where its API is, and
//! then takes one command a line on its standard input, until that ends:
//!
//! - `push COUNT`: pushes to one change of each of the next `COUNT` repositories (to the branch `main` where
//!   there are no changes);
//! - `close COUNT`, `open COUNT`: closes the newest change of each of the next `COUNT` repositories, or opens
//!   one more; each begins with the first repository and goes on where it ended;
//! - `opened`: says as JSON which changes are open, by repository;
//! - `requests`: says as JSON what was asked since the start or the last `forget`;
//! - `forget`: counts from nothing again.

#![expect(clippy::expect_used, reason = "a model that cannot go on fails whoever uses it")]

use std::io::{BufRead, Write};
use std::time::Duration;

use forge_model::world::ChangeState;
use forge_model::{Edit, Model, NewChange};

fn main() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _context = runtime.enter();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text =
        |at: usize, default: &str| arguments.get(at).cloned().unwrap_or_else(|| default.to_owned());
    let number = |at: usize, default: u64| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let model = runtime.block_on(Model::start_at(&text(0, "127.0.0.1:0")));
    model.token("main", &text(3, "secret"));
    let changes = number(2, 1);
    let names: Vec<String> = (0..number(1, 10)).map(|n| format!("model/r{n}")).collect();
    for name in &names {
        model.repository(name);
        for n in 0..changes {
            let branch = format!("topic-{n}");
            model.open(name, NewChange { branch, ..NewChange::default() });
        }
    }
    model.state().latency = Duration::from_millis(number(4, 0));
    let url = model.api_url();
    let (lines, commands) = std::sync::mpsc::channel::<String>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    say(&url);
    let (mut turns, mut closing, mut opening) =
        (names.iter().cycle(), names.iter().cycle(), names.iter().cycle());
    loop {
        runtime.block_on(tokio::time::sleep(Duration::from_millis(5)));
        let line = match commands.try_recv() {
            Ok(line) => line,
            Err(std::sync::mpsc::TryRecvError::Empty) => continue,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
        };
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("push", count) => {
                for name in turns.by_ref().take(count.parse().expect("a count")) {
                    if changes == 0 {
                        model.push(name, "main", None);
                    } else {
                        model.push_change(name, 1, None);
                    }
                }
                say("pushed");
            }
            ("close", count) => {
                for name in closing.by_ref().take(count.parse().expect("a count")) {
                    let newest = opened(&model, name).pop().expect("an open change");
                    model.edit(name, newest, Edit::Close);
                }
                say("closed");
            }
            ("open", count) => {
                for name in opening.by_ref().take(count.parse().expect("a count")) {
                    let branch = "again".to_owned();
                    model.open(name, NewChange { branch, ..NewChange::default() });
                }
                say("opened");
            }
            ("opened", "") => {
                let all: serde_json::Map<String, serde_json::Value> =
                    names.iter().map(|name| (name.clone(), opened(&model, name).into())).collect();
                say(&serde_json::Value::from(all).to_string());
            }
            ("requests", "") => say(&told(&model)),
            ("forget", "") => {
                model.forget_requests();
                say("forgotten");
            }
            _ => say("no such command"),
        }
    }
}

/// Numbers of the open changes of a repository, the newest last.
fn opened(model: &Model, name: &str) -> Vec<u64> {
    let mut state = model.state();
    let all = state.named(name).changes.values();
    let open = all.filter(|change| change.state == ChangeState::Open);
    open.map(|change| change.number).collect()
}

/// What was asked.
fn told(model: &Model) -> String {
    let asked = model.requests();
    let endpoints: serde_json::Map<String, serde_json::Value> = asked
        .by_endpoint
        .iter()
        .map(|((_, endpoint), count)| (endpoint.clone(), count.requests.into()))
        .collect();
    let total = asked.total();
    let core: u64 = asked
        .by_endpoint
        .iter()
        .filter(|((_, endpoint), _)| !endpoint.contains("graphql"))
        .map(|(_, count)| count.points)
        .sum();
    serde_json::json!({
        "requests": total.requests, "not_modified": total.not_modified, "points": total.points,
        "core_points": core, "most_in_flight": asked.most_in_flight,
        "most_in_a_minute": asked.most_in_a_minute, "early": asked.early, "refused": asked.refused,
        "endpoints": endpoints,
    })
    .to_string()
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("somebody listens");
}
