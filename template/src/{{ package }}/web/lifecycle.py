"""Where a web process stands between its start and its end."""

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Draining: the process has been told to stop, still answers, and wants no new work."""

    draining: bool = False
