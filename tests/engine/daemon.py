"""A private Docker engine: its programs are unpacked, not installed, and it lives in one folder."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Debian 13's engine is current, and runs on Debian 12 too.
SUITE = "trixie"
PACKAGES = ("docker.io", "docker-cli", "containerd", "docker-buildx", "docker-compose")
# What is not unpacked with it: programs that start a container and set up its name resolution.
INSTALLED = ("runc", "iptables")
START_SECONDS = 30
STOP_SECONDS = 30

# The engines that this process started, by folder.
_started: dict[Path, subprocess.Popen[bytes]] = {}


class NoEngine(Exception):
    """No engine can be had here; the text says why, and what to install."""


@dataclass(frozen=True)
class Engine:
    """A running engine, reached through the variables in `environment`; a private one can pull no image."""

    environment: Mapping[str, str]
    private: bool

    @property
    def build_arguments(self) -> list[str]:
        """What `docker build` needs here: a private engine has no network of its own that leads to the packages."""
        return ["--network", "host"] if self.private else []

    def docker(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs `docker` and keeps what it prints. A failure is an AssertionError, unless `check=False`."""
        return _run("docker", *arguments, env=self.environment, **options)


def usable(engine: Engine) -> bool:
    """Whether the engine answers, and has buildx and compose."""
    asked = (["info"], ["buildx", "version"], ["compose", "version"])
    return bool(shutil.which("docker", path=engine.environment["PATH"])) and all(
        engine.docker(*question, check=False).returncode == 0 for question in asked
    )


def start(folder: Path, programs: Path, *, with_parent: bool = False) -> Engine:
    """Starts an engine whose state is below `folder`, unless it runs already.

    With `with_parent` it ends with this process, however that ends.
    """
    engine = Engine(_environment(folder, programs), private=True)
    if (folder / "run/docker.sock").exists() and usable(engine):
        return engine
    _unpack(programs)
    for name in ("run", "data", "config"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    plugins = folder / "config/cli-plugins"
    if not plugins.is_symlink():
        plugins.symlink_to(programs / "usr/libexec/docker/cli-plugins")
    _iptables("--insert", *_bridged(folder))
    command = [
        *(["setpriv", "--pdeathsig", "TERM"] if with_parent else []),
        "dockerd",
        f"--host=unix://{folder}/run/docker.sock",
        f"--pidfile={folder}/run/dockerd.pid",
        f"--exec-root={folder}/run/exec",
        f"--data-root={folder}/data",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        # A group of their own would get as much of a busy processor as one process does, for all containers together.
        "--cgroup-parent=/",
        # It touches nothing of the machine's network: compose makes the networks that it needs, and removes them.
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
    ]
    with (folder / "dockerd.log").open("ab") as log:
        process = _started[folder] = subprocess.Popen(
            command,
            env=engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop it in order
        )
    deadline = time.monotonic() + START_SECONDS
    while not usable(engine):
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / "dockerd.log").read_text().strip().splitlines()
            stop(folder, programs)
            raise NoEngine(f"dockerd does not start: {said[-1] if said else 'it says nothing'}")
        time.sleep(0.1)
    return engine


def stop(folder: Path, programs: Path) -> None:
    """Stops the engine of `folder` and removes its containers, networks and volumes; the folder itself stays."""
    engine = Engine(_environment(folder, programs), private=True)
    if (folder / "run/dockerd.pid").exists() and usable(engine):
        for listed, removal in (
            (("ps", "--all", "--quiet"), ("rm", "--force", "--volumes")),
            (("network", "ls", "--quiet", "--filter", "type=custom"), ("network", "rm")),
            (("volume", "ls", "--quiet"), ("volume", "rm", "--force")),
        ):
            if found := engine.docker(*listed).stdout.split():
                engine.docker(*removal, *found, check=False)
    _end(folder)
    _iptables("--delete", *_bridged(folder))
    for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
        if (point := mount.split(" ")[1]).startswith(f"{folder}/"):
            _run("umount", "--lazy", point, check=False)


def _end(folder: Path) -> None:
    if process := _started.pop(folder, None):
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    elif (pid_file := folder / "run/dockerd.pid").exists():
        with suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while pid_file.exists() and time.monotonic() < deadline:
                time.sleep(0.1)


def _environment(folder: Path, programs: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DOCKER_HOST": f"unix://{folder}/run/docker.sock",
        "DOCKER_CONFIG": str(folder / "config"),
        "PATH": os.pathsep.join((str(programs / "usr/bin"), str(programs / "usr/sbin"), os.environ["PATH"])),
    }


def _unpack(programs: Path) -> None:
    if os.geteuid() != 0:
        raise NoEngine("install Docker with buildx and compose, or run the tests as root on Debian")
    if not shutil.which("apt-get"):
        raise NoEngine("install Docker with buildx and compose; a private engine is for Debian only")
    if missing := [program for program in INSTALLED if not shutil.which(program)]:
        raise NoEngine(f"install Docker with buildx and compose, or for a private engine {' and '.join(missing)}")
    programs.parent.mkdir(parents=True, exist_ok=True)
    # Whoever comes second waits, and finds the programs there.
    with _locked(programs.parent), tempfile.TemporaryDirectory(prefix="engine-", dir=programs.parent) as work:
        if programs.exists():
            return
        _download(Path(work))
        for package in Path(work).glob("*.deb"):
            _run("dpkg-deb", "--extract", package, Path(work, "unpacked"))
        Path(work, "unpacked").rename(programs)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _download(work: Path) -> None:
    sources = work / "next.sources"
    sources.write_text(
        f"Types: deb\nURIs: {_mirror()}\nSuites: {SUITE}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    for name in ("lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]
    for step in (["update"], ["download", *PACKAGES]):
        done = _run(*apt, *step, cwd=work, check=False)
        if done.returncode:
            raise NoEngine(f"Debian's packages of the engine cannot be fetched: {done.stdout.strip()[-200:]}")


def _mirror() -> str:
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for entry in file.read_text().split("\n\n"):
            if "debian-archive-keyring" in entry and (found := re.search(r"^URIs: *(\S+)", entry, re.MULTILINE)):
                return found[1]
    raise NoEngine("apt's sources name no mirror of Debian: install Docker with buildx and compose")


def _bridged(folder: Path) -> list[str]:
    """The firewall's rule for an engine: frames between its containers pass, though another engine drops them."""
    name = re.sub(r"\W", "-", f"engine{folder}")
    return f"FORWARD -m physdev --physdev-is-bridged -m comment --comment {name} -j ACCEPT".split()


def _iptables(*arguments: str) -> None:
    if shutil.which("iptables"):
        _run("iptables", "--wait", *arguments, check=False)


def _run(
    *command: object,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    assert not check or done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}"
    return done
