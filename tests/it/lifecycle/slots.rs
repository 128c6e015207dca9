//! Slots: never more at once than allowed, and everybody's turn comes.

use std::collections::BTreeMap;

use super::Farm;
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn forty_workspaces_share_four_slots_and_failing_ones_starve_nobody() {
    let farm = Farm::new();
    let count = |end: &str| {
        format!(
            "echo + $CROSSWATCH_WORKSPACE >> $FARM/events; sleep 0.1; \
             echo - $CROSSWATCH_WORKSPACE >> $FARM/events; {end}"
        )
    };
    let bootstrap = "cp $FARM/export manifest.json";
    let good: Vec<String> = (0..36).map(|n| format!("good{n}")).collect();
    let mut all: Vec<String> =
        good.iter().map(|name| farm.define(name, bootstrap, &count("true"), "")).collect();
    // First in name order and always failing; one of them asks to be tried again and again.
    all.extend((0..4).map(|n| farm.define(&format!("bad{n}"), bootstrap, &count("false"), "")));
    farm.configure("max_updates: 4\n", &all);
    let _daemon = farm.site.start().await;
    let events = || std::fs::read_to_string(farm.file("events")).unwrap_or_default();
    eventually("all good ones are ready", async || {
        farm.site.cli(&["update", "bad0"]);
        let rows = farm.site.ask(&["workspaces"]).unwrap_or_default();
        rows.as_array().is_some_and(|rows| {
            rows.iter().filter(|row| row["phase"] == "ready").count() == good.len()
        })
    })
    .await;
    let (mut now, mut most) = (0_usize, 0);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for line in events().lines() {
        let (sign, name) = line.split_once(' ').expect("a sign and a name");
        if sign == "+" {
            now += 1;
            *times.entry(name.to_owned()).or_default() += 1;
        } else {
            now -= 1;
        }
        most = most.max(now);
    }
    assert!(most <= 4, "{most} at once");
    assert!(most > 1, "they do run side by side");
    for name in &good {
        assert_eq!(times.get(name), Some(&1), "{name} was updated exactly once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_one_runs_at_a_time() {
    let load = std::fs::read_to_string("/proc/loadavg").expect("a load");
    let load: f64 = load.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    if load < 1.5 {
        eprintln!(
            "skipped: under_load_one_runs_at_a_time, the load is {load}; core tests the rule"
        );
        return;
    }
    let farm = Farm::new();
    let update = "mkdir $FARM/alone && sleep 0.1 && rmdir $FARM/alone";
    let names: Vec<String> = (0..3).map(|n| format!("w{n}")).collect();
    let all: Vec<String> = names
        .iter()
        .map(|name| farm.define(name, "cp $FARM/export manifest.json", update, ""))
        .collect();
    farm.configure("max_load: 1\nmax_updates: 3\n", &all);
    let _daemon = farm.site.start().await;
    for name in &names {
        farm.ready(name).await;
        assert_eq!(farm.runs(name)[0], "update: exited with code 0", "it was alone");
    }
}
