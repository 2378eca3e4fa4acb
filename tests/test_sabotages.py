"""Sabotages: none is listed wrongly, each claim has two, and as many as there is time for are planted.

`nox -s sabotage` plants all of them. Here those come first that the record does not know as they are now, and then the
others, both in rotation by the clock. Only the claim that is meant is asked here.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from twelvefold.harness.stock import VARIABLE as STOCK
from twelvefold.prove import CLAIMS

from . import copies
from .sabotages import Caught, Sabotage, all_sabotages, try_one
from .sabotages.record import ASKED, baseline, key, load

SECONDS = float(os.environ.get("SABOTAGE_SECONDS", "40"))
TURN_SECONDS = 6 * 60 * 60
PER_TURN = 2  # about as many as fit into the time here


@pytest.fixture(scope="module")
def healthy() -> Iterator[Path]:
    before = os.environ.get(STOCK)
    with baseline(None) as service:
        yield service
    os.environ.pop(STOCK) if before is None else os.environ.update({STOCK: before})


def in_turn() -> list[Sabotage]:
    """All sabotages: first what is new or was changed, then the others, each from where this turn begins."""
    record, planted = load(), all_sabotages()
    known = [one for one in planted if record.get(one.id, {}).get("key") in {key(one, asked) for asked in ASKED}]
    return _turned([one for one in planted if one not in known]) + _turned(known)


def _turned(some: list[Sabotage]) -> list[Sabotage]:
    first = int(time.time()) // TURN_SECONDS * PER_TURN % max(1, len(some))
    return some[first:] + some[:first]


def test_each_claim_has_two_sabotages_and_each_sabotage_a_name_of_its_own() -> None:
    texts = [path.read_text() for path in CLAIMS.glob("factor_*.py")]
    claims = {line.strip().strip('",') for text in texts for line in text.splitlines() if line.startswith('    "')}
    claims = {name for name in claims if name.partition(".")[2].isdigit()}
    planted = Counter(sabotage.claim for sabotage in all_sabotages())
    assert len(claims) >= 50
    assert {claim: planted[claim] for claim in claims if planted[claim] < 2} == {}
    assert len({sabotage.id for sabotage in all_sabotages()}) == planted.total()
    assert all(sabotage.edits for sabotage in all_sabotages())


def test_every_sabotage_fits_a_new_service(healthy: Path, tmp_path: Path) -> None:
    wrong = {}
    for number, sabotage in enumerate(all_sabotages()):
        service = tmp_path / str(number)
        copies.git(tmp_path, "clone", "--quiet", "--local", healthy, service)
        try:
            for edit in sabotage.edits:
                edit.apply(service)
        except AssertionError as error:
            wrong[sabotage.id] = str(error)
    assert wrong == {}


@pytest.mark.alone
def test_sabotages_are_caught(healthy: Path) -> None:
    began, tried = time.monotonic(), list[Caught]()
    for sabotage in in_turn():
        if tried and time.monotonic() - began > SECONDS:
            break
        tried.append(try_one(sabotage, healthy, [sabotage.claim]))
    assert {caught.sabotage.id: caught.problem for caught in tried if caught.problem} == {}
