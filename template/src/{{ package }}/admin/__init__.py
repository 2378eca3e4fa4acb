"""One-offs: `admin NAME`, in the same artifact and environment as every other process.

A one-off is a function with `@one_off` in a feature's module `admin`. Its name, its docstring and its parameters are
the command line: parameters are positional, those after `*` are options. It ends with an exception when it fails.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pkgutil import iter_modules
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import psycopg
import structlog

from .. import identity, logs, parts, settings, tracing
from ..resources import Resources, attached
from ..settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class Admin:
    """What a one-off works with."""

    settings: Settings
    resources: Resources


class OneOffError(Exception):
    """What keeps a one-off from doing its work: a sentence that says how to mend it."""


@dataclass(frozen=True)
class OneOff:
    """A one-off; one that `prints` has stdout for its result, and sends its events to stderr."""

    function: Callable[..., Awaitable[None]]
    prints: bool

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.function.__name__.replace("_", "-")

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """What it wants to be told, which is all but its first parameter."""
        return list(inspect.signature(self.function).parameters.values())[1:]


def one_off(*, prints: bool = False) -> Callable[[Callable[..., Awaitable[None]]], OneOff]:
    """Makes a one-off of a function; one that prints a result sends its events to stderr."""
    return lambda function: OneOff(function, prints)


def known() -> dict[str, OneOff]:
    """Every one-off, by name."""
    own = (import_module(f"{__package__}.{found.name}") for found in iter_modules(__path__))
    entries = chain.from_iterable(vars(module).values() for module in (*own, *parts.of_features("admin")))
    return {entry.name: entry for entry in entries if isinstance(entry, OneOff)}


def run(arguments: list[str]) -> int:
    """Runs the one-off that the command line names; returns the exit code."""
    values = vars(_parser().parse_args(arguments))
    chosen: OneOff = values.pop("one_off")
    loaded = settings.load()
    logs.configure("admin", style=loaded.log_format, level=loaded.log_level, to_stderr=chosen.prints)
    tracing.configure(loaded, "admin")
    structlog.contextvars.bind_contextvars(one_off=chosen.name)
    try:
        asyncio.run(_run(chosen, loaded, values))
    except (OneOffError, psycopg.OperationalError, ConnectionError) as error:
        log.error("failed", reason=str(error))
        return 1
    log.info("done")
    return 0


async def _run(chosen: OneOff, loaded: Settings, values: dict[str, Any]) -> None:
    positional: list[Any] = []
    options: dict[str, Any] = {}
    for parameter in chosen.parameters:
        value = values[parameter.name]
        if parameter.kind is parameter.KEYWORD_ONLY:
            options[parameter.name] = value
        else:
            positional += value if parameter.kind is parameter.VAR_POSITIONAL else [value]
    async with attached(loaded) as resources:
        await chosen.function(Admin(loaded, resources), *positional, **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"{identity.SERVICE} admin", description="One-offs, run in the release.")
    commands = parser.add_subparsers(required=True, metavar="NAME")
    for name, entry in sorted(known().items()):
        about = inspect.getdoc(entry.function) or ""
        command = commands.add_parser(name, help=about.partition("\n")[0].replace("%", "%%"), description=about)
        command.set_defaults(one_off=entry)
        hints = get_type_hints(entry.function)
        for parameter in entry.parameters:
            command.add_argument(*_argument(parameter), **_accepted(parameter, hints[parameter.name]))
    return parser


def _argument(parameter: inspect.Parameter) -> list[str]:
    option = parameter.kind is parameter.KEYWORD_ONLY
    return [f"--{parameter.name.replace('_', '-')}"] if option else [parameter.name]


def _accepted(parameter: inspect.Parameter, hint: Any) -> dict[str, Any]:
    """How the command line gives the parameter, from its kind, its type and its default."""
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction, "default": parameter.default}
    if get_origin(hint) in {Union, UnionType}:
        hint = next(kind for kind in get_args(hint) if kind is not NoneType)
    choices = get_args(hint) if get_origin(hint) is Literal else None
    accepted: dict[str, Any] = {"choices": choices, "type": type(choices[0])} if choices else {"type": hint}
    if parameter.kind is parameter.VAR_POSITIONAL:
        accepted["nargs"] = "*"
    elif parameter.default is not parameter.empty:
        accepted |= {"default": parameter.default, "help": "default: %(default)s"}
        if parameter.kind is not parameter.KEYWORD_ONLY:
            accepted["nargs"] = "?"
    elif parameter.kind is parameter.KEYWORD_ONLY:
        accepted["required"] = True
    return accepted
