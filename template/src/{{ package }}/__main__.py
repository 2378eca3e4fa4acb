"""One command for every process type and every one-off."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import structlog

from . import identity, logs

if TYPE_CHECKING:
    from .settings import Settings

log = structlog.get_logger()

CONFIGURATION_ERROR = 78  # EX_CONFIG of sysexits.h


def main() -> int:
    """Does what the command line says; returns the exit code."""
    # As the first process of a container, a program that does not ask for the signal never gets it.
    signal.signal(signal.SIGTERM, _stop)
    arguments = _parser().parse_args()
    logs.configure(arguments.command)  # before the imports below, so that a crash there is an event like any other
    from . import settings

    logs.configure(arguments.command, style=settings.peek("log_format"))
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except settings.ConfigurationError as error:
        log.critical(str(error))
        return CONFIGURATION_ERROR


def _stop(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=identity.SERVICE, description=__doc__)
    parser.add_argument("--version", action="version", version=f"{identity.VERSION} ({identity.commit()})")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], meaning: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
        command.set_defaults(run=run)
        return command

    add("web", _web, "the process type that answers HTTP requests")
    add("release", _release, "the release phase: migrates the database")
    add("health", _health, "exit 0 when web on this machine is alive, 1 when not")
    config = add("config", _config, "check or show the configuration, or print what is derived from the code")
    config.add_argument("action", choices=("check", "show", "env-example", "docs", "openapi"))
    config.add_argument("--write", action="store_true", help="write the derived file below the current folder")
    return parser


# Each command imports what it needs when it runs: boot is a budget.


def _web(arguments: argparse.Namespace) -> int:
    # What is imported stays: looking through it for garbage again and again takes a tenth of the boot.
    gc.disable()
    from .web import server

    return server.run(_settings(arguments.command))


def _release(arguments: argparse.Namespace) -> int:
    from . import release

    return release.run(_settings(arguments.command))


def _settings(process: str) -> Settings:
    from . import settings

    loaded = settings.load()
    logs.configure(process, style=loaded.log_format, level=loaded.log_level)
    return loaded


def _health(_: argparse.Namespace) -> int:
    from . import health

    return health.check()


def _config(arguments: argparse.Namespace) -> int:
    from . import config

    return config.run(arguments.action, write=arguments.write)


if __name__ == "__main__":
    sys.exit(main())
