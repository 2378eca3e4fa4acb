"""`python -m bench`: measures the figures, prints them, and writes docs/benchmarks.md once it has measured them all."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import copies

from . import boots, generation, jobs, report, rolling, servers, shutdown, status, traces, updates
from .figure import Row
from .service import running

PAGE = copies.ROOT / "docs" / "benchmarks.md"
OF_TEMPLATE = {**generation.FIGURES, **updates.FIGURES, **status.FIGURES}
OF_SERVICE = {
    **boots.FIGURES,
    **servers.FIGURES,
    **traces.FIGURES,
    **jobs.FIGURES,
    **shutdown.FIGURES,
    **rolling.FIGURES,
}
NAMES = [*OF_TEMPLATE, *OF_SERVICE]
# For the commits in temporary repositories, also where git knows nobody.
IDENTITY = {f"GIT_{role}_{part}": "bench@example.com" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def main() -> int:
    """Measures what the command line asks for; returns the exit code."""
    arguments = _arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(IDENTITY)
    machine = report.machine(_commit())
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        template = copies.clone_work_tree(Path(name, "template"))
        rows = [*_of_template(arguments, template), *_of_service(arguments, template, Path(name), machine)]
    sys.stdout.write("\n" + report.table(rows))
    if arguments.only == NAMES and not arguments.quick:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(report.page(rows, machine))
        sys.stdout.write(f"\nWritten to {PAGE.relative_to(copies.ROOT)}.\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=NAMES, metavar="NAME,...", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="measure each figure a few times only")
    return parser.parse_args()


def _names(given: str) -> list[str]:
    if unknown := set(given.split(",")).difference(NAMES):
        raise argparse.ArgumentTypeError(f"no figure is called {', '.join(sorted(unknown))}")
    return [name for name in NAMES if name in given.split(",")]


def _of_template(arguments: argparse.Namespace, template: Path) -> Iterator[Row]:
    for name, figure in OF_TEMPLATE.items():
        if name in arguments.only:
            _say(name)
            yield figure.row(template, quick=arguments.quick)


def _of_service(arguments: argparse.Namespace, template: Path, folder: Path, machine: dict[str, str]) -> list[Row]:
    wanted = {name: figure for name, figure in OF_SERVICE.items() if name in arguments.only}
    rows: list[Row] = []
    if not wanted:
        return rows
    _say("the service")
    try:
        with running(template, folder) as service:
            machine["Service"] = service.versions()
            for name, figure in wanted.items():
                _say(name)
                rows.append(figure.row(service, quick=arguments.quick))
    except Exception as error:
        rows += [figure.unmeasured(error) for figure in list(wanted.values())[len(rows) :]]
    return rows


def _commit() -> str:
    commit = copies.git(copies.ROOT, "rev-parse", "--short", "HEAD").strip()
    return f"commit {commit}" + (" with changes" if copies.changed(copies.ROOT) else "")


def _say(what: str) -> None:
    sys.stdout.write(f"measuring {what} ...\n" if what in NAMES else f"making {what} ...\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
