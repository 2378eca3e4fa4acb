"""What a service's build makes, and the stack of its compose.yaml: asked from outside, through the engine."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

from .. import copies
from .daemon import Engine


@dataclass(frozen=True)
class Image:
    """What `make build` made in the folder `source`."""

    engine: Engine
    source: Path
    name: str

    @classmethod
    def build(cls, engine: Engine, source: Path) -> "Image":
        """Builds with none of this process's variables but those that find the engine."""
        image = cls(engine, source, f"twelvefold-{token_hex(4)}")
        finds_engine = {
            name: value for name, value in engine.environment.items() if name.startswith(("DOCKER", "PATH"))
        }
        copies.run(
            *("make", "build", f"IMAGE={image.name}", f"BUILD_ARGS={' '.join(engine.build_arguments)}"),
            cwd=source,
            env=copies.service_environment(None) | finds_engine,
        )
        return image

    @cached_property
    def commit(self) -> str:
        """The commit that is checked out in the folder."""
        return copies.git(self.source, "rev-parse", "HEAD").strip()

    def about(self) -> dict[str, Any]:
        """What the engine knows of the image."""
        about: dict[str, Any] = json.loads(self.engine.docker("image", "inspect", self.name).stdout)[0]
        return about

    def run(self, *command: str, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """Runs a command of the image in a container that is gone afterwards."""
        return self.engine.docker("run", "--rm", *options, self.name, *command, check=False)

    def remove(self) -> None:
        """Removes it from the engine."""
        self.engine.docker("image", "rm", "--force", self.name, f"{self.name}:{self.commit}", check=False)


def unpacked(engine: Engine, image: str, folder: Path) -> Path:
    """The file system of an image, in a folder below `folder`."""
    root = folder / "root"
    root.mkdir(parents=True)
    container = engine.docker("create", image).stdout.split()[-1]  # after what the engine warns of
    try:
        engine.docker("export", "--output", folder / "root.tar", container)
    finally:
        engine.docker("rm", container)
    copies.run("tar", "--extract", "--file", "root.tar", "--directory", "root", cwd=folder)
    return root


@dataclass(frozen=True)
class Stack:
    """The stack of a service's compose.yaml, with a name, a port and a password of its own."""

    image: Image
    port: int
    password: str = field(default_factory=lambda: token_hex(16))

    @classmethod
    def of(cls, image: Image) -> "Stack":
        """A stack that has not been started."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            return cls(image, free.getsockname()[1])

    def compose(self, *arguments: str) -> str:
        """Runs `docker compose` for this stack, and returns what it printed."""
        given = {"IMAGE": self.image.name, "POSTGRES_PASSWORD": self.password, "PORT": str(self.port)}
        return copies.run(
            *("docker", "compose", "--project-name", self.image.name, *arguments),
            cwd=self.image.source,
            env={**self.image.engine.environment, **given},
        )

    def up(self) -> None:
        """Starts it and waits until it is healthy; a failure shows what its processes logged."""
        try:
            self.compose("up", "--wait", "--wait-timeout", "90")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.compose('logs', '--no-color')}") from None

    def container(self, service: str) -> dict[str, Any]:
        """What the engine knows of the container of a service."""
        identifier = self.compose("ps", "--all", "--quiet", service).strip()
        container: dict[str, Any] = json.loads(self.image.engine.docker("inspect", identifier).stdout)[0]
        return container

    def sql(self, statement: str) -> str:
        """Asks the database, inside its container."""
        psql = ("psql", "--username=app", "--dbname=app", "--no-psqlrc", "--tuples-only", "--no-align")
        return self.compose("exec", "-T", "postgres", *psql, "--command", statement).strip()

    def ask(self, path: str, sent: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Asks web over HTTP: a GET, or a POST where something is sent."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(sent).encode() if sent else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
