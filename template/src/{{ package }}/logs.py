"""Logs as a stream of events: one JSON object a line on stdout, whoever speaks.

The service's own events, those of libraries, warnings and crashes all take the same way out, unbuffered. Collecting and
keeping them is the platform's work.
"""

import json
import logging
import re
import sys
import threading
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from . import identity


def configure(process: str, *, style: str = "auto", level: str = "info", to_stderr: bool = False) -> None:
    """Sends every event of this process to stdout, marked with the process type; to stderr beside a result on stdout.

    Called twice: before anything that may crash is imported, and again once the settings are known.
    """
    style = style.lower()
    stream = sys.stderr if to_stderr else sys.stdout
    console = style == "console" or (style == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *(_for_people() if console else _for_machines(process)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=(
            structlog.WriteLoggerFactory(stream) if console else structlog.BytesLoggerFactory(stream.buffer)
        ),
        cache_logger_on_first_use=True,
    )
    _adopt_standard_logging(level)
    sys.excepthook = _log_crash
    threading.excepthook = lambda crash: _log_crash(crash.exc_type, crash.exc_value, crash.exc_traceback)
    sys.unraisablehook = _log_unraisable


def _for_people() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(pad_event_to=0, pad_level=False, sort_keys=False),
    ]


def _for_machines(process: str) -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _identify(process),
        # Local variables hold secrets and personal data.
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        _without_rows,
        _json,
    ]


def _without_rows(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cuts what PostgreSQL adds to an error: it quotes the row that was refused."""
    for error in event.get("exception", ()):
        error["exc_value"] = re.sub(r"\n(DETAIL|CONTEXT|LINE \d+):.*", "", error["exc_value"], flags=re.DOTALL)
    return event


def _json(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    line = {"timestamp": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event"), **event}
    try:
        return orjson.dumps(line, default=repr)
    except TypeError:  # for instance a lone surrogate, which is not UTF-8
        return json.dumps(line, default=repr, skipkeys=True).encode()


def _identify(process: str) -> Processor:
    who = {
        "service": identity.SERVICE,
        "process": process,
        "version": identity.VERSION,
        "commit": identity.commit(),
    }

    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.update(who)
        return event

    return add


class _ToEvents(logging.Handler):
    """Hands what libraries log through the standard library to the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:
            message = str(record.msg)
        structlog.get_logger().log(record.levelno, message, logger=record.name, exc_info=record.exc_info)


def _adopt_standard_logging(level: str) -> None:
    root = logging.getLogger()
    root.handlers = [_ToEvents()]
    # Libraries narrate at info what the service already says once, and do so again and again.
    root.setLevel(logging.DEBUG if level == "debug" else max(logging.WARNING, getattr(logging, level.upper())))
    logging.captureWarnings(True)


def _log_crash(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        structlog.get_logger().critical("crashed", exc_info=(kind, error or kind(), trace))


def _log_unraisable(unraisable: Any) -> None:
    structlog.get_logger().error(
        unraisable.err_msg or "exception ignored",
        where=repr(unraisable.object),
        exc_info=unraisable.exc_value or False,
    )
