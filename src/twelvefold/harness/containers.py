"""The same programs in containers of the service's image, on this machine's network."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from . import tether
from .claim import HarnessError, NotRun
from .processes import Handle
from .tools import PreparationError
from .workspace import Workspace

LABEL = "twelvefold.run"
ENGINE_SECONDS = 60
PAUSE_SECONDS = 0.02
ENDED_SECONDS = 10  # within which the engine tells that a program has ended
UNKNOWN = -1  # instead of the number of a program that had ended before anybody could ask
REFUSED = 125  # the exit code of `docker run` when the engine did not start a container

# As a platform runs it: nothing to write to but what it is given, and no rights.
CONFINED = (
    *("--rm", "--pull", "never", "--network", "host", "--log-driver", "none", "--no-healthcheck"),
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
# Ends with the one that started it, however that ends, and takes the run's containers with it. The second look is for
# those that were just being started.
SWEEP = f"""
    trap '' INT TERM HUP
    read -r line
    for turn in 1 2; do
        docker ps --all --quiet --filter "label={LABEL}=$1" | xargs -r docker rm --force --volumes
        sleep 0.5
    done
"""


def resolved(image: str) -> str:
    """The digest of an image that the engine has; raises PreparationError without an engine or the image."""
    if not shutil.which("docker"):
        raise PreparationError("Proving an image needs the command `docker`: install it, or prove without IMAGE.")
    try:
        engine = _docker("version", "--format", "{{.Server.Os}} {{.Server.KernelVersion}}")
        found = _docker("image", "inspect", "--format", "{{.Id}}", image)
    except HarnessError as error:
        raise PreparationError(f"Proving an image needs a running container engine: {error}.") from None
    if engine.returncode:
        raise PreparationError(f"Proving an image needs a running container engine: {engine.stderr.strip()}")
    if engine.stdout.split() != ["linux", platform.release()]:
        raise PreparationError(
            "The container engine runs on another machine or in a virtual one, where containers cannot be observed:"
            " prove on Linux beside the engine, or without IMAGE."
        )
    if found.returncode:
        raise PreparationError(f"The container engine has no image {image}: build it with `make build`, or pull it.")
    return found.stdout.strip()


def remove_all(run: str) -> None:
    """Removes every container that a run has left."""
    if not shutil.which("docker"):
        return
    left = _docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={run}").stdout.split()
    if left:
        _docker("rm", "--force", "--volumes", *left)


def told(*words: str) -> str:
    """What `docker` answers; empty when it refuses."""
    done = _docker(*words)
    return "" if done.returncode else done.stdout.strip().removesuffix("<no value>")


def files(workspace: Workspace, wanted: Callable[[str], object]) -> Iterator[tuple[str, bytes]]:
    """The files of the image, as far as their paths are wanted, with what they hold."""
    created = told("create", "--label", f"{LABEL}={workspace.id}", "--entrypoint", "none", workspace.image)
    if not created:
        raise HarnessError("the engine makes no container of the image")
    words = ["docker", "export", created]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if member.isfile() and wanted(member.name) and (content := archive.extractfile(member)):
                yield member.name, content.read()
    _docker("rm", "--force", "--volumes", created)


@contextmanager
def swept(run: str) -> Iterator[None]:
    """Removes every container of a run when the context ends, and also when this process is killed before."""
    sweeper = subprocess.Popen(
        ["/bin/sh", "-c", SWEEP, "sweeper", run],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        remove_all(run)
        sweeper.kill()
        sweeper.wait()


class Container:
    """A program in a container of its own, as long as `docker run` is attached to it."""

    def __init__(self, name: str, client: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.stdout: Any = client.stdout
        self._client = client
        self._pid = UNKNOWN

    @property
    def pid(self) -> int:
        """The number of the program itself, as this machine counts."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """The exit code, as a shell tells it."""
        return self._client.returncode

    def wait_for_start(self) -> None:
        """Waits until the program runs, or has ended; raises HarnessError when the engine does not start it."""
        deadline = time.monotonic() + ENGINE_SECONDS
        while self._client.poll() is None:
            found = _docker("inspect", "--format", "{{.State.Pid}}", self.name).stdout.strip()
            if found.isdigit() and int(found):
                self._pid = int(found)
                return
            if time.monotonic() > deadline:
                raise HarnessError(f"the engine did not start a container within {ENGINE_SECONDS} s")
            time.sleep(PAUSE_SECONDS)
        if self._client.returncode == REFUSED:
            said = self.stdout.read().decode(errors="replace").strip()
            raise HarnessError(f"the engine starts no container: {said[-600:]}")

    def poll(self) -> int | None:
        """Looks whether it has ended: the engine tells that a little later than the machine does."""
        if self._pid != UNKNOWN and not Path(f"/proc/{self._pid}").exists():
            with suppress(subprocess.TimeoutExpired):
                self._client.wait(ENDED_SECONDS)
        return self._client.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; raises subprocess.TimeoutExpired."""
        return self._client.wait(timeout)

    def send_signal(self, sig: int) -> None:
        """Sends a signal to the program, the first of its container."""
        if self.poll() is None:
            _docker("kill", "--signal", str(int(sig)), self.name)

    def remove(self) -> None:
        """Kills everything in the container, and removes it."""
        if self.poll() is None:
            _docker("rm", "--force", "--volumes", self.name)


class ImageDriver:
    """Runs programs in containers."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], folder: Path, prefix: Sequence[str] = ()
    ) -> Handle:
        """Starts a program in a container of its own, which has the deploy's folder, the one above `folder`, as well.

        It starts where the image says. Raises NotRun where another program is to watch it.
        """
        if prefix:
            raise NotRun(f"{prefix[0]} cannot watch a program in a container: this is looked at without IMAGE")
        shared = folder.parent
        shared.chmod(0o777)  # the image's user is nobody that this machine knows
        name = f"{self._workspace.id}-{uuid4().hex[:12]}"
        words = [
            *("docker", "run", *CONFINED, "--name", name, "--label", f"{LABEL}={self._workspace.id}"),
            *("--volume", f"{shared}:{shared}"),
            *(word for variable, value in environment.items() for word in ("--env", f"{variable}={value}")),
            *("--entrypoint", argv[0], self._workspace.image, *argv[1:]),
        ]
        container = Container(name, tether.spawn(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        container.wait_for_start()
        return container

    def kill(self, handle: Handle) -> None:
        """Removes the container, with all that runs in it."""
        assert isinstance(handle, Container)
        handle.remove()


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs `docker` to its end; raises HarnessError when the engine does not answer."""
    try:
        return subprocess.run(
            ["docker", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ENGINE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HarnessError(f"the container engine did not answer `docker {words[0]}` in {ENGINE_SECONDS} s") from None
