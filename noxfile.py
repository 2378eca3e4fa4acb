"""The developer's sessions: `nox --list` shows them."""

import os
import sys
from pathlib import Path

import nox

# The sessions use the environment that `make test` has made, whether or not it is active.
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, style and types of the template's own code."""
    session.run("ruff", "format", "--check")
    session.run("ruff", "check")
    session.run("mypy")
    session.run("yamllint", "--strict", ".")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the template's tests; arguments go to pytest."""
    session.run("pytest", *session.posargs)


@nox.session
def matrix(session: nox.Session) -> None:
    """Generate, lint and test every combination of two choices."""
    session.run("pytest", "tests/test_matrix.py", *session.posargs)


@nox.session
def derived(session: nox.Session) -> None:
    """Make the template's derived files anew from a generated service, and the page about factors.toml."""
    session.run("python", "-m", "hooks.derived", *session.posargs)
    session.run("python", "-m", "hooks.contract_page")


@nox.session
def tags(session: nox.Session) -> None:
    """Make the tags of the releases that have none; with `-- --push`, push them."""
    session.run("python", "-m", "hooks.releases", *session.posargs)


@nox.session
def sabotage(session: nox.Session) -> None:
    """Plant the sabotages whose outcome is not known; `-- --full --shard 1/4` asks all claims, in parts."""
    session.run("python", "-m", "tests.sabotages.record", *session.posargs, env={"PYTHONPATH": "src"})


@nox.session
def soak(session: nox.Session) -> None:
    """Prove a healthy service 50 times, 20 of them on a busy machine, and write docs/soak.md."""
    session.run("python", "-m", "tests.soak", *session.posargs, env={"PYTHONPATH": "src"})


@nox.session
def lives(session: nox.Session) -> None:
    """Update services of every release on which a team has worked, run all of their tests, and prove the oldest."""
    session.run("pytest", "tests/test_long_life.py", *session.posargs, env={"EVERYTHING": "1"})


@nox.session(name="update-fuzz")
def update_fuzz(session: nox.Session) -> None:
    """Update 2,000 random services of random templates; `-- --cases 100 --plain 0` for fewer."""
    session.run("python", "-m", "tests.update_fuzz", *session.posargs, env={"PYTHONPATH": "src"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the figures in docs/benchmarks.md and write that page."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    session.run("python", "-m", "bench", *session.posargs, env={**environment, "PYTHONPATH": "src"})
