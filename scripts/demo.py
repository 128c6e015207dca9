"""The main job on real git repositories, step by step; `scripts/demo` calls this.

Four packages and one definition repository are made, and a daemon that watches two workspaces with
three packages in common. Then two changes are opened, of which one depends on the other, the
dependency is pushed to, and the daemon is killed and started again. What is claimed about builds is
counted in the folders that the local CI leaves, not only asked of the daemon.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PACKAGES = {"base/types": [], "drivers/camera": ["base/types"], "control/planner": ["base/types"],
            "gui/viewer": ["drivers/camera"]}
WORKSPACES = {"robot": list(PACKAGES), "lab": ["base/types", "drivers/camera", "control/planner"]}
DEPENDENCY = "mirror/base/types#1"
DEPENDENT = "mirror/drivers/camera#1"
DEADLINE = 180

WORKSPACE_TOOL = """#!/bin/sh
# Stands for a workspace's own build tool: fetches the definitions and the packages of its list.
set -eu
git=$1 list=$2
if [ -e .git ]; then git pull -q --ff-only; else git clone -q "$git/definitions.git" .; fi
python3 - "$list.json" <<'END' | while read -r folder url; do
import json, sys
for package in json.load(open(sys.argv[1]))["packages"]:
    print(package["directory"], package["git"]["url"])
END
    if [ -e "$folder/.git" ]; then git -C "$folder" pull -q --ff-only; else git clone -q "$url" "$folder"; fi
    echo "$folder is at $(git -C "$folder" log -1 --format='%h %s')"
done
"""

CI = """#!/bin/sh
# Stands for a build: checks out what the overrides say and prints what it would compile.
set -eu
export HOME="$PWD/.home"
mkdir -p "$HOME"
git config --global --add safe.directory '*'
git config --global advice.detachedHead false
echo "build of $CROSSWATCH_SUBJECT in $CROSSWATCH_WORKSPACE: $CROSSWATCH_REASON"
python3 - "$CROSSWATCH_OVERRIDES" >overrides.txt <<'END'
import json, sys
for entry in json.load(open(sys.argv[1])):
    print(entry["packages"][0], entry["repository_url"], entry["ref_name"], entry["head"])
END
while read -r package url ref head; do
    git init -q "$package"
    git -C "$package" fetch -q --depth 1 "$url" "$ref"
    git -C "$package" checkout -q FETCH_HEAD
    [ "$(git -C "$package" rev-parse HEAD)" = "$head" ] || { echo "$package moved on; the next build has it"; exit 1; }
    echo "  $package from $ref: $(git -C "$package" log -1 --format='%h %s') -> $(cat "$package/version")"
