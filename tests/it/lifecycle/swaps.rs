//! A fresh directory takes the place of the old one only when it works.

use super::Farm;
use crate::support::eventually;

const BOOTSTRAP: &str = "while test -e $FARM/hold; do sleep 0.05; done; \
                         test ! -e $FARM/no-bootstrap && cp $FARM/export manifest.json";
/// Fails in a directory that is broken.
const UPDATE: &str = "test ! -e broken";

fn farm() -> Farm {
    let farm = Farm::new();
    let one = farm.define("one", BOOTSTRAP, UPDATE, "    rebootstrap_after: 1\n");
    farm.configure("", &[one]);
    farm
}

fn left_over(farm: &Farm) -> bool {
    farm.workspace("one+old").exists() || farm.workspace("one+gone").exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_directory_is_kept_until_a_new_one_works() {
    let farm = farm();
    let _daemon = farm.site.start().await;
    farm.ready("one").await;
    farm.shows("one", 4).await;
    std::fs::write(farm.workspace("one/broken"), "").expect("a file");
    farm.mark("no-bootstrap", true);
    assert_eq!(farm.update("one").await, "failed");
    assert_eq!(farm.runs("one")[0], "update: exited with code 1");
    assert_eq!(farm.update("one").await, "failed");
    assert_eq!(farm.runs("one")[0], "bootstrap: exited with code 1", "it was tried anew");
    assert!(farm.workspace("one/broken").exists(), "the old directory is back");
    eventually("nothing is left over", async || !left_over(&farm)).await;
    assert_eq!(farm.packages("one"), 4, "the last good manifest is in force");

    farm.mark("no-bootstrap", false);
    assert_eq!(farm.update("one").await, "failed", "the old one had another chance");
    assert_eq!(farm.runs("one")[0], "update: exited with code 1");
    assert_eq!(farm.update("one").await, "ready");
    let ended = "exited with code 0";
    assert_eq!(farm.runs("one")[..2], [format!("update: {ended}"), format!("bootstrap: {ended}")]);
    assert!(!farm.workspace("one/broken").exists(), "this is the new one");
    eventually("nothing is left over", async || !left_over(&farm)).await;

    std::fs::write(farm.workspace("one/keepsake"), "").expect("a file");
    farm.mark("no-bootstrap", true);
    assert_eq!(farm.order("rebootstrap", "one").await, "failed");
    assert!(farm.workspace("one/keepsake").exists(), "a person's order keeps it too");
    assert_eq!(farm.update("one").await, "ready", "and an update gives the order up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_during_a_rebootstrap_puts_the_old_one_back() {
    let farm = farm();
    let daemon = farm.site.start().await;
    farm.ready("one").await;
    farm.shows("one", 4).await;
    std::fs::write(farm.workspace("one/keepsake"), "").expect("a file");
    farm.mark("hold", true);
    assert!(farm.site.cli(&["rebootstrap", "one"]).status.success());
    eventually("the old one stands aside", async || {
        farm.phase("one") == "rebootstrapping" && farm.workspace("one+old/keepsake").exists()
    })
    .await;
    assert_eq!(farm.packages("one"), 4, "the last good manifest is in force");
    daemon.kill();
    let _daemon = farm.site.start().await;
    eventually("it is said", async || farm.site.log().contains("the old one is back")).await;
    eventually("the order is not forgotten", async || farm.workspace("one+old/keepsake").exists())
        .await;
    farm.mark("hold", false);
    farm.ready("one").await;
    // What is no longer needed is removed beside the life that goes on.
    eventually("the new one is there alone", async || {
        !farm.workspace("one/keepsake").exists() && !left_over(&farm)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn states_in_the_middle_of_a_swap_are_mended_at_the_start() {
    let farm = farm();
    let one = farm.workspace("one");
    // Before the new one is there, while it is made, and after it was decided for.
    for (aside, name) in [(true, None), (true, Some("one")), (false, Some("one+gone"))] {
        let daemon = farm.site.start().await;
        farm.ready("one").await;
        std::fs::write(one.join("keepsake"), "").expect("a file");
        daemon.kill();
        if aside {
            std::fs::rename(&one, farm.workspace("one+old")).expect("renamed");
        }
        if let Some(name) = name {
            std::fs::create_dir(farm.workspace(name)).expect("a folder");
            std::fs::write(farm.workspace(name).join("half"), "").expect("a file");
        }
        let daemon = farm.site.start().await;
        eventually("it is mended", async || !left_over(&farm) && one.is_dir()).await;
        farm.ready("one").await;
        assert!(one.join("keepsake").exists() && !one.join("half").exists(), "{aside} {name:?}");
        farm.shows("one", 4).await;
        daemon.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_replaced_by_a_link_leads_nowhere() {
    let farm = Farm::new();
    let update = "if test -e $FARM/link; then cd .. && mv one moved && ln -s $FARM/outside one; fi";
    farm.configure("", &[farm.define("one", BOOTSTRAP, update, "")]);
    let outside = farm.file("outside");
    std::fs::create_dir(&outside).expect("a folder");
    std::fs::copy(farm.file("export"), outside.join("manifest.json")).expect("a file");
    let _daemon = farm.site.start().await;
    farm.ready("one").await;
    farm.mark("link", true);
    assert_eq!(farm.update("one").await, "failed");
    let failure = farm.row("one")["failure"].as_str().unwrap_or_default().to_owned();
    assert!(failure.contains("removed or replaced"), "{failure}");
    farm.mark("link", false);
    assert_eq!(farm.update("one").await, "ready");
    assert_eq!(farm.runs("one")[1], "bootstrap: exited with code 0");
    let one = std::fs::symlink_metadata(farm.workspace("one")).expect("a folder");
    assert!(one.is_dir(), "a real one again");
    let names: Vec<_> = std::fs::read_dir(&outside).expect("a folder").collect();
    assert_eq!(names.len(), 1, "nothing was written or removed behind the link");
}
