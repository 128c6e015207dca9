//! Plans beside what autoproj-daemon remembers.

use std::sync::Arc;

use super::world::World;
use crate::model::locator::Locator;
use crate::moving::{Cached, Dependency, compare};

#[test]
fn each_difference_has_its_reason() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/a#1", &["o/b#1"]);
    world.push("o/b#1", &[]);
    world.push("o/b#2", &[]);
    world.push("o/a#3", &[]);
    world.run(0);
    world.run(90);
    let head = |world: &mut World, text: &str| world.head(text).to_string();
    let cached = |url: &str, number, head: String| Cached {
        url: url.to_owned(),
        number,
        base: "main".to_owned(),
        head,
        draft: false,
        dependencies: Vec::new(),
    };
    let (a1, b1) = (head(&mut world, "o/a#1"), head(&mut world, "o/b#1"));
    let mut together = cached("https://github.com/o/a.git", 1, a1);
    let repository = "github.com/o/b".to_owned();
    together.dependencies.push(Dependency { repository, number: 1, head: b1.clone() });
    let repository = "github.com/x/y".to_owned();
    together.dependencies.push(Dependency { repository, number: 9, head: "f".repeat(40) });
    let entries = vec![
        together,
        cached("https://github.com/o/b.git", 1, b1),
        cached("https://github.com/o/b.git", 2, "e".repeat(40)),
        cached("https://github.com/o/b.git", 8, "e".repeat(40)),
        cached("https://github.com/o/other.git", 1, "e".repeat(40)),
        cached("https://gitlab.com/o/b.git", 1, "e".repeat(40)),
    ];
    let plan = world.plan();
    let locator: Arc<Locator> = Arc::clone(&world.snapshot.locator);
    let rows: Vec<String> = compare(&entries, &locator, &plan)
        .into_iter()
        .map(|row| format!("{} | {} | {} | {}", row.change, row.theirs, row.ours, row.why))
        .collect();
    insta::assert_snapshot!("compared", rows.join("\n"));
}
