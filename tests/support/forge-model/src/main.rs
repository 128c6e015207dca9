//! A model for benchmarks and the demo: `forge-model ADDRESS REPOSITORIES CHANGES SECRET [PUSH_EVERY_MS]`.
//!
//! It says where it is reached, and then pushes to one change after the other, if it was told to.

use std::time::Duration;

use forge_model::{Model, NewChange};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text =
        |at: usize, default: &str| arguments.get(at).cloned().unwrap_or_else(|| default.to_owned());
    let number = |at: usize, default: u64| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let model = Model::start_at(&text(0, "127.0.0.1:0")).await;
    model.token("main", &text(3, "secret"));
    let names: Vec<String> = (0..number(1, 10)).map(|n| format!("model/r{n}")).collect();
    let mut changes = Vec::new();
    for name in &names {
        model.repository(name);
        for n in 0..number(2, 1) {
            let branch = format!("topic-{n}");
            let number = model.open(name, NewChange { branch, ..NewChange::default() });
            changes.push((name, number));
        }
    }
    println!("{}", model.api_url());
    let every = number(4, 0);
    let mut turns = changes.iter().cycle();
    loop {
        tokio::time::sleep(Duration::from_millis(if every > 0 { every } else { 60_000 })).await;
        if every == 0 {
            continue;
        }
        if let Some((name, number)) = turns.next() {
            model.push_change(name, *number, None);
        }
    }
}
