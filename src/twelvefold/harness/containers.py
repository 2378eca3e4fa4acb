"""The same programs in containers of the service's image, on this machine's network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .claim import NotRun
from .processes import Handle
from .workspace import Workspace


class ImageDriver:
    """Runs programs in containers."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], folder: Path, prefix: Sequence[str] = ()
    ) -> Handle:
        """Starts a program in a container of its own."""
        raise NotRun("no container engine")

    def kill(self, handle: Handle) -> None:
        """Removes the container."""
        raise NotRun("no container engine")
