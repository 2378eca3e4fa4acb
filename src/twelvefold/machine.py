"""On what the experiments ran: the hardware, and the versions of what took part."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

from .harness.postgres import MAJOR
from .harness.workspace import Workspace

PROGRAMS = ("git", "uv", "strace")


def machine(made: Workspace) -> dict[str, str]:
    """Hardware and versions, by name; what there is not is not named."""
    in_containers = made.driver == "image"
    programs = {name: _version(name) for name in (*PROGRAMS, *(["docker"] if in_containers else []))}
    found = {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "python": platform.python_version(),
        "python of the service": "" if in_containers else _version(str(made.environment / "bin" / "python")),
        "postgresql": str(MAJOR) if made.contract.resource("postgres") else "",
        **programs,
    }
    return {name: value for name, value in found.items() if value}


def _version(program: str) -> str:
    """What a program says of its version, such as `2.39.5`; empty where it says nothing."""
    with suppress(OSError, IndexError):
        done = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = done.stdout.decode(errors="replace").splitlines()[0].split()
        return next((word.rstrip(",") for word in said if word[:1].isdigit()), "")
    return ""


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
