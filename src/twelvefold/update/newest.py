"""Lets the template's newest release do the update, since it knows best how to come to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uv

from .service import Repository, read_answers
from .template import Version, address, released, without_password
from .trust import require_trust


def become_newest(repository: Repository, arguments: Sequence[str], *, yes: bool) -> None:
    """Becomes the newest release's command, with the same arguments, unless the service has that release.

    Its address and commit are shown, and a person is asked once for each address. Raises Refusal.
    """
    answers = read_answers(repository)
    source, has = str(answers["_src_path"]), Version("", str(answers["_commit"]))
    newest = released(source)
    if newest is None or newest.numbers is None or newest.numbers <= (has.numbers or (0, 0, 0)):
        return
    shown = without_password(source)
    sys.stderr.write(f"The newest release is {newest.name}, commit {newest.commit[:12]} of {shown}\n")
    require_trust(source, newest.commit, "Its update", yes)
    command = [os.environ.get("UV") or uv.find_uv_bin(), "tool", "run", "--quiet", "--from", _package(source, newest)]
    sys.stderr.flush()
    os.execv(command[0], [*command, "twelvefold", *(one for one in arguments if one != "--as-released")])


def _package(source: str, version: Version) -> str:
    """The address of a version for uv."""
    url = address(source)
    local = Path(url).expanduser()
    if local.is_dir():
        url = local.resolve().as_uri()
    elif "://" not in url:
        url = f"ssh://{url.replace(':', '/', 1)}"
    return f"git+{url}@{version.commit}"
