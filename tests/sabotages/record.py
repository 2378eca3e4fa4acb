"""Plants all sabotages, keeps what became of each, and writes the page that shows it.

    python -m tests.sabotages.record [--full | --alone] [--shard 1/4] [--at-once 3] [--service PATH] [WORD ...]

What is kept for the sabotage and the suite as they are is not tried again: an interrupted run goes on where it was.
`--full` asks every claim, `--alone` only the one that is meant, and otherwise its neighbours are asked too. Words
select sabotages by their name.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import twelvefold
from twelvefold.harness.stock import VARIABLE as STOCK
from twelvefold.prove import suite_hash
from twelvefold.results import FACTORS
from twelvefold.sabotages import FILE as COUNTS

from .. import copies
from . import RED, Caught, Sabotage, all_sabotages, try_one, verdicts

RECORD = Path(__file__).with_name("record.json")
PAGE = copies.ROOT / "docs/sabotages.md"
PLACE = re.compile(r"(?:/[\w.+-]+)+/(?=[\w.+-])")  # where a file lies on this machine

INTRODUCTION = """\
Made by `nox -s sabotage`; not to be edited. Each row is a small change to a healthy service, made alone. The claim that
it is meant for must turn red, and no other of those that were asked: its neighbours, which are claims on the same
process type or resource, or all claims. *Red too* are claims that it breaks rightly as well."""

Record = dict[str, dict[str, Any]]


ASKED = ALONE, NEIGHBOURS, ALL = range(3)
SUITE = Path(twelvefold.__file__).parent
FACTORS_IN_ORDER = {factor: number for number, factor in enumerate(FACTORS, 1)}


def key(sabotage: Sabotage, asked: int) -> str:
    """Changes with the sabotage, with the claims that are asked, and with the code that these can run."""
    claims = asked_claims(sabotage, asked)
    total = hashlib.sha256(f"{sabotage}{sorted(claims)}".encode())
    for path in _code_of(frozenset(FACTORS_IN_ORDER[claim.partition(".")[0]] for claim in claims)):
        total.update(path.relative_to(SUITE).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def asked_claims(sabotage: Sabotage, asked: int) -> list[str]:
    """Its own claim, its neighbours too, or all claims."""
    if asked == ALL:
        return sorted({claim for one in all_sabotages() for claim in (one.claim, *one.neighbours)})
    return [sabotage.claim] if asked == ALONE else [sabotage.claim, *sabotage.neighbours]


@cache
def _code_of(factors: frozenset[int]) -> list[Path]:
    """The files that these factors' claims can run: theirs, the plugin, what goes into the service, and imports."""
    claims, harness = SUITE / "claims", SUITE / "harness"
    others = [path for path in claims.rglob("*.py") if not path.name.startswith("factor_")]
    own = [path for number in factors for path in claims.glob(f"factor_{number:02}_*.py")]
    found: set[Path] = set()
    left = {*own, *others, harness / "plugin.py", *(harness / "inside").glob("*.py")}
    while left:
        found |= left
        left = {imported for path in left for imported in _imports(path) if harness in imported.parents} - found
    return sorted(found)


