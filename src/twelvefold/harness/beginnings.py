"""When a process has begun that tells nothing of itself."""

from __future__ import annotations

import time

from .deploy import STARTED_SECONDS, Deploy
from .processes import READY_SECONDS, Process, eventually
from .sockets import connections


def wait_until_begun(deploy: Deploy, process: Process) -> None:
    """Waits until a process answers on its port, whatever it answers, or speaks to its database, or has ended.

    Where it does neither, some time is enough.
    """
    web = deploy.contract.web
    path = (web.live or web.ready or "/") if web else "/"

    def begun() -> bool:
        if time.monotonic() - process.started > (READY_SECONDS if deploy.database else STARTED_SECONDS):
            return True
        heard = process.status(path, timeout=2) != 0 if process.port else bool(connections(process.family()))
        return heard or not process.alive

    eventually(begun, f"{process.type} to begin", 2 * READY_SECONDS)
