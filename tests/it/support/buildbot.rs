//! A real Buildbot master with one worker, on free ports, for one test.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::free_port;

/// Password of the hook's user `daemon`.
pub const HOOK_PASSWORD: &str = "hook-canary";

/// A running master; it ends when it is dropped.
pub struct Buildbot {
    /// Address of its pages, without a trailing `/`.
    pub url: String,
    /// Its port.
    pub port: u16,
    bin: PathBuf,
    dir: PathBuf,
}

impl Buildbot {
    /// Starts a master in `dir` whose scheduler takes changes of `project` alone.
    ///
    /// A build exits with the property `rc` of the change's branch: a branch that ends in
    /// `pulls/2` fails, one in `pulls/6` runs until it is cancelled, all others pass.
    pub fn start(dir: &Path, project: &str) -> Self {
        let bin = installed();
        let (web, pb) = (free_port(), free_port());
        let this =
            Self { url: format!("http://127.0.0.1:{web}"), port: web, bin, dir: dir.to_owned() };
        let master = dir.join("master");
        let worker = dir.join("worker");
        this.must("buildbot", &["create-master", "-r", &master.to_string_lossy()]);
        let at = format!("localhost:{pb}");
        let worker = worker.to_string_lossy().into_owned();
        this.must("buildbot-worker", &["create-worker", &worker, &at, "w1", "pw"]);
        fs::write(master.join("hook.passwd"), format!("daemon:{HOOK_PASSWORD}\n")).unwrap();
        fs::write(master.join("master.cfg"), config(project, web, pb)).unwrap();
        // A worker that finds no master waits for a minute, so the master comes first.
        this.must("buildbot", &["start", &master.to_string_lossy()]);
        this.must("buildbot-worker", &["start", &worker]);
        this
    }

    fn must(&self, program: &str, args: &[&str]) {
        let output = command(&self.bin.join(program)).args(args).output().unwrap();
        let log = fs::read_to_string(self.dir.join("master/twistd.log")).unwrap_or_default();
        assert!(output.status.success(), "{program} {args:?}: {output:?}\n{log}");
    }
}

impl Drop for Buildbot {
    fn drop(&mut self) {
        for part in ["worker", "master"] {
            let file = self.dir.join(part).join("twistd.pid");
            let Ok(text) = fs::read_to_string(&file) else { continue };
            drop(command(Path::new("kill")).args(["-KILL", text.trim()]).status());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test starts the servers that it needs")]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Where `scripts/test` installs Buildbot, or where the environment says that it is.
fn installed() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin");
    if here.join("buildbot").exists() {
        return here;
    }
    let named = std::env::var("CROSSWATCH_TEST_BUILDBOT").unwrap_or_default();
    let named = PathBuf::from(named);
    let bin = named.parent().map(Path::to_owned).unwrap_or_default();
    assert!(
        bin.join("buildbot").exists(),
        "no Buildbot: run scripts/test, which installs it into target/venv, or set \
         CROSSWATCH_TEST_BUILDBOT to the program `buildbot`"
    );
    bin
}

fn config(project: &str, web: u16, pb: u16) -> String {
    format!(
        r#"
from buildbot.plugins import *
from twisted.cred import strcred
c = BuildmasterConfig = {{'buildbotNetUsageData': None, 'collapseRequests': False}}
c['protocols'] = {{'pb': {{'port': 'tcp:{pb}:interface=127.0.0.1'}}}}
c['workers'] = [worker.Worker('w1', 'pw', max_builds=4)]
script = 'case "$BRANCH" in *pulls/2) exit 1;; *pulls/6) exec sleep 600;; esac'
f = util.BuildFactory([steps.ShellCommand(
    command=['sh', '-c', script], logEnviron=False,
    env={{'BRANCH': util.Interpolate('%(src::branch)s')}})])
c['builders'] = [util.BuilderConfig(name='b1', workernames=['w1'], factory=f)]
c['schedulers'] = [schedulers.AnyBranchScheduler(
    name='any', builderNames=['b1'], treeStableTimer=None,
    change_filter=util.ChangeFilter(project='{project}'))]
c['www'] = dict(
    port='tcp:{web}:interface=127.0.0.1', plugins={{}}, change_hook_dialects={{'base': True}},
    change_hook_auth=[strcred.makeChecker('file:' + basedir + '/hook.passwd')],
    auth=util.UserPasswordAuth({{'daemon': '{HOOK_PASSWORD}'}}),
    authz=util.Authz(
        allowRules=[util.StopBuildEndpointMatcher(role='admins'),
                    util.AnyControlEndpointMatcher(role='admins')],
        roleMatchers=[util.RolesFromUsername(roles=['admins'], usernames=['daemon'])]))
c['buildbotURL'] = 'http://127.0.0.1:{web}/'
c['db_url'] = 'sqlite:///state.sqlite'
"#
    )
}
