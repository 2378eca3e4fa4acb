"""Environments kept from one run to the next, for those who prove many services with the same packages.

To compile all packages takes longer than most experiments. Only who names a folder in TWELVEFOLD_STOCK has them kept;
what is taken from there is copied, and the installer then makes it what the lock says, as it does without.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

VARIABLE = "TWELVEFOLD_STOCK"


def take(source: Path, environment: Path) -> None:
    """Begins an environment with what is kept for this lock, if anything is."""
    kept = _place(source)
    if kept and kept.is_dir():
        shutil.copytree(kept, environment, symlinks=True)
        _rename(environment, kept)


def keep(source: Path, environment: Path) -> None:
    """Keeps an environment for the next run with this lock."""
    place = _place(source)
    if place and not place.exists():
        half = place.with_name(f"{place.name}.{os.getpid()}")
        shutil.copytree(environment, half, symlinks=True)
        _rename(half, environment, place)
        with suppress(OSError):  # another run was sooner
            half.rename(place)
        shutil.rmtree(half, ignore_errors=True)


def _place(source: Path) -> Path | None:
    folder, lock = os.environ.get(VARIABLE), source / "uv.lock"
    if not folder or not lock.is_file():
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    total = hashlib.sha256(lock.read_bytes())
    version = source / ".python-version"
    total.update((version.read_bytes() if version.is_file() else b"") + os.environ.get("UV_PYTHON", "").encode())
    return Path(folder, total.hexdigest()[:24])


def _rename(environment: Path, before: Path, now: Path | None = None) -> None:
    """Has the scripts of an environment start the interpreter of the place where it lies."""
    for script in (environment / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            data = script.read_bytes()
            changed = data.replace(str(before).encode(), str(now or environment).encode())
            if changed != data:
                script.write_bytes(changed)
