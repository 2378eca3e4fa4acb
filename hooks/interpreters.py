"""Finds Python interpreters that run.

A version manager puts a `python3.13` on PATH for every version that it knows, and most of them only say that they are
switched off; uv stops at the first of those. So a name on PATH proves nothing: each candidate is asked for its version,
and the folders in which the managers keep the real interpreters are looked into as well.
"""

import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# In a virtual environment it names the interpreter behind it. One without the global lock wants other packages.
ASK = """
import sys, sysconfig
if not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print("%d.%d" % sys.version_info[:2], getattr(sys, "_base_executable", sys.executable))
"""
# Where pyenv, asdf, mise, uv and CI runners keep what they have installed, unless a variable says otherwise.
MANAGERS = {
    "PYENV_ROOT": ("~/.pyenv", "versions/{}*/bin/python"),
    "ASDF_DATA_DIR": ("~/.asdf", "installs/python/{}*/bin/python"),
    "MISE_DATA_DIR": ("~/.local/share/mise", "installs/python/{}*/bin/python"),
    "UV_PYTHON_INSTALL_DIR": ("~/.local/share/uv/python", "cpython-{}*/bin/python"),
    "RUNNER_TOOL_CACHE": ("/opt/hostedtoolcache", "Python/{}*/*/bin/python"),
}


def candidates(version: str) -> Iterator[Path]:
    """Yields everything that may be this version's interpreter, the likeliest first."""
    if chosen := os.environ.get("UV_PYTHON"):
        yield Path(chosen)
    folders = [Path(folder) for folder in os.get_exec_path() if folder]
    yield from (folder / f"python{version}" for folder in folders)
    for variable, (default, pattern) in MANAGERS.items():
        root = Path(os.environ.get(variable) or default).expanduser()
        yield from sorted(root.glob(pattern.format(version)), reverse=True)
    yield from (folder / name for name in ("python3", "python") for folder in folders)


@cache
def identify(candidate: Path) -> tuple[str, str] | None:
    """The version and the real path of an interpreter, or None when it doesn't run."""
    if not os.access(candidate, os.X_OK) or candidate.is_dir():
        return None
    try:
        done = subprocess.run([candidate, "-I", "-c", ASK], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeError):
        return None
    version, _, path = done.stdout.strip().partition(" ")
    return (version, path) if done.returncode == 0 and path else None


def find(version: str) -> str | None:
    """The path of an interpreter of this version ("3.13") that runs on this machine."""
    for candidate in candidates(version):
        found = identify(candidate)
        if found and found[0] == version:
            return found[1]
    return None


def fetch(uv: Path, version: str) -> str | None:
    """Lets uv fetch an interpreter; where there is no network this takes some seconds, not minutes."""
    limits = {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_TIMEOUT": "10"}
    command = [str(uv), "python", "install", "--quiet", "--no-bin", version]
    try:
        subprocess.run(command, env=limits | os.environ, capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return find(version)