@cache
def _imports(path: Path) -> list[Path]:
    """The files of this package that a file of it imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            found += [place.with_suffix(".py"), *(place / f"{alias.name}.py" for alias in node.names)]
    return [file for file in found if file.is_file()]


def load() -> Record:
    """What is kept, by the name of the sabotage."""
    found: Record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    known = {sabotage.id for sabotage in all_sabotages()}
    return {name: entry for name, entry in found.items() if name in known}


def entry_of(caught: Caught, seconds: float, asked: int) -> dict[str, Any]:
    """What is kept of one."""
    return {
        "key": key(caught.sabotage, asked),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "caught": not caught.problem,
        "problem": PLACE.sub("", caught.problem),
        "asked": "all" if asked == ALL else sorted(caught.found),
        "red": sorted(caught.red),
        "seconds": round(seconds, 1),
    }


def keep(name: str, entry: dict[str, Any]) -> Record:
    """Adds an entry to what is kept, to which other shards add too; returns all of it."""
    with RECORD.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = load() | {name: entry}
        save(record)
    return record


def save(record: Record) -> None:
    """Writes the record, the counts that the scorecard shows, and the page."""
    ordered = {sabotage.id: record[sabotage.id] for sabotage in all_sabotages() if sabotage.id in record}
    RECORD.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    counts: dict[str, int] = {}
    for sabotage in all_sabotages():
        counts[sabotage.claim] = counts.get(sabotage.claim, 0) + bool(ordered.get(sabotage.id, {}).get("caught"))
    newest = max((entry["date"] for entry in ordered.values()), default="")
    # Without a hash the scorecard says that they were planted for another state of the suite.
    state = suite_hash() if _fresh(ordered) == len(all_sabotages()) else ""
    COUNTS.write_text(json.dumps({"date": newest, "suite_hash": state, "caught": counts}, indent=1) + "\n")
    PAGE.write_text(page(ordered))


def _fresh(record: Record) -> int:
    """How many were tried on the experiments as they are."""
    return sum(record.get(one.id, {}).get("key") in _good_keys(one, ALONE) for one in all_sabotages())


def page(record: Record) -> str:
    """The page for people."""
    planted = all_sabotages()
    caught = sum(bool(record.get(sabotage.id, {}).get("caught")) for sabotage in planted)
    full = sum(record.get(sabotage.id, {}).get("asked") == "all" for sabotage in planted)
    fresh = _fresh(record)
    lines = [
        "# Sabotages",
        "",
        INTRODUCTION,
        "",
        f"{caught} of {len(planted)} are caught by the claim that they are meant for, and by no unrelated one."
        + (f" For {full} of them all claims were asked." if full else " All claims at once were asked for none yet.")
        + (f" {fresh} were tried on the experiments as they are, the others before." if fresh < len(planted) else ""),
    ]
    for factor, title in FACTORS.items():
        own = [sabotage for sabotage in planted if sabotage.claim.partition(".")[0] == factor]
        if own:
            lines += ["", f"## {factor} {title}", "", "| Claim | What was done | Caught | Asked | Red too | Date |"]
            lines += ["| --- | --- | --- | --- | --- | --- |", *(_row(sabotage, record) for sabotage in own)]
    return "\n".join(lines) + "\n"


def _row(sabotage: Sabotage, record: Record) -> str:
    entry = record.get(sabotage.id)
    if entry is None:
        return f"| {sabotage.claim} | {sabotage.name} | not tried | | | |"
    asked = "all" if entry["asked"] == "all" else ", ".join(one for one in entry["asked"] if one != sabotage.claim)
    others = ", ".join(one for one in entry["red"] if one != sabotage.claim)
    result = "yes" if entry["caught"] else "**no**"
    return f"| {sabotage.claim} | {sabotage.name} | {result} | {asked} | {others} | {entry['date']} |"


@contextmanager
def baseline(service: Path | None, *, cache: bool = True) -> Iterator[Path]:
    """A healthy service, by default with all that can be sabotaged: a cache too."""
    with TemporaryDirectory(prefix="baseline-") as folder:
        # All sabotaged services have the same packages.
        os.environ[STOCK] = str(Path(folder, "stock"))
        if service:
            yield service.resolve()
            return
        template = copies.clone_work_tree(Path(folder, "twelvefold"))
        made = copies.generate_committed(template, Path(folder, "orders"), cache=cache, python=copies.default_python())
        copies.make(made, "setup")
        copies.commit(made, "Lock the packages")
        yield made


def check_baseline(service: Path, claims: Iterable[str]) -> None:
    """Nothing that is to turn red may be red already, or not run at all."""
    with TemporaryDirectory(prefix="evidence-") as folder:
        found = verdicts(service, sorted(set(claims)), Path(folder))
    assert not (red := [one for one, entry in found.items() if entry["verdict"] in RED]), (
        f"red before any sabotage: {red}"
    )


def chosen(words: list[str], shard: str) -> list[Sabotage]:
    """The sabotages whose name has one of the words, and of these the given part, as in 1/4."""
    part, _, parts = shard.partition("/")
    named = [one for one in all_sabotages() if not words or any(word in one.id for word in words)]
    turn: dict[str, int] = {}
    for one in named:
        turn[one.id] = sum(other.claim == one.claim for other in named[: named.index(one)])
    named.sort(key=lambda one: turn[one.id])  # one for each claim first
    return [one for number, one in enumerate(named) if number % int(parts) == int(part) - 1]


def main(arguments: list[str]) -> int:
    """Returns 1 when one was not caught, or turned red what it should not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--full", dest="asked", action="store_const", const=ALL, default=NEIGHBOURS)
    parser.add_argument("--alone", dest="asked", action="store_const", const=ALONE)
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--service", type=Path)
    given = parser.parse_args(arguments)

    record = load()
    wanted = chosen(given.words, given.shard)
    left = [one for one in wanted if record.get(one.id, {}).get("key") not in _good_keys(one, given.asked)]
    left.sort(key=lambda one: one.id in record)  # what was never tried comes first
    sys.stdout.write(f"{len(wanted) - len(left)} of {len(wanted)} are known already\n")
    if left:
        with baseline(given.service) as service, ThreadPoolExecutor(given.at_once) as pool:
            trying = [pool.submit(_timed, one, service, given.asked) for one in left]
            healthy = pool.submit(
                check_baseline, service, [claim for one in left for claim in (one.claim, *one.neighbours)]
            )
            for done in as_completed(trying):
                caught, seconds = done.result()
                record = keep(caught.sabotage.id, entry_of(caught, seconds, given.asked))
                told = caught.problem or caught.reasons[caught.sabotage.claim].splitlines()[0]
                sys.stdout.write(f"{'NOT CAUGHT' if caught.problem else 'caught'}  {caught.sabotage.id}: {told}\n")
                sys.stdout.flush()
            healthy.result()
    save(record)
    return 1 if any(not record[one.id]["caught"] for one in wanted) else 0


def _good_keys(sabotage: Sabotage, asked: int) -> set[str]:
    """What the record may hold for it: to have asked more claims is good as well."""
    return {key(sabotage, more) for more in range(asked, ALL + 1)}


def _timed(sabotage: Sabotage, service: Path, asked: int) -> tuple[Caught, float]:
    began = time.monotonic()
    return try_one(sabotage, service, asked_claims(sabotage, asked)), time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
