"""What it costs to generate a service, and how long it takes from nothing to its first answer."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from tests import copies

from . import load
from .figure import Figure, Result, in_turn
from .processes import cpu_seconds_of, free_port, group_lives

RATIO, FILES, FILE_MS = 1.8, 60, 6
COMMANDS: Sequence[Sequence[str]] = [["make", "new", "DEST=../service"]]
FIRST_SECONDS = 15
PATIENCE_SECONDS = 300

ONE_FILE = {"copier.yml": "_templates_suffix: .jinja\nname: my-service\n", "README.md.jinja": "# {{ name }}\n"}


def generation(template: Path, pairs: int) -> Result:
    """The CPU time of `copier copy --defaults`, over that of copying a template of one file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simple = _template_of_one_file(folder / "simple")
        cpu = in_turn(pairs, lambda: _cpu_seconds(template), lambda: _cpu_seconds(simple))
        copies.generate_committed(template, folder / "service")
        files = len(copies.rendered(folder / "service"))
    file_ms = median((ours - theirs) * 1000 / (files - 1) for ours, theirs in zip(cpu.ours, cpu.theirs, strict=True))
    return Result(
        f"{cpu.ratio:.2f}; {files}; {file_ms:.1f} ms",
        cpu.ratio <= RATIO and files <= FILES and file_ms <= FILE_MS,
        cpu.spread,
        [f"Generating: {cpu.medians('ms', 1000)} of CPU, so {median(cpu.ours) * 1000 / files:.1f} ms a file in all."],
    )


def first_answer(template: Path, runs: int) -> Result:
    """The time that a person waits who has nothing but a clone."""
    seconds = [_seconds_to_notes(template) for _ in range(runs)]
    return Result(
        f"{len(COMMANDS)}; {median(seconds):.1f} s",
        len(COMMANDS) == 1 and median(seconds) < FIRST_SECONDS,
        f"{min(seconds):.1f} to {max(seconds):.1f} s, {runs} runs",
        [f"From nothing to the first answer: {', '.join(f'{taken:.1f} s' for taken in seconds)}."],
    )


FIGURES = {
    "generate": Figure(
        "CPU of generating with defaults, over a one-file template; files; CPU for each file more",
        f"<= {RATIO}; <= {FILES}; <= {FILE_MS} ms",
        generation,
        times=9,
        hurried=3,
    ),
    "new": Figure(
        "Commands, and time with empty package caches, from a clone to 200 of `GET /notes`",
        f"1; < {FIRST_SECONDS} s",
        first_answer,
        times=3,
        hurried=1,
    ),
}


def _template_of_one_file(folder: Path) -> Path:
    folder.mkdir()
    for name, text in ONE_FILE.items():
        (folder / name).write_text(text)
    copies.release(folder, copies.FIRST_RELEASE)
    return folder


def _cpu_seconds(template: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.yml")
        settings.write_text("{}\n")  # not the user's own
        command = (sys.executable, "-m", "copier", "copy", "--defaults", "--quiet", template, "service")
        return cpu_seconds_of(command, {**os.environ, "COPIER_SETTINGS_PATH": str(settings)}, Path(folder))


def _seconds_to_notes(template: Path) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        clone = folder / "template"
        copies.run("git", "clone", "--quiet", template, clone, cwd=folder)
        environment = {**_new_machine(folder / "cache"), "PORT": str(port)}
        started = time.perf_counter()
        for command in COMMANDS[:-1]:
            copies.run(*command, cwd=clone, env=environment)
        with _foreground(COMMANDS[-1], environment, clone, folder / "output.log") as process:
            return _until_notes(process, port, folder / "output.log") - started


def _new_machine(cache: Path) -> dict[str, str]:
    """An environment with the system's tools only, and with nothing that they have fetched before."""
    environment = copies.service_environment(None)
    own = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join(part for part in environment["PATH"].split(os.pathsep) if part != own)
    caches = {"XDG_CACHE_HOME": cache, "UV_CACHE_DIR": cache / "uv", "PIP_CACHE_DIR": cache / "pip"}
    return {**environment, **{name: str(folder) for name, folder in caches.items()}}


@contextmanager
def _foreground(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, output: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that a person starts, looks at and ends by Ctrl-C."""
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
        if group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def _until_notes(process: subprocess.Popen[bytes], port: int, output: Path) -> float:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while process.poll() is None and time.perf_counter() < deadline:
        try:
            if load.get(port, "/notes").status == 200:
                return time.perf_counter()
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"no service came of it: {output.read_text(errors='replace')[-300:]}")
