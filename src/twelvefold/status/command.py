"""The command `twelvefold status`, from its arguments to what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ..update.ending import ending_as_by_an_interrupt
from ..update.git import Refusal, require_git
from .document import document
from .drifts import Drifted, DriftOf, drifts
from .fleet import Fleet, Told, look_at
from .git import Servers
from .places import Place, read_places
from .standing import Standing, judge, sorted_by_care
from .table import write

AT_ONCE, SECONDS = 16, 30.0
LONGEST_SECONDS = 86_400  # what the system can wait for has an end


@dataclass(frozen=True)
class Options:
    """What a person may say: `seconds` is how long a server may take for one answer."""

    lists: Sequence[Path] = field(default_factory=tuple)
    drift: bool = False
    at_once: int = AT_ONCE
    seconds: float = SECONDS
    as_json: bool = False


def status(texts: Sequence[str], options: Options) -> int:
    """Says where services stand; returns 0 when all is well, 1 when one needs care, 2 when nothing was looked at."""
    try:
        with ending_as_by_an_interrupt():
            return _status(texts, options)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130


def _status(texts: Sequence[str], options: Options) -> int:
    if options.at_once < 1 or not options.seconds > 0:
        raise Refusal("--at-once and --timeout are numbers above zero.")
    require_git()
    places = read_places(texts, options.lists)
    drift_of = _drift_of() if options.drift else None
    with TemporaryDirectory(prefix="twelvefold-status-", ignore_cleanup_errors=True) as scratch:
        fleet, drifted = _look(places, Path(scratch).resolve(), options, drift_of)
    now = datetime.now(UTC)
    standings = sorted_by_care([_standing(place, fleet, drifted) for place in places], now)
    if options.as_json:
        sys.stdout.write(json.dumps(document(standings, fleet.releases, now), indent=2, ensure_ascii=False) + "\n")
    else:
        write(standings, now, sys.stdout)
    return int(any(standing.needs_care for standing in standings))


def _look(
    places: Sequence[Place], scratch: Path, options: Options, drift_of: DriftOf | None
) -> tuple[Fleet, dict[Place, Drifted]]:
    servers = Servers(min(options.seconds, LONGEST_SECONDS))
    steps = len(places) * (2 if drift_of else 1)
    with _progress(steps) as told:
        fleet = look_at(places, scratch, servers, options.at_once, told)
        drifted = drifts(fleet, scratch, servers, drift_of, told) if drift_of else {}
    return fleet, drifted


def _standing(place: Place, fleet: Fleet, drifted: dict[Place, Drifted]) -> Standing:
    one = drifted.get(place, Drifted())
    return judge(place, fleet.found[place], fleet.releases, one.drift, one.error)


def _drift_of() -> DriftOf:
    """What tells a service's drift; it brings Copier along, which takes long to import."""
    from ..drift import drift

    return drift


@contextmanager
def _progress(steps: int) -> Iterator[Told]:
    """Shows how far it is on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda place: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ..progress import console_for

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console_for(sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=steps)
        yield lambda place: progress.update(task, advance=1, description=place.name)
