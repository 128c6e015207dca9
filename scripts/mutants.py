"""Runs cargo-mutants file by file, see scripts/mutants.

Each worker has a tree of its own for each area, with `crosswatch-core` alone in it and only the modules that
the area's tests need, those below the area in a crate of their own: a mutant then costs seconds to build. The tree's test runner tries the quick tests
first and ends at the first that fails, so that a mutant which they catch waits for no property test.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
STATE = TOP / "target/mutants"
PAGE = TOP / "docs/mutants.md"
OUTCOMES = ("caught", "missed", "timeout", "unviable")
# Modules that the area's tests do not need, those below it, and the filters of its tests, quick ones first, with
# the seconds of one processor after which they count as hung.
AREAS = {
    "references": {
        "without": ("control", "manifest", "moving", "plan", "spelling"),
        "below": (),
        "phases": (
            (10, "references:: --skip hostile --skip torn_bodies"),
            (40, "references::tests::hostile torn_bodies hostile_messages"),
        ),
    },
    "plan": {
        "without": ("control",),
        "below": ("manifest", "model", "moving", "references", "spelling"),
        "phases": (
            (20, "plan:: --skip plan::tests::properties --skip plan::tests::several --skip flap --skip without_end --skip long_chain"),
            (200, "plan::tests::properties plan::tests::several flap without_end long_chain"),
        ),
    },
}
# Many small units, in which nothing becomes private to one, so that a mutant has few of them built again.
PROFILE = """
[profile.dev]
debug = false
codegen-units = 2000

[profile.dev.package."*"]
opt-level = 1
"""
BELOW = """
[profile.dev.package.below]
opt-level = 1
"""
# A mutant that loops may ask for memory without end, and must not count as caught for a busy machine's sake:
# its time is that of the processor.
RUNNER = """#!/usr/bin/env python3
import resource, subprocess, sys

def limits(seconds):
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (6_000_000_000, 6_000_000_000))

for seconds, only in PHASES:
    command = [sys.argv[1], *only.split()]
    limit = lambda: limits(seconds)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=limit) as tests:
        for line in tests.stdout:
            print(line, end="", flush=True)
            if line.endswith("... FAILED\\n"):
                tests.kill()
    if tests.returncode:
        sys.exit(1)
"""


def sources(area):
    """What is mutated: every source that is not a test."""
    found = (TOP / "core/src" / area).rglob("*.rs")
    paths = (path.relative_to(TOP) for path in found)
    kept = [path for path in paths if "tests" not in path.parts and path.name != "tests.rs"]
    return sorted(kept, key=lambda path: (path.stat().st_size, path))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tree(worker, area, quick):
    """Makes or renews the worker's tree; newer than anything that was built of it before."""
    root = STATE / f"tree-{area}-{worker}"
    shutil.rmtree(root / "below", ignore_errors=True)
    for part in ("core/src", "docs"):
        shutil.rmtree(root / part, ignore_errors=True)
        shutil.copytree(TOP / part, root / part, copy_function=shutil.copyfile)
    for part in ("Cargo.lock", "core/clippy.toml"):
        shutil.copyfile(TOP / part, root / part)
    workspace = (TOP / "Cargo.toml").read_text()
    workspace = workspace[workspace.index("[workspace]") : workspace.index("[package]")]
    below = AREAS[area]["below"]
    members = 'members = ["core", "below"]' if below else 'members = ["core"]'
    workspace = re.sub(r"members = .*", members, workspace) + PROFILE
    write(root / "Cargo.toml", workspace + BELOW if below else workspace)
    core = (TOP / "core/Cargo.toml").read_text()
    core = re.sub(r"\[\[bench\]\]\n(.+\n)*|simulation = .*\n", "", core)
    if below:
        named = core.replace("crosswatch-core", "below").replace("[lints]\nworkspace = true", "")
        write(root / "below/Cargo.toml", named)
        core = core.replace("[dependencies]\n", '[dependencies]\nbelow = { path = "../below" }\n')
    write(root / "core/Cargo.toml", core)
    lib = (TOP / "core/src/lib.rs").read_text()
    for module in AREAS[area]["without"]:
        lib = lib.replace(f"pub mod {module};\n", "")
        shutil.rmtree(root / "core/src" / module)
    if below:
        # The area is in it too: what is made of the standard library for it is there then, and not again in each
        # mutant.
        shutil.copytree(root / "core/src", root / "below/src")
        for path in (root / "below/src").rglob("*.rs"):
            path.write_text(re.sub(r"\bpub\((crate|super)\)", "pub", path.read_text()))
        write(root / "below/src/lib.rs", lib)
        for module in below:
            lib = lib.replace(f"pub mod {module};", f"pub use below::{module};")
            for path in (root / "core/src" / module).rglob("*.rs"):
                path.unlink()
    write(root / "core/src/lib.rs", lib)
    phases = AREAS[area]["phases"][: 1 if quick else None]
    write(root / "runner", RUNNER.replace("PHASES", repr(phases)))
    (root / "runner").chmod(0o755)
    flags = "rustflags = ['-Clink-dead-code']"
    write(root / ".cargo/config.toml", f"[target.'cfg(all())']\nrunner = '{root}/runner'\n{flags}\n")
    return root


def environment(root):
    worker = root.name.rsplit("-")[-1]
    added = {
        "CARGO_TARGET_DIR": str(STATE / f"target-{worker}"),
        "CARGO_INCREMENTAL": "1",
        "INSTA_UPDATE": "no",
        "RUST_BACKTRACE": "0",
    }
    return {**os.environ, **added}


def baseline(root):
    """The tests have to pass where nothing is mutated."""
    test = ["cargo", "test", "--offline", "--lib", "--package", "crosswatch-core"]
    subprocess.run(test, cwd=root, env=environment(root), check=True)


