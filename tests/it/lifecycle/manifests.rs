//! A manifest that cannot be right is not believed.

use super::Farm;

fn farm() -> Farm {
    let farm = Farm::new();
    let export = "cp $FARM/export manifest.json";
    farm.configure("", &[farm.define("one", "true", export, "")]);
    farm
}

fn suspicion(farm: &Farm) -> String {
    farm.row("one")["suspicion"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_lost_most_packages_is_believed_when_a_second_update_agrees() {
    let farm = farm();
    let _daemon = farm.site.start().await;
    farm.ready("one").await;
    farm.shows("one", 4).await;
    farm.export(&["types"]);
    assert_eq!(farm.update("one").await, "failed");
    assert!(suspicion(&farm).contains("lost 3 of 4 packages"), "{}", suspicion(&farm));
    assert_eq!(farm.packages("one"), 4, "the last good one is in force");
    let kept = farm.site.state().join("suspected/one");
    assert!(suspicion(&farm).contains(&kept.display().to_string()));
    let bytes = std::fs::read(&kept).expect("it is kept aside");
    assert_eq!(bytes, std::fs::read(farm.file("export")).expect("a file"));
    farm.export(&["gui"]);
    assert_eq!(farm.update("one").await, "failed", "this is another one");
    assert_eq!(farm.packages("one"), 4);
    assert_eq!(farm.update("one").await, "ready");
    assert_eq!(suspicion(&farm), "");
    farm.shows("one", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_a_truncated_and_a_strange_manifest_are_never_believed() {
    let farm = farm();
    let _daemon = farm.site.start().await;
    farm.ready("one").await;
    farm.shows("one", 4).await;
    let good = std::fs::read_to_string(farm.file("export")).expect("a file");
    let half = good.get(..good.len() / 2).expect("half");
    let empty = r#"{"version": 1, "packages": [], "definitions": []}"#;
    for wrong in ["", half, empty] {
        std::fs::write(farm.file("export"), wrong).expect("a file");
        for _ in 0..2 {
            assert_eq!(farm.update("one").await, "failed", "{wrong}");
            assert_eq!(farm.packages("one"), 4, "{wrong}");
            assert!(suspicion(&farm).contains("suspected/one"), "{wrong}");
        }
    }
    std::fs::write(farm.file("export"), &good).expect("a file");
    assert_eq!(farm.update("one").await, "ready");
    assert_eq!(suspicion(&farm), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_and_a_link_to_the_outside_are_no_manifest() {
    let farm = Farm::new();
    let update = "rm -f manifest.json; case $(cat $FARM/how) in \
                  fifo) mkfifo manifest.json;; link) ln -s $FARM/export manifest.json;; \
                  *) cp $FARM/export manifest.json;; esac";
    std::fs::write(farm.file("how"), "good").expect("a file");
    farm.configure("", &[farm.define("one", "true", update, "")]);
    let _daemon = farm.site.start().await;
    farm.ready("one").await;
    for (how, why) in [("fifo", "not a regular file"), ("link", "outside the workspace")] {
        std::fs::write(farm.file("how"), how).expect("a file");
        assert_eq!(farm.update("one").await, "failed");
        let failure = farm.row("one")["failure"].as_str().unwrap_or_default().to_owned();
        assert!(failure.contains(why), "{how}: {failure}");
    }
    std::fs::write(farm.file("how"), "good").expect("a file");
    assert_eq!(farm.update("one").await, "ready");
}
