"""What the project and its environment say: variables, process types, addresses."""

import errno
import os
import re
import shlex
import socket
import sys
from contextlib import suppress
from pathlib import Path

from dotenv import dotenv_values

from dev import postgres

DEFAULTS = {"HOST": "127.0.0.1", "PORT": "8000", "LOG_FORMAT": "console", "PYTHONUNBUFFERED": "1"}
STOP_MARGIN_SECONDS = 2  # beyond drain and grace, before the kill


class StartError(Exception):
    """What keeps the service from starting: a sentence that says how to mend it."""


def environment(root: Path) -> dict[str, str]:
    """The real environment, completed from `.env` and with what suits development."""
    try:
        file = dotenv_values(root / ".env", interpolate=False)
    except UnicodeDecodeError:
        raise StartError("The file .env is not UTF-8 text: write it as such.") from None
    env = {**{name: value for name, value in file.items() if value}, **os.environ}
    env |= {name: default for name, default in DEFAULTS.items() if given(env, name) is None}
    # The processes write to pipes: only here is it known whether a person reads.
    env.setdefault("FORCE_COLOR" if coloured() else "NO_COLOR", "1")
    env["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), env.get("PATH", os.defpath)))
    return env


def given(env: dict[str, str], name: str) -> str | None:
    """A variable's value from any of the places that the service reads; None when it has none."""
    if value := env.get(name):
        return value
    file = env.get(f"{name}_FILE")
    if not file and (folder := env.get("SECRETS_DIR")) and Path(folder, name).is_file():
        file = str(Path(folder, name))
    if not file:
        return None
    with suppress(OSError, UnicodeDecodeError):
        return Path(file).read_text().strip()
    return ""  # given, but unusable: the service itself says what is wrong


def stop_seconds(env: dict[str, str]) -> float:
    """How long the processes have to end."""
    drain, grace = given(env, "DRAIN_SECONDS") or 0, given(env, "GRACE_SECONDS") or 8
    with suppress(ValueError):
        return float(drain) + float(grace) + STOP_MARGIN_SECONDS
    return STOP_MARGIN_SECONDS


def process_types(root: Path) -> dict[str, list[str]]:
    """The argv of each process type in the Procfile."""
    file = root / "Procfile"
    if not file.exists():
        raise StartError(f"There is no {file}: run this in the folder of the project.")
    types = {}
    for line in file.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, command = line.partition(":")
            try:
                types[name.strip()] = shlex.split(command)
            except ValueError as error:
                raise StartError(f"Mend this line of the Procfile ({error}): {line}") from None
            if not types[name.strip()]:
                raise StartError(f"Write this line of the Procfile as `name: command`: {line}")
    return types


def check_port(env: dict[str, str]) -> None:
    """Raises StartError when another program has web's port, before all else is started in vain."""
    host, port = given(env, "HOST") or "", given(env, "PORT") or ""
    if port.isdecimal() and taken(host, int(port)):
        others = range(int(port) + 1, 65536)
        free = next((other for other in others if not taken(host, other)), 8000)
        raise StartError(f"Another program has port {port}: use another, `PORT={free} make dev`.")


def taken(host: str, port: int) -> bool:
    """Whether somebody listens on the port."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        return getattr(error, "errno", None) == errno.EADDRINUSE
    return False


def address(env: dict[str, str]) -> tuple[str, str]:
    """The host and port at which web can be asked from this machine."""
    host, port = given(env, "HOST") or "", given(env, "PORT") or ""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def places(env: dict[str, str], *, own_database: bool) -> dict[str, str]:
    """Where a person finds what runs; no password among it."""
    host, port = address(env)
    site = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    database = without_password(given(env, "DATABASE_URL") or "")
    if own_database:
        database += f"?passfile={postgres.PASSFILE}"
    return {"service": site, "its API": f"{site}/docs", "database": database, "to stop": "Ctrl-C"}


def without_password(url: str) -> str:
    """The URL without anything that may be secret."""
    parts = re.match(r"([\w+]+://)(?:([^:/@]*)(?::.*)?(@))?([^?]*)", url)
    return "".join(part or "" for part in parts.groups()) if parts else "as given"


def coloured() -> bool:
    """Whether a person reads the output, and wants colours."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()
