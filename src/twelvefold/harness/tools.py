"""Git, builds and package managers, run without the settings of the service or of the person who proves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

INSTALL_SECONDS = 300
# What a build or an install may see of the environment of the person who proves.
TOOLS = ("HOME", "LANG", "PATH", "TMPDIR", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY")
TOOL_PREFIXES = ("UV_", "PIP_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DOCKER_", "GIT_CONFIG", "BUILDX_")
IDENTITY = ("-c", "user.name=twelvefold", "-c", "user.email=twelvefold@localhost", "-c", "commit.gpgsign=false")


class PreparationError(Exception):
    """No experiment can run: a text that says why."""


def tool_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a build or a package manager may see: where its caches and certificates are, and no setting of a service."""
    kept = {name: value for name, value in os.environ.items() if name in TOOLS or name.startswith(TOOL_PREFIXES)}
    kept.pop("UV_PROJECT_ENVIRONMENT", None)
    own = str(Path(sys.executable).parent)  # uv was installed beside this command
    kept["PATH"] = os.pathsep.join((own, kept.get("PATH", os.defpath)))
    return {**kept, **(extra or {})}


def git(folder: Path, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
    """Runs git in a folder; raises PreparationError when it fails."""
    done = subprocess.run(
        ["git", *IDENTITY, *arguments],
        cwd=folder,
        env=tool_environment({"GIT_CONFIG_NOSYSTEM": "1"}),
        input=stdin or "",
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if check and done.returncode:
        raise PreparationError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def run(words: Sequence[str], folder: Path, extra: Mapping[str, str]) -> None:
    """Runs a build or a package manager in a folder; raises PreparationError when it fails or does not end."""
    command = f"`{' '.join(words)}`"
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=tool_environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PreparationError(f"{command} did not end within {INSTALL_SECONDS} s") from None
    if done.returncode:
        raise PreparationError(f"{command} ended with {done.returncode}:\n{done.stdout.strip()}")
