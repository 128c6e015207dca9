//! What is broken delays nothing else.

use std::time::Duration;

use crosswatch::clock::Clock;
use crosswatch_core::model::time::Span;

use crate::support::eventually;
use crate::support::site::Site;

/// A server that accepts and never answers, with as many addresses as are asked for.
async fn silent_server() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let tasks = crosswatch::task::Tasks::new();
    tasks.spawn("silence", async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_silent_servers_and_a_sleeping_update_delay_nobody_else() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[]), ("drivers", &["types"])]);
    let mut ports = Vec::new();
    for _ in 0..100 {
        ports.push(silent_server().await);
    }
    let slow_ci = silent_server().await;
    let ci = format!(
        "{}\n  slow: {{kind: http, send: {{method: POST, url: \"http://127.0.0.1:{slow_ci}/\"}}, deadline: 60s}}",
        site.local_ci("true")
    );
    site.configure(&url, &ci, &[]);
    let path = site.path().join("workspaces.yaml");
    let mut text = std::fs::read_to_string(&path).expect("the configuration");
    let mut forges = String::new();
    let mut packages = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let server = format!("http://127.0.0.1:{port}");
        forges.push_str(&format!(
            "  dead{index}:\n    kind: git\n    url: \"{server}\"\n    authors: any\n    poll: {{interval: 1s}}\n"
        ));
        packages.push(serde_json::json!({
            "name": format!("dead{index}"),
            "git": { "url": format!("{server}/x.git"), "branch": "main" },
            "depends_on": [],
        }));
    }
    text = text.replace("forges:\n", &format!("forges:\n{forges}"));
    let dead = site.path().join("dead.json");
    let manifest = serde_json::json!({ "version": 1, "packages": packages, "definitions": [] });
    std::fs::write(&dead, manifest.to_string()).expect("a file");
    let huge = site.path().join("huge.json");
    std::fs::File::create(&huge).and_then(|file| file.set_len(100_000_000)).expect("a file");
    text.push_str(&format!(
        "  - {{name: good, ci: [here]}}\n  - {{name: asleep, ci: [here], update: {{run: [sleep, \"1000\"], timeout: 1h}}}}\n  \
         - {{name: dead, ci: [here], bootstrap: {{run: [cp, \"{}\", manifest.json]}}, update: {{run: [\"true\"]}}}}\n  \
         - {{name: huge, ci: [here], bootstrap: {{run: [cp, \"{}\", manifest.json]}}, update: {{run: [\"true\"]}}}}\n  \
         - {{name: slow, ci: [slow]}}\nmax_updates: 3\n",
        dead.display(),
        huge.display()
    ));
    site.write_config(&text);
    let _daemon = site.start().await;
    site.settled(&["good"]).await;
    eventually("the huge manifest is said", async || {
        site.ask(&["workspaces"]).is_some_and(|rows| rows.to_string().contains("is larger than"))
    })
    .await;
    eventually("the dead servers are watched", async || {
        site.ask(&["forges"])
            .is_some_and(|rows| rows["repositories"].as_array().is_some_and(|r| r.len() >= 100))
    })
    .await;

    let clock = Clock::system();
    let mut delays: Vec<Span> = Vec::new();
    for number in 1..=10 {
        let begun = clock.now();
        site.change("types", number, "types");
        let subject = format!("mirror/types#{number}");
        while site.decision("good", &subject) == "none" {
            assert!(clock.now().since(begun) < Span::seconds(10), "never decided");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        delays.push(clock.now().since(begun));
    }
    delays.sort();
    let worst = delays.last().copied().expect("delays");
    assert!(worst <= Span::seconds(1 + 2), "interval + 2 s was promised, it took {delays:?}");

    let rows = site.ask(&["workspaces"]).expect("an answer").to_string();
    assert!(rows.contains("\"updating\""), "{rows}");
    eventually("a dead server is said, with its next look", async || {
        let rows = site.ask(&["forges"]).expect("an answer")["repositories"].take();
        rows.as_array().is_some_and(|rows| {
            rows.iter().any(|row| row["failure"].is_string() && row["next_at"].is_number())
        })
    })
    .await;
}
