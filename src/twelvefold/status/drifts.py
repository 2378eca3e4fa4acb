"""Asks for the drift of each service, by `twelvefold drift`; one that is on a server is cloned for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from ..update.git import GitError, Refusal
from ..update.template import last_line
from .fleet import Fleet, Told
from .git import Servers
from .places import Place
from .standing import Drift, Recorded, recorded

DriftOf = Callable[[Path], Any]  # what it returns has edited, missing, behind and waived, as numbers or lists


@dataclass(frozen=True)
class Drifted:
    """The drift of a service, or why it cannot be told."""

    drift: Drift | None = None
    error: str = ""


def drifts(fleet: Fleet, scratch: Path, servers: Servers, drift_of: DriftOf, told: Told) -> dict[Place, Drifted]:
    """The drift of every service whose template answers, one after the other: Copier renders in one thread only."""
    drifted = {}
    with _giving_up_after(servers.seconds):
        for place, one in fleet.found.items():
            has = recorded(one.answers)
            if not one.unreachable and isinstance(has, Recorded) and not fleet.releases[has.source].error:
                drifted[place] = _drift(place, scratch / "drift", servers, drift_of)
            told(place)
    return drifted


@contextmanager
def _giving_up_after(seconds: float) -> Iterator[None]:
    """Lets git give up on a web server that falls silent while it sends a template, which is read by `drift_of`."""
    before = dict(os.environ)
    os.environ.update(GIT_HTTP_LOW_SPEED_LIMIT="1", GIT_HTTP_LOW_SPEED_TIME=str(ceil(seconds)))
    try:
        yield
    finally:
        for name in ("GIT_HTTP_LOW_SPEED_LIMIT", "GIT_HTTP_LOW_SPEED_TIME"):
            os.environ.pop(name)
        os.environ.update(before)


def _drift(place: Place, clone: Path, servers: Servers, drift_of: DriftOf) -> Drifted:
    try:
        if place.folder is None:
            servers.ask(Path(), "clone", "--quiet", "--depth=1", "--", place.url, str(clone))
        seen = drift_of(place.folder or clone / place.inside)
        return Drifted(Drift(*(_count(getattr(seen, kind)) for kind in ("edited", "missing", "behind", "waived"))))
    except GitError as error:
        return Drifted(error=last_line(error))
    except (Refusal, OSError) as error:
        return Drifted(error=str(error))
    except Exception as error:  # one odd service must not cost the table of all the others
        return Drifted(error=f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(clone, ignore_errors=True)


def _count(files: Any) -> int:
    return files if isinstance(files, int) else len(files)
