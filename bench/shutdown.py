"""What SIGTERM does to a request that is under way."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from . import load
from .figure import Figure, Result
from .processes import Server, group_lives
from .service import Service

HELD_SECONDS = 4
EXIT_SECONDS = 15


class End(NamedTuple):
    """How one run ended."""

    held: float
    completed: bool
    refused: bool
    code: int | None
    survivors: bool

    @property
    def clean(self) -> bool:
        """Whether nothing was lost and nothing is left."""
        return self.completed and self.refused and self.code == 0 and not self.survivors

    def __str__(self) -> str:
        said = ("no", "yes")
        code = f"none after {EXIT_SECONDS} s" if self.code is None else self.code
        return (
            f"request held {self.held:.1f} s, completed with its one row: {said[self.completed]}, "
            f"new connections refused: {said[self.refused]}, exit code: {code}, survivors: {said[self.survivors]}"
        )


def shutdown(service: Service, runs: int) -> Result:
    """Holds a request by a lock on its table, and sends SIGTERM meanwhile."""
    ends = [_run(service, f"held {number} {time.time_ns()}") for number in range(runs)]
    clean = sum(end.clean for end in ends)
    return Result(
        "all" if clean == runs else "not all",
        clean == runs,
        f"{clean} of {runs} runs",
        [f"SIGTERM, run {number}: {end}." for number, end in enumerate(ends, 1)],
    )


FIGURES = {
    "sigterm": Figure(
        f"SIGTERM with a request held {HELD_SECONDS} s: completes, new connections refused, exit 0, nothing survives",
        "all",
        shutdown,
        times=3,
        hurried=1,
    )
}


def _run(service: Service, text: str) -> End:
    answers: list[load.Answer] = []
    with service.web() as web:
        web.until_ok("/readyz")
        request = threading.Thread(target=_post, args=(web, text, answers))
        with _locked(service) as lock:
            request.start()
            started = time.perf_counter()
            time.sleep(0.5)  # the request has reached the lock by now
            web.popen.send_signal(signal.SIGTERM)
            refused = _refuses(web, lock)
        request.join()
        held = time.perf_counter() - started
        code = _exit_code(web)
        survivors = group_lives(web.popen.pid)
    with service.session() as ask:
        rows = ask.one("SELECT count(*) FROM notes WHERE text = %s", text)
    completed = [answer.status for answer in answers] == [201] and rows == 1
    return End(held, completed, refused, code, survivors)


def _post(web: Server, text: str, answers: list[load.Answer]) -> None:
    with suppress(OSError):  # no answer is an answer too: the list stays empty
        answers.append(load.post(web.port, "/notes", {"text": text}))


@contextmanager
def _locked(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    """A process that keeps everybody from the notes, and lets go by ending."""
    command = service.database("lock", str(HELD_SECONDS))
    with subprocess.Popen(command, env=service.env, stdout=subprocess.PIPE) as lock:
        if not lock.stdout or lock.stdout.readline() != b"locked\n":
            raise RuntimeError("the notes could not be locked")
        yield lock


def _refuses(web: Server, lock: subprocess.Popen[bytes]) -> bool:
    """Whether, while the request is still held, new connections come to be refused."""
    while lock.poll() is None:
        try:
            load.get(web.port, "/livez")
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def _exit_code(web: Server) -> int | None:
    try:
        return web.popen.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        return None
