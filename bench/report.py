"""The table, for the terminal and for docs/benchmarks.md, and the machine that it was measured on."""

import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .figure import Row

HEAD = ("Figure", "To reach", "Measured", "Verdict", "Spread")
NAME_WIDTH = 48


def table(rows: Sequence[Row]) -> str:
    """The figures for a terminal, and why one is missing."""
    blocks = [[textwrap.wrap(row[0], NAME_WIDTH), *([cell] for cell in row[1:])] for row in (HEAD, *map(_cells, rows))]
    widths = [max(len(line) for block in blocks for line in block[column]) for column in range(len(HEAD))]
    lines = [line for block in blocks for line in _block_lines(block, widths)]
    return "\n".join((*lines, "", *(detail for row in rows for detail in row.details), ""))


def page(rows: Sequence[Row], machine: Mapping[str, str]) -> str:
    """The figures as a page of the documentation."""
    return "\n".join(
        (
            "# Benchmarks",
            "",
            "Made by `nox -s bench`, which measures a service with default answers; not to be edited.",
            "",
            *_markdown(HEAD, [_cells(row) for row in rows]),
            "",
            "## How it is measured",
            "",
            METHOD,
            "",
            "## The measured values",
            "",
            *(f"- {detail}" for row in rows for detail in row.details),
            "",
            "## The machine",
            "",
            *(f"- {name}: {value}" for name, value in machine.items()),
            "",
            "## To repeat it",
            "",
            REPEAT,
            "",
        )
    )


METHOD = """\
- *The bare app* is FastAPI with one typed JSON route that answers with the same bytes as `/livez`. It runs on the same
  uvicorn with uvloop and httptools, with uvicorn's access log, in the same virtual environment, on the same core. Both
  write their log to a file, and the bytecode of both is compiled.
- *The bare worker* is procrastinate's own connector and loop, with its defaults, the same concurrency, and a task
  with the statements of `notes.count_words` in one transaction on a pool; it logs no job. The bare clock is its
  periodic deferrer, the bare release `alembic upgrade heads` on the same migrations. They need less than a service
  does: no settings, no JSON log, no metrics, no operations port.
- Every ratio is the median of ratios of two measurements made one right after the other, in turn. The spread is the
  least and the greatest of them.
- Throughput is a fixed number of requests over 16 kept connections, divided by the CPU time that the server process
  used for them. PostgreSQL and the client run on another core and are not counted.
- Boot is the time from the start of the process to the first answer 200 of `/readyz`, asked every 5 ms; PostgreSQL
  runs already. The bare worker and the bare clock write that they are ready as soon as they are connected. Release is
  ready when it has ended, with nothing left to migrate.
- What traces cost is told by a copy of the service whose code has no tracing: the module is gone, and so is every use
  of it. All three serve at the same time, each in its turn, `GET /notes/{id}`: `/livez` is never traced. *Sampled*
  sends its share of traces to a collector on the other core that keeps nothing, ten times as often as by default, so
  that each turn pays for its exports, those after the last answer too.
- Jobs are counted from the hundredth to the thousandth, which all wait before the worker starts; PostgreSQL runs on the
  other core.
- The job of a killed worker waits for a lock on the notes. Four workers, each at one job, are killed one after the
  other at random moments, and a fifth is there to take their jobs; the time is from the kill to the second start in
  the queue's own record.
- The rolling restart has a database of its own and all cores. In turn a note is created, and one of those created is
  read, through a balancer that looks at `/readyz` every 0.2 s, keeps its connections, tries another process only when
  the connection was refused, and repeats nothing that was sent. A request is due at its time whether or not those
  before are answered, and its time counts from then. One web process or worker after the other is told to stop
  (`DRAIN_SECONDS=2`), and its successor must be ready before the next. A job is lost if the database did not see its
  one update of its note.
- The CPU time of generating is that of Copier and of all programs that it starts; the time for each file more
  is the difference from the one-file template, divided by the number of files more.
- An update takes the default service of the last release to what lies here, in a clone of its own each time, and is a
  whole run of either command, with Python's start. Neither makes the derived files again.
- *Status* looks at copies of the default service with a scorecard and thirty commits more, over smart HTTP (`git
  http-backend`), and asks their template for its releases; it is a whole run of the command, with Python's start. All
  `git ls-remote` are started at once. Server and clients share the cores.
- Memory is the proportional set size of the process, one second after its boot and again after requests.
- The held request is a `POST /notes` that waits for a lock on its table while SIGTERM arrives."""

REPEAT = """\
```
nox -s bench                          # all of it, and writes this page
nox -s bench -- --only boot,json      # some of it, and writes nothing
nox -s bench -- --quick               # fewer repetitions, and writes nothing
```

It needs Linux, two cores and, for `make new`, a package index, whose speed is part of that figure. Other work on the
machine widens the spread. So do many files that were deleted in the minutes before: on ext4 a new
one was then seen to take ten times as long."""


def machine(template: str) -> dict[str, str]:
    """What is measured, and on what."""
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "Template": template,
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "System": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release().partition('-')[0]}",
        "Load average before": f"{os.getloadavg()[0]:.2f}",
        "Copier": f"{version('copier')} on Python {platform.python_version()}",
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _cells(row: Row) -> tuple[str, ...]:
    return row.name, row.to_reach, row.measured, row.verdict, row.spread


def _block_lines(block: list[list[str]], widths: list[int]) -> list[str]:
    height = max(len(cell) for cell in block)
    padded = [cell + [""] * (height - len(cell)) for cell in block]
    rows = zip(*padded, strict=True)
    return ["  ".join(f"{line:<{width}}" for line, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells]
