"""Start to ready and idle memory on the demo's state; `scripts/bench` calls this."""

import argparse
import contextlib
import hashlib
import io
import pathlib
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request

import demo

READY_BAR, MEMORY_BAR = 200, 40


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


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--binary", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
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
        return 0 if held else 1
    except demo.Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        daemon.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
