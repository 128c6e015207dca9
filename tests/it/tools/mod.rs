//! The tools of workspaces, really run: bootstrap, update and export through their presets, a set
//! across two repositories, its overrides applied by the tool, the checkout verified by commits.

mod bench;
mod candidates;

use self::bench::{Bench, checked_out, commit_index, heads, names, put};
use crate::support::eventually;
use crate::support::git_repo::git;

#[tokio::test(flavor = "multi_thread")]
async fn west_bootstraps_updates_exports_and_takes_overrides() {
    let bench = Bench::new().await;
    bench.needs("west");
    let (site, url) = (&bench.site, &bench.url);
    // `lib` brings `pinned` in by an import, at a tag.
    let tagged = put(site, "pinned", "refs/heads/main", &[("README", "tagged")]);
    git(&site.repo("pinned"), &["tag", "v1", &tagged]);
    put(site, "pinned", "refs/heads/main", &[("README", "later")]);
    let west = format!(
        "manifest:\n  remotes: [{{name: up, url-base: {url}}}]\n  defaults: {{remote: up}}\n  \
         projects: [{{name: pinned, repo-path: pinned.git, revision: v1}}]\n"
    );
    put(site, "lib", "refs/heads/main", &[("README", "lib"), ("west.yml", &west)]);
    let west = format!(
        "manifest:\n  remotes: [{{name: up, url-base: {url}}}]\n  defaults: {{remote: up, revision: main}}\n  \
         projects:\n    - {{name: lib, repo-path: lib.git, path: deps/lib, import: true}}\n    - {{name: app, repo-path: app.git}}\n  \
         self: {{path: conf}}\n"
    );
    put(site, "conf", "refs/heads/main", &[("west.yml", &west)]);
    // A change of `lib` is one of a definition repository, so west runs for its candidate too.
    let lines = format!("{}{}", bench.source(), candidates::interpreter("west"));
    let _daemon = bench.start("west", &lines).await;

    let (found, affected) = bench.mainline().await;
    assert_eq!(affected, names(&["lib"]), "a pinned package is not built again");
    let lib = bench.head("lib", "main");
    assert_eq!(found, heads(&[("lib", lib), ("app", bench.head("app", "main"))]));
    assert_eq!(bench.packages(), 3, "the pinned one is among them");

    let (changes, given) = bench.set("overrides.west.yml").await;
    assert_eq!(given, bench.printed("west"));
    assert!(given.contains("path: \"deps/lib\""), "{given}");

    let build = bench.build_folder();
    bench.run(&build, &["west", "init", "-m", &format!("{url}/conf.git"), "--mr", "main", "."], "");
    std::fs::write(build.join("conf/overrides.yml"), given).expect("a file");
    let top = "manifest:\n  self:\n    import: [overrides.yml, west.yml]\n";
    std::fs::write(build.join("conf/crosswatch.yml"), top).expect("a file");
    bench.run(&build, &["west", "config", "manifest.file", "crosswatch.yml"], "");
    bench.run(&build, &["west", "update"], "");
    assert_eq!(checked_out(&build.join("deps/lib")), changes["lib"]);
    assert_eq!(checked_out(&build.join("app")), changes["app"]);
    let empty = site.cli(&["overrides", "one", "mainline", "--format", "west"]);
    std::fs::write(build.join("conf/overrides.yml"), empty.stdout).expect("a file");
    bench.run(&build, &["west", "update"], "");
    assert_eq!(checked_out(&build.join("app")), bench.head("app", "main"));
}

