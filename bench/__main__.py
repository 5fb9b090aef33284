"""Measures and proves, and writes what came out to docs/results/ with its date.

usage: python -m bench [measures|proofs] [NAME[.CASE] ...]

Every module of bench/measures/ (`make bench`) and bench/proofs/ (`make prove`) has a function
`run() -> dict` whose result, JSON-ready, is what is written. One with a mapping CASES has
`run(case) -> dict`, and each of its cases a file of its own. A proof that fails raises.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("kind", nargs="?", default="measures", choices=["measures", "proofs"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="all of them when none is named")
    options = parser.parse_args()
    known = modules(options.kind)
    unknown = {name for name in options.names if name.partition(".")[0] not in known}
    if unknown:
        parser.error(f"no {', '.join(sorted(unknown))} in {options.kind}; there are {known}")
    # Who ends this ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in options.names or known:
        module, _, case = name.partition(".")
        there = cases(options.kind, module)
        if case and case not in there:
            parser.error(f"no case {case} in {module}; there are {there}")
        if reason := lacking(options.kind, module):
            print(f"{options.kind}: {module} is left out: {reason}", flush=True)
            continue
        for one in [case] if case else there:
            record(options.kind, module, one)


def modules(kind: str) -> list[str]:
    return sorted(found.name for found in pkgutil.iter_modules([str(ROOT / "bench" / kind)]))


def cases(kind: str, module: str) -> list[str]:
    """What is recorded apart of a measure or proof: its cases, or nothing but the whole."""
    return list(getattr(importlib.import_module(f"bench.{kind}.{module}"), "CASES", [""]))


def lacking(kind: str, module: str) -> str | None:
    """What a measure or proof misses on this machine, where it asks for more than every one has."""
    asked = getattr(importlib.import_module(f"bench.{kind}.{module}"), "lacking", None)
    return asked() if asked else None


def record(kind: str, module: str, case: str = "") -> Path:
    """Run it and write what came out.

    Figures with `trained` were read from a run that may be older: when, by which commit, for how
    long and where it was trained is then what is told, and the reading of it beside that.
    """
    name = f"{module}.{case}" if case else module
    print(f"{kind}: {name} …", flush=True)
    began, started = origin(), time.monotonic()
    run = importlib.import_module(f"bench.{kind}.{module}").run
    figures = run(case) if case else run()
    seconds = round(time.monotonic() - started, 1)
    now = datetime.now(UTC)
    took = {"measured": now.isoformat(timespec="seconds"), "seconds": seconds}
    told: dict[str, object] = {**took, **began}
    if trained := figures.pop("trained", None):
        told = {**trained, "read": {**took, "commit": began["commit"]}}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{now.date()}-{name}.json"
    path.write_text(json.dumps({"name": name, **told, "figures": figures}, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    print(f"{path} after {seconds} s", flush=True)
    return path


def origin() -> dict[str, object]:
    """The code and the machine; asked before anything runs, for both may change meanwhile."""
    return {"commit": commit(), "machine": machine()}


def commit() -> str:
    """The commit that is measured, `-dirty` when a tracked file but a result differs from it."""
    files = ("--", ".", ":(exclude)docs/results")
    changed = _git("status", "--porcelain", "--untracked-files=no", *files)
    return _git("describe", "--always") + ("-dirty" if changed else "")


def _git(*words: str) -> str:
    said = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip()


def machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
