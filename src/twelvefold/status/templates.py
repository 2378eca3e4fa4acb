"""Asks each template for its releases: once, however many services it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..update.git import GitError
from ..update.template import Version, last_line, place_of_tags, releases_in
from .git import Servers, TooSlow


@dataclass(frozen=True)
class Releases:
    """The releases that a template shows, or why it could not be asked."""

    versions: tuple[Version, ...] = ()
    error: str = ""

    @property
    def newest(self) -> Version | None:
        """The newest release, None where there is none."""
        return max(self.versions, key=lambda version: version.numbers or (0, 0, 0), default=None)

    def after(self, version: Version) -> int | None:
        """How many releases came after a version; None when that cannot be told."""
        if self.error or version.numbers is None:
            return None
        return len({one.numbers for one in self.versions if one.numbers is not None and one.numbers > version.numbers})


def releases_of(source: str, servers: Servers) -> Releases:
    """The releases of the template at an address, as services record it."""
    try:
        output = servers.ask(Path(), "ls-remote", "--quiet", "--tags", "--", place_of_tags(source))
    except TooSlow as error:
        return Releases(error=str(error))
    except (GitError, OSError, ValueError, RuntimeError) as error:
        return Releases(error=last_line(GitError(str(error))) if str(error).strip() else type(error).__name__)
    return Releases(tuple(releases_in(output)))