def record(path):
    return STATE / "results" / path.with_suffix(".json")


def known(path, root=TOP):
    """What is known of a file as it is there: its digest, and the outcome of each mutant by name."""
    digest = hashlib.sha256((root / path).read_bytes()).hexdigest()[:16]
    fresh = {"digest": digest, "whole": False, "outcomes": {}, "ran": 0, "seconds": 0}
    if not record(path).exists():
        return fresh
    old = json.loads(record(path).read_text())
    return old if old["digest"] == digest else fresh


def gather(out, state):
    for outcome in OUTCOMES:
        listed = out / "mutants.out" / f"{outcome}.txt"
        for name in listed.read_text().splitlines() if listed.exists() else ():
            state["outcomes"][name] = outcome


def mutate(path, root, quick, reasons):
    """Runs what is left of one file, and keeps what came out of it even when it is stopped."""
    state = known(path, root)
    out = STATE / "out" / path.with_suffix("") / state["digest"]
    out.mkdir(parents=True, exist_ok=True)
    gather(out, state)
    left = [name for name, outcome in state["outcomes"].items() if outcome in ("missed", "timeout")]
    if state["whole"] and not unreasoned(left, reasons):
        return
    command = ["cargo", "mutants", "--in-place", "--iterate", "--no-shuffle", "--baseline", "skip"]
    command += ["--timeout", "600", "--build-timeout", "600", "--colors", "never"]
    command += ["--output", out, "--file", path, "--", "--offline", "--lib"]
    before = (len(state["outcomes"]) - len(left), processor())
    try:
        ended = subprocess.run(command, cwd=root, env=environment(root)).returncode
        state["whole"] = ended in (0, 2, 3)
        state["quick"] = quick
        if ended not in (0, 2, 3):
            print(f"mutants: cargo-mutants ended with {ended} for {path}", file=sys.stderr)
    finally:
        gather(out, state)
        state["ran"] += len(state["outcomes"]) - before[0]
        state["seconds"] += round(processor() - before[1])
        write(record(path), json.dumps(state, indent=1))


def processor():
    """What those whom we waited for took of processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def place(path, name):
    """A mutant's name without its line, which moves: `core/src/plan/trust.rs: replace …`."""
    return f"{path}: {name.split(': ', 1)[1]}"


def reasons_written():
    """How many mutants of a name may stay: rows of the page's table, `| FILE: MUTANT | COUNT | REASON |`."""
    written = Counter()
    for line in PAGE.read_text().splitlines() if PAGE.exists() else ():
        row = re.match(r"\| `(core/src/.+?: .+?)` \| (\d+) \| \S.* \|$", line.replace(r"\|", "|"))
        if row:
            written[row[1]] += int(row[2])
    return written


def named(name):
    return place(name.split(":", 1)[0], name)


def unreasoned(names, reasons):
    left = Counter(named(name) for name in names) - reasons
    return sorted(name for name in names if named(name) in left)


def work(worker, chosen, paths, reasons):
    """Takes the files one after another that no other worker has."""
    roots = {}
    for path in paths:
        area = path.parts[2]
        write(record(path).with_suffix(".lock"), "")
        with record(path).with_suffix(".lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if area not in roots:
                roots[area] = tree(worker, area, chosen.quick)
                baseline(roots[area])
            mutate(path, roots[area], chosen.quick, reasons)


def report(paths, reasons):
    """Prints figures and survivors; true if each survivor has its reason and nothing is left to run."""
    total, bad, unfinished, stayed = Counter(), [], [], []
    seconds = ran = 0
    for path in paths:
        state = known(path)
        counts = Counter(state["outcomes"].values())
        total += counts
        seconds, ran = seconds + state["seconds"], ran + state["ran"]
        if not state["whole"]:
            unfinished.append(path)
        each = f"; {state['seconds'] / state['ran']:.1f} s of a processor for each" if state["ran"] else ""
        print(f"{path}: " + ("" if state["whole"] else "NOT WHOLE, ") + figures(counts) + each)
        stayed += [n for n, outcome in state["outcomes"].items() if outcome == "missed"]
    bad = unreasoned(stayed, reasons)
    print(f"\nin all: {figures(total)}; {len(unfinished)} of {len(paths)} files not run to their end")
    print(f"{seconds / max(ran, 1):.1f} s of a processor for each of {ran} runs, {seconds / 60:.0f} min in all")
    for name in bad:
        print(f"no test catches, and no reason says why: {name}")
    for name in sorted((reasons - Counter(named(name) for name in stayed)).elements()):
        if any(name.startswith(f"{path}: ") and known(path)["whole"] for path in paths):
            print(f"a reason without a mutant: {name}")
    return not bad and not unfinished


def figures(counts):
    return f"{sum(counts.values())} mutants, " + ", ".join(f"{counts[o]} {o}" for o in OUTCOMES)


def main():
    options = argparse.ArgumentParser(prog="scripts/mutants")
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--shard", default="1/1")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--report", action="store_true")
    options.add_argument("files", nargs="*", type=Path)
    chosen = options.parse_args()
    paths = chosen.files or [path for area in AREAS for path in sources(area)]
    shard, shards = map(int, chosen.shard.split("/"))
    paths = paths[shard - 1 :: shards]
    reasons = reasons_written()
    if not chosen.report:
        workers = []
        for worker in range(1, chosen.jobs + 1):
            child = os.fork()
            if child == 0:
                work(worker, chosen, paths, reasons)
                os._exit(0)
            workers.append(child)
        for child in workers:
            os.waitpid(child, 0)
    sys.exit(0 if report(paths, reasons) else 1)


if __name__ == "__main__":
    main()
