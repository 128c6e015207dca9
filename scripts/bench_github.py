"""One daemon with many workspaces over the repositories of a GitHub, or with many changes; `scripts/bench --only github`
and `--only many` call this.

The forge is the model of `tests/support/forge-model`, which enforces GitHub's limits and counts what it is
asked. What the daemon costs is read from /proc, beside what the machine is worth in the same minute.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

import demo

TOKEN = "bench-token"
WORKSPACES, PACKAGES, REPOSITORIES = 1000, 200, 2000
INTERVAL, CYCLES, LATENCY_MS = 60, 15, 100
IDLE_BAR, MOVING_BAR, IN_FLIGHT_BAR, MINUTE_BAR = 25, 30, 10, 900
RESTART_BAR, DECISION_BAR, CORE_BAR = 25, 5, 1.0
MEMORY_BAR = {0: 150, 1: 300}
# So few moves that the budget of an hour lasts.
MANY_REPOSITORIES, MANY_CHANGES, MOVES, LOOKS = 100, 300, 5, 8
TICKS = os.sysconf("SC_CLK_TCK")


class Forge:
    """A running model; see `tests/support/forge-model/src/main.rs`."""

    def __init__(self, binary, repositories, changes):
        words = [binary, "127.0.0.1:0", repositories, changes, TOKEN, LATENCY_MS]
        self.process = subprocess.Popen([str(word) for word in words], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.api = self.process.stdout.readline().strip()
        if not self.api:
            raise demo.Failed("the model of a forge does not start")
        self.url = self.api.removesuffix("/api/v3")

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def requests(self):
        return json.loads(self.tell("requests"))

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


class World:
    """A site of many workspaces that share the repositories of a forge, for `demo.Daemon`."""

    def __init__(self, root, forge, workspaces, packages, repositories, interval):
        self.root, self.state, self.names = root, root / "state", [f"w{n}" for n in range(workspaces)]
        (root / "git").mkdir()
        (root / "manifests").mkdir()
        for at, name in enumerate(self.names):
            of = sorted({(at + step * (repositories // packages)) % repositories for step in range(packages)})
            listed = [{"name": f"r{n}", "git": {"url": f"{forge.url}/model/r{n}.git", "branch": "main"}}
                      for n in of]
            (root / "manifests" / f"{name}.json").write_text(json.dumps({"version": 1, "packages": listed}))
        token = root / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        copy = ["sh", "-c", f"cp {root}/manifests/$CROSSWATCH_WORKSPACE.json manifest.json"]
        config = {
            "version": 1, "state_dir": str(self.state), "listen": f"127.0.0.1:{self.port}",
            "max_updates": 8,
            "forges": {"hub": {"kind": "github", "url": forge.url, "api_url": forge.api,
                               "token": {"file": str(token)}, "poll": {"interval": f"{interval}s"}}},
            "ci": {"here": {"kind": "local", "run": ["true"]}},
            # What is measured is watching and deciding; builds would be those of a model of a CI.
            "defaults": {"bootstrap": {"run": copy}, "update": {"run": ["true"]},
                         "manifest": {"path": "manifest.json"}, "ci": ["here"],
                         "changes": {"adopt": "none", "settle": {"push": "12h"}},
                         "mainline": {"settle": "12h", "settle_at_most": "12h"}},
            "workspaces": [{"name": name} for name in self.names],
        }
        # JSON is YAML.
        (root / "workspaces.yaml").write_text(json.dumps(config))

    def page(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"{self.page()}/api/v1/{path}", timeout=60) as answer:
                return json.load(answer)
        return None

    def recorded(self):
        """Workspaces whose mainline was recorded: everything that they watch was read."""
        rows = self.ask("workspaces") or []
        return sum(row["mainline"].startswith("unchanged") for row in rows)


def processes(daemon):
    parent = daemon.process.pid
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *children]


def cpu(daemon):
    """Seconds of a core that the daemon and its parent spent so far."""
    spent = 0
    for pid in processes(daemon):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / TICKS


def resident(daemon, kind="VmRSS"):
    sizes = 0
    for pid in processes(daemon):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(kind):
                sizes += int(line.split()[1]) / 1000
    return sizes


def until(what, seconds, condition, daemon, pause=1.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise demo.Failed(f"{what}: not within {seconds} s; the log ends:\n{demo.tail(daemon.log)}")
        time.sleep(pause)


def world(binary, model, root, row, options):
    """Whether the bars of the large world hold; `row` prints a figure and says whether it does."""
    workspaces, repositories = options.workspaces, options.repositories
    packages, cycles = min(PACKAGES, repositories), options.cycles
    forge = Forge(model, repositories, options.changes)
    site = World(root, forge, workspaces, packages, repositories, INTERVAL)
    daemon = demo.Daemon(binary, site)
    held = True
    try:
        begin = time.monotonic()
        daemon.start()
        until("the workspaces are ready", 1800, lambda: site.recorded() == workspaces, daemon, 5)
        row("from nothing to all recorded", "s", [time.monotonic() - begin])
        # The first looks of everything are spread over one reconcile from here on.
        time.sleep(INTERVAL)
        for name, pushes, bar in (("idle", 0, IDLE_BAR), ("1 % moving", repositories // 100, MOVING_BAR)):
            asked, spent = [], []
            # Points of a minute look back.
            forge.tell("forget")
            for _ in range(cycles):
                if pushes:
                    forge.tell(f"push {pushes}")
                before, at = cpu(daemon), time.monotonic()
                time.sleep(INTERVAL)
                spent.append(100 * (cpu(daemon) - before) / (time.monotonic() - at))
            total = forge.requests()
            asked = [total["requests"] / cycles]
            held &= row(f"{name}: requests a cycle", "", asked, bar)
            held &= row(f"{name}: requests in flight", "", [total["most_in_flight"]], IN_FLIGHT_BAR)
            held &= row(f"{name}: points in a minute", "", [total["most_in_a_minute"]], MINUTE_BAR)
            held &= row(f"{name}: sent too early", "", [total["early"] + total["refused"]], 0)
            if not pushes:
                held &= row("idle: primary REST points", "", [total["core_points"]], 0)
            held &= row(f"{name}: of a core", "%", spent, None if pushes else CORE_BAR)
            print(json.dumps(total["endpoints"]), flush=True)
        held &= row("resident", "MB", [resident(daemon)], MEMORY_BAR[min(options.changes, 1)])
        row("resident at the most", "MB", [resident(daemon, "VmHWM")])
        daemon.stop()
        forge.tell("forget")
        begin = time.monotonic()
        daemon.start()
        until("the first decisions after a restart", 120, lambda: site.recorded() == workspaces, daemon, 0.1)
        held &= row("restart to decisions", "s", [time.monotonic() - begin], DECISION_BAR)
        time.sleep(INTERVAL / 2)
        held &= row("restart: requests", "", [forge.requests()["requests"]], RESTART_BAR)
    finally:
        daemon.stop()
        forge.end()
    return held


def many(binary, model, root, row):
    """Whether every open change of many repositories is seen, also while their lists move."""
    forge = Forge(model, MANY_REPOSITORIES, MANY_CHANGES)
    site = World(root, forge, 1, MANY_REPOSITORIES, MANY_REPOSITORIES, INTERVAL)
    daemon = demo.Daemon(binary, site)
    moves = 0

    def move():
        """Closes the newest of some, or opens another there: what is older moves between pages, or back."""
        nonlocal moves
        forge.tell(f"{'open' if moves % 2 else 'close'} {MOVES}")
        moves += 1

    def seen():
        return {change.rsplit("/", 1)[1] for _, change in daemon.changes() if "#" in change}

    def opened():
        return {f"{name.rsplit('/', 1)[1]}#{number}"
                for name, numbers in json.loads(forge.tell("opened")).items() for number in numbers}

    # All but the newest of each: these are open all the time.
    lasting = {f"r{n}#{number}" for n in range(MANY_REPOSITORIES) for number in range(1, MANY_CHANGES)}
    try:
        begin = time.monotonic()
        daemon.start()
        until("the daemon answers", 60, lambda: site.ask("workspaces"), daemon)

        def found():
            move()
            return lasting <= seen()

        until("every change is seen while lists move", 1800, found, daemon, 0.5)
        row("from nothing to all changes", "s", [time.monotonic() - begin])
        missed = []
        for _ in range(LOOKS):
            for _ in range(10):
                move()
                time.sleep(0.5)
            missed.append(len(lasting - seen()))
        held = row("missed while lists move", "", [max(missed)], 0)
        if moves % 2:
            move()
        until("what is open is what is seen", 1800, lambda: seen() == opened(), daemon)
        told, true = seen(), opened()
        row("open changes told", "", [len(told)])
        held &= row("missed or too many", "", [len(told ^ true)], 0)
        held &= row("changes that were not told", "", [MANY_REPOSITORIES * MANY_CHANGES - len(told)], 0)
        total = forge.requests()
        held &= row("many: sent too early", "", [total["early"] + total["refused"]], 0)
        row("many: closed or opened", "", [moves * MOVES])
        row("many: resident at the most", "MB", [resident(daemon, "VmHWM")])
        print(json.dumps(total["endpoints"]), flush=True)
    finally:
        daemon.stop()
        forge.end()
    return held
