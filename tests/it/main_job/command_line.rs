//! The command line as people and scripts meet it.

use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_with_its_place_and_exit_code_two() {
    let site = Site::new();
    site.write_config("version: 1\nworkspacess: []\n");
    for command in [&["check"][..], &["run", "--once"], &["plan"]] {
        let output = site.cli(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("workspaces.yaml:2:1"), "{said}");
        assert!(said.contains("workspaces"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_it_says_where_it_looked_and_what_to_do() {
    let site = Site::new();
    let url = site.file_url();
    site.configure(&url, &site.local_ci("true"), &["one"]);
    let output = site.cli(&["workspaces"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("api.sock") && said.contains("crosswatch run"), "{said}");
    assert_eq!(site.cli(&["nonsense"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_names_its_rival() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &["one"]);
    let daemon = site.start().await;
    let output = site.cli(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("process {}", daemon.id())), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_ends_when_everything_is_done_with_the_truth() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("exit 1"), &["one"]);
    assert_eq!(site.cli(&["run", "--once"]).status.code(), Some(0), "{}", site.log());
    site.change("types", 1, "types");
    let output = site.cli(&["run", "--once"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("1 of 1 builds did not succeed"), "{said}");
}
