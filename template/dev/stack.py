"""What runs on a machine of a deploy, through `docker compose`: an image, and the services that are started from it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OVERRIDE = Path("compose.override.yaml")  # what this environment has otherwise, as for `docker compose up`
READY_SECONDS = 60
UNTIL_READY = ("--wait", "--wait-timeout", str(READY_SECONDS))
INSPECT = ("docker", "image", "inspect", "--")


class RefusedError(Exception):
    """What was asked for cannot be done: a sentence that says why, and how to mend it."""


class Stack:
    """The services of a compose.yaml, resolved with the configuration that is here now."""

    def __init__(self, artifact: str, *files: Path) -> None:
        self._environment = {**os.environ, "IMAGE": artifact}
        self._compose = ["docker", "compose", "--project-directory", "."]
        self._compose += [word for file in files for word in ("--file", str(file))]
        resolved = _told(*self._compose, "config", "--format", "json", env=self._environment)
        listed: dict[str, Any] = json.loads(resolved)["services"]
        services = {name: service for name, service in listed.items() if not service.get("profiles")}
        ours = {name: service for name, service in services.items() if service.get("image") == artifact}
        self.configuration = {name: service.get("environment") for name, service in ours.items()}
        self.processes = [name for name in ours if name != "release"]
        self.backing = [name for name in services if name not in ours]
        if "release" not in ours or not self.processes:
            raise RefusedError("In compose.yaml, `release` and the process types must have ${IMAGE} as their image.")
        self.needed = list(ours.get("release", {}).get("depends_on") or ())

    def compose(self, *arguments: str) -> int:
        """Runs `docker compose`, which has the terminal and its Ctrl-C; returns the exit code."""
        # Only where it is asked for do other services end: those of another release, while that one still runs.
        ignored = str("--remove-orphans" not in arguments)
        environment = {**self._environment, "COMPOSE_IGNORE_ORPHANS": ignored}
        process = subprocess.Popen([*self._compose, *arguments], env=environment)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, before)

    def attach(self, services: list[str], *options: str) -> int:
        """Starts backing services that do not run, and leaves those alone that do; returns the exit code."""
        return self.compose("up", "--detach", "--no-deps", "--no-recreate", *options, *services) if services else 0

    def start(self) -> int:
        """Starts the process types in place of those that run, and waits for them; returns the exit code."""
        options = ("--detach", "--no-deps", "--pull", "never", "--remove-orphans", *UNTIL_READY)
        return self.compose("up", *options, *self.processes)


@contextmanager
def stack(artifact: str, commit: str) -> Iterator[Stack]:
    """The services of an image, as its commit has them: a rollback runs the process types of then."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "compose.yaml")
        file.write_text(_told("git", "show", f"{commit}:./compose.yaml", mend="git fetch may bring that commit"))
        yield Stack(artifact, file, *([OVERRIDE] if OVERRIDE.exists() else []))


def image(reference: str, mend: str) -> tuple[str, str]:
    """The digest of an image, and the commit that it was built from; what a digest names is fetched."""
    if "@" in reference and subprocess.run((*INSPECT, reference), capture_output=True, check=False).returncode:
        _told("docker", "pull", "--quiet", "--", reference)
    about = json.loads(_told(*INSPECT, reference, mend=mend))[0]
    commit = (about["Config"].get("Labels") or {}).get("org.opencontainers.image.revision", "")
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise RefusedError(f"{reference} does not say of which commit it is: make build makes an image that does.")
    if "@" in reference:
        return reference, commit
    # What is in a registry has a digest by which every machine can fetch it.
    repository = re.sub(r":[\w.-]+\Z", "", reference)
    pushed = [name for name in about["RepoDigests"] or () if "/" in name and name.startswith(f"{repository}@")]
    return (pushed or [about["Id"]])[0], commit


def keep(artifact: str) -> None:
    """Gives a local image a name of its own, for a clean-up takes one that lost its name to a new build."""
    if "@" not in artifact and (names := json.loads(_told(*INSPECT, artifact))[0]["RepoTags"]):
        own = f"{names[0].rpartition(':')[0]}:{artifact.partition(':')[2][:12]}"
        _told("docker", "image", "tag", artifact, own)


def _told(*command: str, mend: str = "", env: dict[str, str] | None = None) -> str:
    """What a command prints; what it complains about becomes the refusal."""
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RefusedError(f"{command[0]} is not on this machine: install it.") from None
    if done.returncode:
        raise RefusedError(". ".join(filter(None, (done.stderr.strip().rstrip("."), mend))) + ".")
    return done.stdout
