"""Development on one machine: runs all that the Procfile lists, beside a PostgreSQL of its own.

First PostgreSQL (unless DATABASE_URL is given), then `release` to its end, then the long-running
process types, each with the argv that production uses. They are restarted from outside when a file
changes. The stop goes the other way round.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import NamedTuple

from watchfiles import watch

from dev import postgres, project, tether

USAGE = """usage: python -m dev.run                                 run the service
       python -m dev.run --with-database -- COMMAND ...  run a command beside its database
"""
TREES, FILES = ("src", "migrations"), (".env", "Procfile", "pyproject.toml")
RELEASED = ("migrations", ".env")  # a change in these concerns the release phase too
CONFIGURATION_ERROR = 78  # EX_CONFIG of sysexits.h
SAME_SIGNAL_SECONDS = 0.3  # a terminal and a parent may both deliver one Ctrl-C
SLOW_SECONDS = 15
NO_ANSWER = OSError, HTTPException, ValueError, OverflowError
COLOUR_CODE = re.compile(rb"\x1b\[[\d;]*m")
BOLD, COLOURS = 1, (36, 33, 35, 32, 34)


def readiness(env: dict[str, str]) -> str:
    """What web says about itself: a status code, or nothing yet."""
    host, port = project.address(env)
    try:
        with closing(HTTPConnection(host, int(port), timeout=5)) as connection:
            connection.request("GET", "/readyz")
            return str(connection.getresponse().status)
    except NO_ANSWER:
        return "nothing"


class Console:
    """Prints whole lines, each marked with the process type that wrote it."""

    def __init__(self, names: list[str]) -> None:
        self._lock = threading.Lock()
        self._width = max(map(len, ["dev", *names]))
        self._styles = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}

    def print(self, name: str, line: bytes) -> None:
        """Writes one line at once, unbuffered."""
        mark, end = f"{name.ljust(self._width)} | ", "\n"
        if project.coloured():
            mark, end = f"\x1b[{self._styles.get(name, BOLD)}m{mark}\x1b[0m", "\x1b[0m\n"
        else:
            line = COLOUR_CODE.sub(b"", line)
        data = mark.encode() + line.rstrip(b"\r\n") + end.encode()
        try:
            with self._lock:
                while data:
                    data = data[os.write(sys.stdout.fileno(), data) :]
        except OSError:  # nobody reads any more
            os.kill(os.getpid(), signal.SIGTERM)


class Child(NamedTuple):
    """A process, and the thread that ends after it, when all that it wrote is printed."""

    process: subprocess.Popen[bytes]
    follower: threading.Thread


class Launcher:
    """Runs the process types of one project; takes what happens in turn, in the main thread."""

    def __init__(self, root: Path, resources: ExitStack) -> None:
        self.root, self.resources = root, resources
        self.env, self.types = project.environment(root), project.process_types(root)
        self.console = Console(list(self.types))
        self.events: SimpleQueue[Callable[[], int | None]] = SimpleQueue()
        self.changed: deque[Path] = deque()
        self.running: dict[str, Child] = {}
        self.database = ""  # the URL of the own server, once it runs
        self.shown: dict[str, str] = {}  # what the person was told last
        self.release_due, self.boots, self.stopping_since = True, 0, 0.0

    def run(self) -> int:
        """Runs until somebody wants an end, or nothing can run; returns the exit code."""
        project.check_port(self.env)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self._on_signal)
        self._watch()
        try:
            self._boot()
            while (code := self.events.get()()) is None:
                pass
            return code
        finally:
            self._stop()

    def say(self, text: str) -> None:
        """Prints a line of the launcher's own."""
        self.console.print("dev", text.encode())

    def _boot(self) -> None:
        self.boots += 1
        self.env, self.types = project.environment(self.root), project.process_types(self.root)
        if project.given(self.env, "DATABASE_URL") is None:
            self.env["DATABASE_URL"] = self._own_database()
        if self.stopping_since:
            return
        if self.release_due and "release" in self.types:
            self._start("release")
        else:
            self._start_long_running()

    def _own_database(self) -> str:
        if not self.database:
            self.say(f"PostgreSQL {postgres.MAJOR}, data in {postgres.FOLDER}")
            server = postgres.server(self.root / postgres.FOLDER)
            self.database = self.resources.enter_context(server)
        return self.database

    def _start_long_running(self) -> None:
        for name in self.types:
            if name != "release":
                self._start(name)
        if "web" in self.running:
            web = self.running["web"].process
            threading.Thread(target=self._await_web, args=(web,), daemon=True).start()

    def _start(self, name: str) -> None:
        process = tether.spawn(
            self.types[name],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        follower = threading.Thread(target=self._follow, args=(name, process), daemon=True)
        self.running[name] = Child(process, follower)
        follower.start()

    def _follow(self, name: str, process: subprocess.Popen[bytes]) -> None:
        printer = threading.Thread(target=self._print, args=(name, process), daemon=True)
        printer.start()
        process.wait()
        kill_group(process)  # what it may have left behind would hold the pipe open
        printer.join(1)
        self.events.put(lambda: self._ended(name, process))

    def _print(self, name: str, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout or ():
            self.console.print(name, line)

    def _ended(self, name: str, process: subprocess.Popen[bytes]) -> int | None:
        """Takes note of a process that ended by itself; returns the code to stop with, if any."""
        if name not in self.running or self.running[name].process is not process:
            return None
        del self.running[name]
        code = exit_code(process)
        fatal = self.boots == 1 and (name == "release" or code == CONFIGURATION_ERROR)
        if name == "release" and code == 0:
            self.release_due = False
            self._start_long_running()
        else:
            outlook = "stopping" if fatal else "it starts again when a file changes"
            self.say(f"{name} ended with code {code}: {outlook}")
            if fatal:
                return code
        self._reload()  # for what changed during the release
        return None

    def _reload(self) -> None:
        if "release" in self.running or not self.changed:
            return
        changed = [self.changed.popleft() for _ in range(len(self.changed))]
        self.release_due |= any(path.parts[0] in RELEASED for path in changed)
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        after = " after release" if self.release_due else ""
        self.say(f"{changed[0]}{more} changed: restarting{after}")
        self._stop()
        try:
            self._boot()
        except (project.StartError, postgres.UnavailableError) as error:
            self.say(str(error))

    def _stop(self) -> None:
        limit = project.stop_seconds(self.env)
        deadline = time.monotonic() + limit
        for child in self.running.values():
            child.process.terminate()
        for name, child in self.running.items():
            child.follower.join(max(0, deadline - time.monotonic()))
            if child.follower.is_alive():
                self.say(f"{name} did not end within {limit:g} s: killed")
                kill_group(child.process)
                child.follower.join()
        self.running.clear()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self.stopping_since:
            self.stopping_since = now
            self.events.put(self._asked_to_stop)
        elif number == signal.SIGINT and now - self.stopping_since > SAME_SIGNAL_SECONDS:
            for child in self.running.values():
                kill_group(child.process)
            raise KeyboardInterrupt

    def _asked_to_stop(self) -> int:
        self.say("stopping; Ctrl-C again kills at once")
        return 0

    def _watch(self) -> None:
        trees = [self.root / tree for tree in TREES if (self.root / tree).is_dir()]
        # An editor may replace a file by a new one: the folder of the files is watched.
        for folders, recursive in ((trees, True), ([self.root], False)):
            if folders:
                task = (folders, recursive)
                threading.Thread(target=self._watch_folders, args=task, daemon=True).start()

    def _watch_folders(self, folders: list[Path], recursive: bool) -> None:
        try:
            for changes in watch(*folders, recursive=recursive):
                paths = {Path(os.path.relpath(path, self.root)) for _, path in changes}
                self.changed.extend(path for path in paths if recursive or str(path) in FILES)
                self.events.put(self._reload)
        except (OSError, RuntimeError) as error:
            self.say(f"changes cannot be seen, so nothing will restart: {error}")

    def _await_web(self, web: subprocess.Popen[bytes]) -> None:
        """Says where to look as soon as web is ready."""
        began, warned = time.monotonic(), False
        while web.poll() is None and not self.stopping_since:
            status, passed = readiness(self.env), time.monotonic() - began
            if status == "200":
                self.say(f"ready after {passed:.1f} s")
                self._show_places()
                return
            if passed > SLOW_SECONDS and not warned:
                warned = True
                self.say(f"not ready after {SLOW_SECONDS} s: /readyz answers {status}")
            time.sleep(0.1)

    def _show_places(self) -> None:
        own = self.env.get("DATABASE_URL") == self.database
        places = project.places(self.env, own_database=own)
        for what, where in places.items() if places != self.shown else ():
            self.say(f"  {what:<8}  {where}")
        self.shown = places


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def exit_code(process: subprocess.Popen[bytes]) -> int:
    """The code that a shell would give for the end of a process."""
    code = process.wait()
    return code if code >= 0 else 128 - code


def run_with_database(root: Path, command: list[str], resources: ExitStack) -> int:
    """Runs one command in the environment of the service; returns its exit code."""
    env = project.environment(root)
    if project.given(env, "DATABASE_URL") is None:
        server = postgres.server(root / postgres.FOLDER, share=True)
        env["DATABASE_URL"] = resources.enter_context(server)
    process = tether.spawn(command, env=env, stdin=None, start_new_session=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command gets it from the terminal itself
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: process.send_signal(number))
    return exit_code(process)


def main(arguments: list[str]) -> int:
    """Does what the command line says; returns the exit code."""
    try:
        with ExitStack() as resources:
            match arguments:
                case []:
                    launcher = Launcher(Path.cwd(), resources)
                    code = launcher.run()
                case ["--with-database", "--", *command] if command:
                    return run_with_database(Path.cwd(), command, resources)
                case _:
                    sys.stderr.write(USAGE)
                    return 2
        launcher.say("stopped")
        return code
    except (project.StartError, postgres.UnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
