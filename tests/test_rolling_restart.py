"""A service of two web processes, behind a balancer, and two workers is restarted under load, and loses nothing.

`nox -s bench -- --only rolling` does the same for longer, and tells how long the answers took.
"""

from itertools import cycle, islice
from pathlib import Path

import pytest

from bench import rolling
from bench.processes import CORES
from bench.service import attached

from . import copies

pytestmark = pytest.mark.alone

STEADY_SECONDS, WINDOW_SECONDS, RESTARTS = 2, 20, 6
REQUESTS = rolling.RATE * (rolling.WARM_SECONDS + STEADY_SECONDS + WINDOW_SECONDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rolling") / "run"


@pytest.fixture(scope="module")
def outcome(default_service: Path, folder: Path) -> rolling.Outcome:
    with attached(default_service, folder, CORES) as service:
        return rolling.run(service, STEADY_SECONDS, WINDOW_SECONDS, RESTARTS)


def test_every_request_is_answered_as_it_should(outcome: rolling.Outcome) -> None:
    assert outcome.failures == []
    assert len(outcome.sent) == REQUESTS


def test_every_job_has_its_effect_once(outcome: rolling.Outcome) -> None:
    assert outcome.lost_jobs == 0
    assert outcome.jobs == REQUESTS // 2 + 1


def test_every_process_ends_as_it_should(outcome: rolling.Outcome) -> None:
    assert [restart.process for restart in outcome.restarts] == list(islice(cycle(rolling.PLACES), RESTARTS))
    assert outcome.codes == {0}


@pytest.mark.usefixtures("outcome")
def test_nothing_is_left_behind(folder: Path) -> None:
    assert copies.running_below(folder) == []
    assert [path.name for path in folder.iterdir()] == ["postgres"]  # what its server leaves: a log and a lock
