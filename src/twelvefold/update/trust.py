"""Remembers whose code may run on this machine: a person is asked once for each source."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from .git import Refusal, Stopped
from .rendering import at_a_terminal
from .template import without_password


def require_trust(source: str, commit: str, what: str, yes: bool) -> None:
    """Asks whether code of a source may run, unless that was answered before. Raises Refusal, Stopped by Ctrl-C."""
    path, shown, kept = _file(), without_password(source), _kept(source)
    # Whatever bytes a person has written there, they stay.
    trusted = path.read_text("utf-8", "surrogateescape").splitlines() if path.is_file() else []
    if yes or kept in trusted or source in trusted:
        return
    told = f"{what} runs code of {shown} at commit {commit[:12]}"
    if not at_a_terminal():
        raise Refusal(f"{told}: --yes trusts it.")
    import questionary

    question = questionary.confirm(f"{told}. Do you trust this source, now and later?", default=False)
    try:
        trusts = question.unsafe_ask()
    except KeyboardInterrupt:
        raise Stopped("Stopped; nothing was changed.") from None
    if not trusts:
        raise Refusal(f"Without trust no code of {shown} runs.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in [*trusted, kept]), "utf-8", "surrogateescape")


def _kept(source: str) -> str:
    """What stands for a source in the file: with a hash of what is not shown, as two sources may differ only there."""
    shown = without_password(source)
    hidden = sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return shown if shown == source else f"{shown} {hidden}"


def _file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "twelvefold" / "trusted"