done <overrides.txt
echo "built"
"""


class Failed(Exception):
    """Something that the demo promises was not seen."""


class Show:
    """Prints what happens."""

    def __init__(self, ask):
        self.ask = ask
        self.start = time.monotonic()
        self.terminal = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def step(self, title):
        if self.ask:
            input("\n[Enter] ")
        print(f"\n\033[1m== {title}\033[0m" if self.terminal else f"\n== {title}", flush=True)

    def say(self, text):
        print(f"  {time.monotonic() - self.start:6.1f}s  {text}", flush=True)

    def block(self, text):
        for line in text.rstrip().splitlines():
            print(f"           | {line}", flush=True)

    def wait(self, what, condition):
        """Waits until `condition` gives something, and says what it waits for when that takes long."""
        until, said, shown = time.monotonic() + DEADLINE, 0.0, None
        while True:
            value, state = condition()
            if value:
                return value
            now = time.monotonic()
            if now > until:
                raise Failed(f"not seen within {DEADLINE} s: {what} (last: {state})")
            if state != shown or now - said > 20:
                self.say(f"waiting for {what}: {state}")
                said, shown = now, state
            time.sleep(0.1)


class Site:
    """The git server, the configuration and the state of a demonstration."""

    def __init__(self, root):
        self.root = root
        self.git_root, self.work, self.state = root / "git", root / "work", root / "state"

    def git(self, *args, cwd=None):
        names = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                 for what, value in (("NAME", "Demo"), ("EMAIL", "demo@example.org"))}
        env = os.environ | names | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(["git", *args], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"git {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def url(self, name):
        return f"file://{self.git_root}/{name}.git"

    def repository(self, name, files):
        bare, work = self.git_root / f"{name}.git", self.work / name
        self.git("init", "-q", "--bare", "-b", "main", str(bare))
        self.git("init", "-q", "-b", "main", str(work))
        self.git("remote", "add", "origin", str(bare), cwd=work)
        self.push(name, files, f"Begin {name}", "main")

    def push(self, name, files, message, *refs):
        work = self.work / name
        for path, text in files.items():
            (work / path).write_text(text)
        self.git("add", "-A", cwd=work)
        self.git("commit", "-q", "-m", message, cwd=work)
        for ref in refs:
            self.git("push", "-q", "origin", f"HEAD:{ref}", cwd=work)
        return self.git("rev-parse", "HEAD", cwd=work)

    def make(self):
        for name in PACKAGES:
            self.repository(name, {"version": f"{name} 1.0\n"})
        lists = {}
        for workspace, names in WORKSPACES.items():
            packages = [{"name": name, "git": {"url": self.url(name), "branch": "main"},
                         "directory": f"src/{name}", "depends_on": PACKAGES[name]} for name in names]
            lists[f"{workspace}.json"] = json.dumps({"version": 1, "packages": packages}, indent=2)
        self.repository("definitions", lists | {".gitignore": "src/\n"})
        for name, text in (("ci.sh", CI), ("workspace.sh", WORKSPACE_TOOL)):
            (self.root / name).write_text(text)
            (self.root / name).chmod(0o755)
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.configure(port)

    def configure(self, port):
        tool = self.root / "workspace.sh"
        text = f"""version: 1
state_dir: {self.state}
listen: 127.0.0.1:{port}
forges:
  mirror: {{kind: git, url: "file://{self.git_root}", authors: any, poll: {{interval: 1s}}}}
ci:
  here: {{kind: local, run: [./ci.sh], slots: 2, timeout: 2m, poll_interval: 1s, read_only: ["{self.git_root}"]}}
defaults:
  update: {{timeout: 2m}}
  changes: {{settle: {{new: 5s, push: 3s}}}}
workspaces:
"""
        for name in WORKSPACES:
            run = f'run: ["{tool}", "file://{self.git_root}", {name}]'
            text += f"""  - name: {name}
    source: {{url: "{self.url("definitions")}", branch: main}}
    bootstrap: {{{run}, timeout: 2m}}
    update: {{{run}}}
    manifest: {{format: crosswatch, path: {name}.json}}
    ci: [here]
