"""Start to ready and idle memory on the demo's state, webhooks, what recording takes, a crowd of workspaces, a
large GitHub, and one with many changes; `scripts/bench` calls this."""

import argparse
import contextlib
import hashlib
import io
import json
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import bench_github
import bench_hooks
import demo

READY_BAR, MEMORY_BAR = 200, 40
CROWD, SLOTS, UPDATE, CROWD_BAR = 200, 8, 2, 55


def calibration():
    """Milliseconds that one core takes to hash 64 MiB: what this machine is worth this minute."""
    block = bytes(1 << 20)
    start = time.perf_counter()
    digest = hashlib.sha256()
    for _ in range(64):
        digest.update(block)
    digest.hexdigest()
    return (time.perf_counter() - start) * 1000


def start_to_ready(daemon):
    """Milliseconds from the start of the process to the first 200 of `/readyz`."""
    url = daemon.site.page() + "/readyz"
    start = time.perf_counter()
    daemon.start()
    while True:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return (time.perf_counter() - start) * 1000
        if time.perf_counter() - start > 60:
            raise demo.Failed("the daemon is not ready after 60 s")
        time.sleep(0.002)


def resident(daemon):
    """Resident memory of the daemon and its parent, in MB."""
    parent = daemon.process.pid
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return sum(resident_of(pid) for pid in [parent, *children])


def resident_of(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise demo.Failed("the daemon has no VmRSS")


def row(name, unit, values, bar=None):
    middle = statistics.median(values)
    verdict = "" if bar is None else f"   bar {bar} {unit}: {'held' if middle <= bar else 'MISSED'}"
    print(f"{name:<24} median {middle:8.1f} {unit}   min {min(values):8.1f}   max {max(values):8.1f}"
          f"   n {len(values)}{verdict}", flush=True)
    return bar is None or middle <= bar


class Crowd:
    """A site of many workspaces whose updates only take their time, for `demo.Daemon`."""

    def __init__(self, root):
        self.root, self.state, self.events = root, root / "state", root / "events"
        (root / "git").mkdir()
        manifest = root / "manifest.json"
        packages = [{"name": "one", "git": {"url": f"file://{root}/git/one.git", "branch": "main"}}]
        manifest.write_text(json.dumps({"version": 1, "packages": packages}))
        say = f'echo "$1 $CROSSWATCH_WORKSPACE" >> {self.events}'
        update = ["sh", "-c", f"{say.replace('$1', '+')}; sleep {UPDATE}; {say.replace('$1', '-')}"]
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = {
            "version": 1, "state_dir": str(self.state), "listen": f"127.0.0.1:{self.port}",
            "max_updates": SLOTS,
            "forges": {"mirror": {"kind": "git", "url": f"file://{root}/git", "authors": "any"}},
            "ci": {"here": {"kind": "local", "run": ["true"]}},
            "defaults": {"bootstrap": {"run": ["cp", str(manifest), "manifest.json"]},
                         "update": {"run": update}, "manifest": {"path": "manifest.json"}},
            "workspaces": [{"name": f"w{n}"} for n in range(CROWD)],
        }
        # JSON is YAML.
        (root / "workspaces.yaml").write_text(json.dumps(config))

    def page(self):
        return f"http://127.0.0.1:{self.port}"

    def rows(self):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(self.page() + "/api/v1/workspaces", timeout=10) as answer:
                return json.load(answer)
        return []


def crowd(binary, root):
    """Seconds from the start of the daemon until all workspaces of a crowd are ready."""
    site = Crowd(root)
    daemon = demo.Daemon(binary, site)
    start = time.perf_counter()
    daemon.start()
    try:
        while sum(row["phase"] == "ready" for row in site.rows()) < CROWD:
            if time.perf_counter() - start > 10 * CROWD_BAR:
                raise demo.Failed(f"the crowd is not ready; the log ends:\n{demo.tail(daemon.log)}")
            time.sleep(0.2)
        seconds = time.perf_counter() - start
    finally:
        daemon.stop()
    running = most = 0
    updated = []
    for line in site.events.read_text().splitlines():
        sign, name = line.split()
        running += 1 if sign == "+" else -1
        most = max(most, running)
        updated += [name] if sign == "+" else []
    if most > SLOTS or sorted(updated) != sorted(f"w{n}" for n in range(CROWD)):
        raise demo.Failed(f"{most} updates at once of {SLOTS}, {len(updated)} updates of {CROWD} workspaces")
    return seconds


@contextlib.contextmanager
def scratch():
    root = pathlib.Path(tempfile.mkdtemp(prefix="crosswatch-bench-")).resolve()
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--binary", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--only", choices=["ready", "hooks", "record", "crowd", "github", "many"])
    github = parser.add_argument_group("github", "a smaller or shorter run of the large world")
    github.add_argument("--model", type=pathlib.Path, help=argparse.SUPPRESS)
    github.add_argument("--workspaces", type=int, default=bench_github.WORKSPACES)
    github.add_argument("--repositories", type=int, default=bench_github.REPOSITORIES)
    github.add_argument("--changes", type=int, default=1, help="open changes of each repository")
    github.add_argument("--cycles", type=int, default=bench_github.CYCLES)
    options = parser.parse_args()
    held = True
    try:
        if options.only in (None, "ready"):
            held &= ready_and_memory(options)
        if options.only in (None, "hooks"):
            with scratch() as root:
                held &= bench_hooks.measure(options.binary.resolve(), root, row)
        if options.only in (None, "record"):
            row("calibration (sha256)", "ms", [calibration()])
            bench = ["cargo", "bench", "--locked", "--bench", "record"]
            held &= subprocess.run(bench).returncode == 0
        if options.only in (None, "crowd"):
            with scratch() as root:
                row("calibration (sha256)", "ms", [calibration()])
                seconds = crowd(options.binary.resolve(), root)
                held &= row(f"{CROWD} workspaces", "s", [seconds], CROWD_BAR)
        if options.only in (None, "github"):
            with scratch() as root:
                row("calibration (sha256)", "ms", [calibration()])
                binary, model = options.binary.resolve(), options.model.resolve()
                held &= bench_github.world(binary, model, root, row, options)
        if options.only in (None, "many"):
            with scratch() as root:
                row("calibration (sha256)", "ms", [calibration()])
                held &= bench_github.many(options.binary.resolve(), options.model.resolve(), root, row)
        return 0 if held else 1
    except demo.Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def ready_and_memory(options):
    """Whether start to ready and idle memory on the demo's state hold."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="crosswatch-bench-")).resolve()
    site = demo.Site(root)
    daemon = demo.Daemon(options.binary.resolve(), site)
    try:
        print("making the demo's state …", flush=True)
        with contextlib.redirect_stdout(io.StringIO()):
            demo.demonstrate(site, daemon, demo.Show(ask=False))
        daemon.stop()
        speed, ready, idle = [], [], []
        for number in range(options.runs):
            speed.append(calibration())
            ready.append(start_to_ready(daemon))
            # Memory is told of a daemon at rest: a few looks at everything have passed.
            if number < 3:
                time.sleep(8)
                idle.append(resident(daemon))
            daemon.stop()
        row("calibration (sha256)", "ms", speed)
        held = row("start to ready", "ms", ready, READY_BAR)
        held &= row("idle resident", "MB", idle, MEMORY_BAR)
        return held
    finally:
        daemon.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