#[tokio::test(flavor = "multi_thread")]
async fn vcstool_bootstraps_updates_exports_and_takes_overrides() {
    let bench = Bench::new().await;
    bench.needs("vcs");
    let (site, url) = (&bench.site, &bench.url);
    let package = |name: &str, on: &str| {
        format!(
            "<package format=\"3\"><name>{name}</name><version>1.0.0</version>\
             <depend>{on}</depend></package>"
        )
    };
    put(
        site,
        "lib",
        "refs/heads/main",
        &[
            ("msgs/package.xml", &package("msgs", "cmake")),
            ("core/package.xml", &package("core", "msgs")),
        ],
    );
    put(site, "app", "refs/heads/main", &[("package.xml", &package("robot", "core"))]);
    let tagged = bench.head("pinned", "main");
    git(&site.repo("pinned"), &["tag", "v1"]);
    let repos = format!(
        "repositories:\n  base/lib: {{type: git, url: \"{url}/lib.git\", version: main}}\n  \
         app: {{type: git, url: \"{url}/app.git\", version: main}}\n  \
         pinned: {{type: git, url: \"{url}/pinned.git\", version: v1}}\n"
    );
    put(site, "conf", "refs/heads/main", &[("robot.repos", &repos)]);
    let source =
        format!("    source: {{url: \"{url}/conf.git\", branch: main, file: robot.repos}}\n");
    let _daemon = bench.start("vcstool", &source).await;

    let (changes, given) = bench.set("overrides.repos").await;
    assert_eq!(given, bench.printed("vcstool"));
    let build = bench.build_folder();
    let list = build.join("robot.repos");
    std::fs::write(&list, &repos).expect("a file");
    std::fs::create_dir_all(build.join("src")).expect("a folder");
    bench.run(&build, &["vcs", "import", "--input", "robot.repos", "src"], "");
    std::fs::write(build.join("overrides.repos"), &given).expect("a file");
    bench.run(&build, &["vcs", "import", "--shallow", "--input", "overrides.repos", "src"], "");
    assert_eq!(checked_out(&build.join("src/base/lib")), changes["lib"]);
    assert_eq!(checked_out(&build.join("src/app")), changes["app"]);
    assert_eq!(checked_out(&build.join("src/pinned")), tagged);
    std::fs::write(build.join("none.repos"), "repositories: {}\n").expect("a file");
    bench.run(&build, &["vcs", "import", "--shallow", "--input", "none.repos", "src"], "");

    let (found, affected) = bench.mainline().await;
    assert_eq!(affected, names(&["msgs", "core", "robot"]), "by their package.xml");
    let lib = bench.head("lib", "main");
    assert_eq!(
        found,
        heads(&[("core", lib.clone()), ("msgs", lib), ("robot", bench.head("app", "main")),])
    );
    assert_eq!(bench.packages(), 4, "the pinned one is among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn kas_bootstraps_updates_exports_and_takes_overrides() {
    let bench = Bench::new().await;
    bench.needs("kas");
    let (site, url) = (&bench.site, &bench.url);
    let tagged = bench.head("pinned", "main");
    git(&site.repo("pinned"), &["tag", "v1"]);
    let kas = format!(
        "header:\n  version: 14\n  includes: [more.yml]\nmachine: m\ndistro: d\ntarget: t\nrepos:\n  \
         conf:\n  lib: {{url: \"{url}/lib.git\", branch: main, path: layers/lib}}\n  \
         pinned: {{url: \"{url}/pinned.git\", tag: v1, commit: {tagged}}}\n"
    );
    let more = format!(
        "header: {{version: 14}}\nrepos:\n  app: {{url: \"{url}/app.git\", branch: main}}\n"
    );
    put(site, "conf", "refs/heads/main", &[("kas.yml", &kas), ("more.yml", &more)]);
    let _daemon = bench.start("kas", &bench.source()).await;

    let (changes, given) = bench.set("overrides.kas.yml").await;
    assert_eq!(given, bench.printed("kas"));
    let build = bench.build_folder();
    git(&build, &["clone", "-q", &format!("{url}/conf.git"), "."]);
    std::fs::write(build.join("overrides.kas.yml"), given).expect("a file");
    let skip = ["--skip", "setup_environ", "--skip", "write_bbconfig"];
    let checkout = ["kas", "checkout", "--update"];
    let with = |files: &'static str| [&checkout[..], &skip[..], &[files][..]].concat();
    bench.run(&build, &with("kas.yml:overrides.kas.yml"), "");
    assert_eq!(checked_out(&build.join("layers/lib")), changes["lib"]);
    assert_eq!(checked_out(&build.join("app")), changes["app"]);
    assert_eq!(checked_out(&build.join("pinned")), tagged);
    std::fs::write(build.join("overrides.kas.yml"), "header:\n  version: 14\n").expect("a file");
    bench.run(&build, &with("kas.yml:overrides.kas.yml"), "");

    // The change of a pinned repository, as a member of a set: its tag and commit give way.
    let pinned = bench.change("pinned", 1, "pinned");
    let above = bench.change("app", 2, "app, too\n\nDepends-On: pinned#1");
    eventually("the set is built", async || site.succeeded("one", "mirror/app#2") == 1).await;
    let given = site.cli(&["overrides", "one", "app#2", "--format", "kas"]);
    std::fs::write(build.join("overrides.kas.yml"), given.stdout).expect("a file");
    bench.run(&build, &with("kas.yml:overrides.kas.yml"), "");
    assert_eq!(checked_out(&build.join("pinned")), pinned);
    assert_eq!(checked_out(&build.join("app")), above);

    let (found, affected) = bench.mainline().await;
    assert_eq!(affected, names(&["lib"]));
    assert_eq!(
        found,
        heads(&[("lib", bench.head("lib", "main")), ("app", bench.head("app", "main")),])
    );
    assert_eq!(bench.packages(), 3, "the pinned one is among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn git_submodules_bootstrap_update_export_and_take_overrides() {
    let bench = Bench::new().await;
    let (site, url) = (&bench.site, &bench.url);
    let recorded = bench.head("lib", "main");
    put(
        site,
        "conf",
        "refs/heads/main",
        &[(
            ".gitmodules",
            "[submodule \"the lib\"]\n\tpath = deps/lib\n\turl = ../lib.git\n\tbranch = main\n\
             [submodule \"app\"]\n\tpath = app\n\turl = ../app.git\n\tbranch = .\n",
        )],
    );
    for (path, commit) in [("deps/lib", &recorded), ("app", &bench.head("app", "main"))] {
        let entry = format!("160000,{commit},{path}");
        git(&site.repo("conf"), &["update-index", "--add", "--cacheinfo", &entry]);
    }
    commit_index(site, "conf", "refs/heads/main");
    let _daemon = bench.start("gitmodules", &bench.source()).await;

    let (found, affected) = bench.mainline().await;
    assert_eq!(affected, names(&["deps/lib"]));
    let (lib, app) = (bench.head("lib", "main"), bench.head("app", "main"));
    assert_eq!(found, heads(&[("deps/lib", lib), ("app", app)]));

    let (changes, given) = bench.set("overrides.gitmodules").await;
    assert_eq!(given, bench.printed("gitmodules"));
    let build = bench.build_folder();
    git(&build, &["clone", "-q", &format!("{url}/conf.git"), "."]);
    bench.run(&build, &["git", "update-index", "--index-info"], &given);
    bench.run(&build, &["git", "submodule", "-q", "update", "--init"], "");
    assert_eq!(checked_out(&build.join("deps/lib")), changes["lib"]);
    assert_eq!(checked_out(&build.join("app")), changes["app"]);
    bench.run(&build, &["git", "update-index", "--index-info"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_autoproj_that_ended_with_1_adds_packages_and_removes_none() {
    let bench = Bench::new().await;
    let (site, url) = (&bench.site, &bench.url);
    let manifest = |names: &[&str]| {
        let entry = |name: &&str| {
            format!(
                "- {{name: {name}, vcs: {{':type': git, ':url': '{url}/{name}.git', ':branch': main}}}}\n"
            )
        };
        names.iter().map(entry).collect::<String>()
    };
    put(site, "conf", "refs/heads/main", &[("exported", &manifest(&["lib", "app"]))]);
    let lines = format!(
        "{}    bootstrap: {{run: [git, clone, -q, \"{url}/conf.git\", .]}}\n    \
         update: {{run: [sh, -c, \"git pull -q --ff-only && test ! -e broken\"]}}\n    \
         manifest: {{format: autoproj, path: exported}}\n",
        bench.source()
    );
    let _daemon = bench.start("custom", &lines).await;
    assert_eq!(bench.packages(), 2);
    let broken = [("exported", &*manifest(&["pinned", "app"])), ("broken", "")];
    put(site, "conf", "refs/heads/main", &broken);
    eventually("the new package is there", async || bench.packages() == 3).await;
    let change = bench.change("lib", 1, "lib");
    eventually("what the failed run did not name is still built", async || {
        site.succeeded("one", "mirror/lib#1") == 1
    })
    .await;
    assert!(bench.printed_for("lib#1", "json").contains(&change));
    put(site, "conf", "refs/heads/main", &[("exported", &manifest(&["pinned", "app"]))]);
    eventually("a successful run decides", async || bench.packages() == 2).await;
}
