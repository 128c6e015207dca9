//! The faults of `tests/planted` can be planted into the tree as it is: one that no longer applies
//! proves nothing any more. `scripts/planted` plants them.

use std::path::Path;
use std::process::Command;

#[test]
#[expect(clippy::disallowed_methods, reason = "git itself says whether a patch applies")]
fn every_fault_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::fs::read_dir(root.join("tests/planted")).expect("the faults");
    let (mut count, mut stale) = (0, String::new());
    for patch in folder.map(|entry| entry.expect("an entry").path()) {
        let mut git = Command::new("git");
        let output = git.current_dir(root).args(["apply", "--check"]).arg(&patch).output();
        let output = output.expect("git runs");
        if !output.status.success() {
            stale += &format!("{}: {}", patch.display(), String::from_utf8_lossy(&output.stderr));
        }
        count += 1;
    }
    assert!(count >= 10, "{count} faults");
    assert!(stale.is_empty(), "make these anew:\n{stale}");
}
