"""Proves a healthy service again and again, and shows that its verdicts do not change: `python -m tests.soak`.

    python -m tests.soak [--runs 50] [--beside-hogs 20] [--service PATH]

What is kept for the suite as it is counts: an interrupted run goes on where it was. It writes docs/soak.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twelvefold.prove import suite_hash

from . import copies
from .sabotages.record import baseline

RECORD = Path(__file__).with_name("soak.json")
PAGE = copies.ROOT / "docs/soak.md"
HOG = "while True: pass"

INTRODUCTION = """\
Made by `nox -s soak`; not to be edited. A healthy service with default answers is proved again and again, some of the
times while two processes take all the CPU time that they can get. Every verdict must be the same each time."""


@contextmanager
def hogs(number: int) -> Iterator[None]:
    """Processes that do nothing but use a core each."""
    running = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(number)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def prove(service: Path, evidence: Path) -> dict[str, Any]:
    """Runs all experiments once; returns what is kept of it."""
    command = [sys.executable, "-m", "twelvefold", "prove", str(service), "--check", "--evidence", str(evidence)]
    began = time.monotonic()
    subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(copies.ROOT / "src")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    seconds = time.monotonic() - began
    found = json.loads((evidence / "twelve-factor.json").read_text())
    claims = {entry["id"]: entry for factor in found["factors"] for entry in factor["claims"]}
    # A pass that no sabotage has backed yet is shown as not run; here only what turned red matters.
    red = {name: entry["reason"] for name, entry in claims.items() if entry["verdict"] in ("fail", "error")}
    return {"seconds": round(seconds, 1), "claims": len(claims), "red": red}


def page(record: dict[str, Any]) -> str:
    """The page for people."""
    lines = ["# Soak", "", INTRODUCTION, "", "| Run | Beside two hogs | Claims | Red | Seconds |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for number, run in enumerate(record["runs"], 1):
        red = "; ".join(f"{name}: {reason.splitlines()[0]}" for name, reason in run["red"].items())
        lines.append(f"| {number} | {'yes' if run['hogs'] else 'no'} | {run['claims']} | {red} | {run['seconds']} |")
    green = sum(not run["red"] for run in record["runs"])
    lines += [
        "",
        f"{green} of {len(record['runs'])} runs were green; {record['date']}, suite `{record['suite_hash']}`.",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Returns 1 when a run was not green."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--beside-hogs", type=int, default=20)
    parser.add_argument("--service", type=Path)
    given = parser.parse_args(arguments)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if record.get("suite_hash") != suite_hash():
        record = {"suite_hash": suite_hash(), "runs": []}
    with baseline(given.service, cache=False) as service:
        while len(record["runs"]) < given.runs:
            hogged = sum(run["hogs"] for run in record["runs"]) < given.beside_hogs and len(record["runs"]) % 2 == 1
            with hogs(2 if hogged else 0), TemporaryDirectory(prefix="evidence-") as evidence:
                run = {"hogs": hogged, **prove(service, Path(evidence))}
            record["runs"].append(run)
            record["date"] = time.strftime("%Y-%m-%d", time.gmtime())
            RECORD.write_text(json.dumps(record, indent=1) + "\n")
            PAGE.write_text(page(record))
            sys.stdout.write(f"{len(record['runs'])} of {given.runs}: {run}\n")
            sys.stdout.flush()
    return 1 if any(run["red"] for run in record["runs"]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