"""
        (self.root / "workspaces.yaml").write_text(text)

    def page(self):
        for line in (self.root / "workspaces.yaml").read_text().splitlines():
            if line.startswith("listen: "):
                return "http://" + line.removeprefix("listen: ")
        raise Failed("the configuration has no `listen`")

    def finished(self):
        """Builds that the CI finished, from its own folders: (workspace, subject, fingerprint, heads)."""
        found = []
        for result in sorted(self.state.glob("builds/*/result.json")):
            request = json.loads((result.parent / "request.json").read_text())
            verdict = json.loads(result.read_text())["verdict"]
            found.append({"workspace": request["workspace"], "subject": request["subject"],
                          "fingerprint": request["fingerprint"], "verdict": verdict,
                          "heads": sorted(entry["head"] for entry in request["overrides"]),
                          "id": result.parent.name})
        return found


class Daemon:
    """The program under demonstration."""

    def __init__(self, binary, site):
        self.binary, self.site, self.process = str(binary), site, None
        self.config = str(site.root / "workspaces.yaml")
        self.log = site.root / "daemon.log"

    def start(self):
        # Systemd's variables would point it at another daemon's folders.
        env = {k: v for k, v in os.environ.items() if k not in ("RUNTIME_DIRECTORY", "CROSSWATCH_SOCKET", "NOTIFY_SOCKET")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.binary, "--config", self.config, "run"], env=env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def ready(self):
        code = self.process.poll()
        if code is not None:
            raise Failed(f"the daemon ended with {code}; its log ends:\n{tail(self.log)}")
        try:
            with urllib.request.urlopen(self.site.page() + "/readyz", timeout=5) as answer:
                return answer.status == 200, "ready"
        except urllib.error.HTTPError as error:
            return False, error.read().decode(errors="replace").strip()[:200]
        except OSError:
            return False, "no answer yet"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, *args):
        env = os.environ | {"CROSSWATCH_SOCKET": str(self.site.state / "api.sock")}
        done = subprocess.run([self.binary, "--config", self.config, *args], env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f"crosswatch {' '.join(args)} exits {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def changes(self):
        return {(row["workspace"], row["change"]): row for row in json.loads(self.ask("changes", "--json"))}

    def builds(self):
        return json.loads(self.ask("builds", "--json", "--limit", "500"))


def tail(path, lines=15):
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def workspaces_ready(daemon):
    rows = json.loads(daemon.ask("workspaces", "--json"))
    state = ", ".join(f"{row['name']} {row['phase'] or 'not begun'}" for row in rows) or "none yet"
    failed = [row for row in rows if row["failure"]]
    if failed:
        raise Failed(f"{failed[0]['name']}: {failed[0]['failure']}\n" + "\n".join(failed[0]["tail"]))
    looked = {key for key in daemon.changes() if key[1] == "mainline"}
    known = all(row["packages"] == len(WORKSPACES[row["name"]]) for row in rows)
    return len(rows) == len(WORKSPACES) == len(looked) and known, state


def built(site, daemon, heads):
    """Whether each workspace has a finished build of the dependent with exactly these heads."""
    done = [b for b in site.finished() if b["subject"] == DEPENDENT and b["heads"] == sorted(heads)]
    rows = daemon.changes()
    state = "; ".join(f"{w}: {rows[(w, DEPENDENT)]['decision']}" if (w, DEPENDENT) in rows
                      else f"{w}: not seen yet" for w in WORKSPACES)
    bad = [b for b in site.finished() if b["verdict"] != "success"]
    if bad:
        log = site.state / "builds" / bad[0]["id"] / "build.log"
        raise Failed(f"a build ended {bad[0]['verdict']}:\n{tail(log)}")
    open_rows = [b for b in daemon.builds() if str(b["stage"]) in ("queued", "sending", "sent", "running")]
    settled = all(rows.get((w, DEPENDENT), {}).get("decision") == "unchanged" for w in WORKSPACES)
    whole = settled and not open_rows and {b["workspace"] for b in done} == set(WORKSPACES)
    return whole and done, state


def twice(site):
    """Builds of one (workspace, subject, fingerprint) beyond the first."""
    keys = [(b["workspace"], b["subject"], b["fingerprint"]) for b in site.finished()]
    return sorted({key for key in keys if keys.count(key) > 1})


def demonstrate(site, daemon, show):
    show.step("Four packages, one definition repository, two workspaces that share three packages")
    site.make()
    show.block(site.git("-C", str(site.work / "definitions"), "ls-files") + "\n\nworkspaces.yaml:\n"
               + (site.root / "workspaces.yaml").read_text())
    show.block(daemon.ask("check", daemon.config))

    show.step("The daemon makes both workspaces and looks at their repositories")
    daemon.start()
    show.wait("the daemon", daemon.ready)
    show.wait("both workspaces", lambda: workspaces_ready(daemon))
    show.say(f"ready; the page is at {site.page()}/")
    show.block(daemon.ask("workspaces"))

    show.step("Two changes are opened; drivers/camera needs the one of base/types")
    first = site.push("base/types", {"version": "base/types 2.0\n"}, "Add a frame type", "refs/pull/1/head")
    second = site.push("drivers/camera", {"version": "drivers/camera 2.0\n"},
                       "Use the frame type\n\nIt is new in base/types.\n\nDepends-On: mirror:base/types#1",
                       "refs/pull/1/head")
    done = show.wait("one build of the set in each workspace", lambda: built(site, daemon, [first, second]))
    show.block(daemon.ask("changes"))
    show.say("why it was built:")
    show.block(daemon.ask("explain", "robot", DEPENDENT))
    show.say("its dependency has no build of its own:")
    show.block(daemon.ask("explain", "robot", DEPENDENCY))
    show.say("the log of one build:")
    show.block(daemon.ask("log", next(b["id"] for b in done if b["workspace"] == "robot")))
    if any(b["subject"] == DEPENDENCY for b in site.finished()):
        raise Failed("the covered dependency was built on its own")
    decision = daemon.changes()[("robot", DEPENDENCY)]["decision"]
    if decision != "covered":
        raise Failed(f"the dependency is {decision}, not covered")

    show.step("A push to the dependency: its dependent is built again, though nobody touched it")
    third = site.push("base/types", {"version": "base/types 2.1\n"}, "Name the fields", "refs/pull/1/head")
    show.wait("the set with the new head", lambda: built(site, daemon, [third, second]))
    show.block(daemon.ask("builds"))
    show.block(daemon.ask("explain", "lab", DEPENDENT))

    show.step("The daemon is killed with -9 and started again: nothing is built twice")
    before = site.finished()
    daemon.kill()
    show.say(f"killed; {len(before)} builds so far")
    daemon.start()
    show.wait("the daemon", daemon.ready)
    looks = {row["repository"]: row["looks"] for row in json.loads(daemon.ask("forges", "--json"))["repositories"]}
    # What the restart would wrongly trigger had settled long ago: some looks at everything tell.
    def looked():
        rows = json.loads(daemon.ask("forges", "--json"))["repositories"]
        least = min((row["looks"] - looks.get(row["repository"], 0) for row in rows), default=0)
        return len(rows) >= len(PACKAGES) and least >= 6, f"{least} of 6 looks at each repository"
    show.wait("fresh looks at everything", looked)
    after = site.finished()
    for workspace in WORKSPACES:
        for build in (b for b in after if b["workspace"] == workspace):
            count = sum(b["fingerprint"] == build["fingerprint"] and b["workspace"] == workspace for b in after)
            show.say(f"{workspace}: {build['fingerprint'][:12]} of {build['subject']} built {count} time(s)")
    if len(daemon.builds()) != len(before) or len(after) != len(before) or twice(site):
        raise Failed(f"{len(before)} builds before the restart, {len(after)} after it, twice: {twice(site)}")
    decision = daemon.changes()[("robot", DEPENDENT)]["decision"]
    if decision != "unchanged":
        raise Failed(f"after the restart the change is {decision}, not unchanged")
    show.say("the same builds, each fingerprint once")


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo", description="The main job on real git repositories.")
    parser.add_argument("--once", action="store_true", help="ask nothing; exit 0 only when everything was seen")
    parser.add_argument("--keep", action="store_true", help="leave the daemon running and print its page")
    parser.add_argument("--binary", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    # Short, since the path of a Unix socket is bounded.
    root = options.root or pathlib.Path(tempfile.mkdtemp(prefix="crosswatch-demo-"))
    site, show = Site(root.resolve()), Show(sys.stdin.isatty() and not options.once)
    daemon, code = Daemon(options.binary.resolve(), site), 1
    try:
        demonstrate(site, daemon, show)
        code = 0
    except (Failed, subprocess.TimeoutExpired, KeyError, ValueError) as error:
        print(f"\ndemo: FAILED: {error if isinstance(error, Failed) else repr(error)}", file=sys.stderr)
        print(f"demo: the daemon's log ends:\n{tail(daemon.log)}\ndemo: all of it is kept in {root}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
    if options.keep and daemon.process is not None and daemon.process.poll() is None:
        print(f"\nThe daemon goes on: {site.page()}/\n  state  {root}\n  stop   kill {daemon.process.pid}")
        return code
    daemon.stop()
    if code == 0:
        print("\ndemo: everything was seen")
        if options.root is None:
            shutil.rmtree(root, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
