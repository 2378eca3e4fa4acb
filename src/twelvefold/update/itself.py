"""Says how a person starts this very command again, who may have it from a template's address only."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from .template import without_password


def undo_command() -> str:
    """`twelvefold undo`, with the address and the commit that this command was taken from, if it was."""
    taken = _taken_from()
    return f"{_uvx()} --from {shlex.quote(taken)} twelvefold undo" if taken else "twelvefold undo"


def _taken_from() -> str | None:
    """The repository that this command was installed from, for uv; installers record it beside the package."""
    from importlib.metadata import PackageNotFoundError, distribution  # which takes longer than many a command

    try:
        recorded = json.loads(distribution("twelvefold").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return None
    if (source := recorded.get("vcs_info")) is None:
        return None
    url = recorded["url"]
    # The name in an address of ssh is no secret, and belongs to it.
    shown = url if urlsplit(url).password is None and url.startswith("ssh:") else without_password(url)
    return f"{source['vcs']}+{shown}@{source['commit_id']}"


def _uvx() -> str:
    """The name of uvx, or its place where only a service's own folder has it: beside the uv that has started this."""
    uv = os.environ.get("UV")
    return shlex.quote(str(Path(uv).with_name("uvx"))) if uv and not shutil.which("uvx") else "uvx"
