"""What an update does to a service's answers, so that it can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .rendering import Rendering

OF_COPIER = ("_commit", "_src_path")
NOT_TOLD = "it is secret now, and not told"
Changes = dict[str, list[Any]]  # a question, with what was before and what is now


@dataclass(frozen=True)
class Answers:
    """What is to be told about the answers."""

    new: dict[str, Any] = field(default_factory=dict)
    changed: Changes = field(default_factory=dict)
    no_longer_valid: Changes = field(default_factory=dict)
    gone: dict[str, Any] = field(default_factory=dict)
    other_defaults: Changes = field(default_factory=dict)


def compare(before: dict[str, Any], old: Rendering, new: Rendering, given: dict[str, Any]) -> Answers:
    """What became of the answers that a service had before, when the version `new` was rendered with those given."""
    secret = new.worker.template.secret_questions
    now = {name: answer for name, answer in new.recorded.items() if name not in OF_COPIER}
    was = {name: answer for name, answer in before.items() if name not in OF_COPIER}
    differing = {name: [was[name], now[name]] for name in was.keys() & now.keys() if was[name] != now[name]}
    return Answers(
        new={name: answer for name, answer in now.items() if name not in was and name not in given},
        changed={name: [was.get(name), now[name]] for name in given if name in now and was.get(name) != now[name]},
        no_longer_valid={name: answers for name, answers in sorted(differing.items()) if name not in given},
        gone={name: NOT_TOLD if name in secret else answer for name, answer in was.items() if name not in now},
        other_defaults=_other_defaults(old, new, was, given),
    )


def _other_defaults(old: Rendering, new: Rendering, was: dict[str, Any], given: dict[str, Any]) -> Changes:
    """The questions that were left to their default, which is another one now: the service keeps what it has."""
    found = {}
    asked = old.questions.keys() & new.questions.keys() & was.keys() & new.recorded.keys()
    for name in sorted(asked - given.keys()):
        default, now = _default(old, name), _default(new, name)
        if default is not None and now is not None and str(was[name]) == default != now:
            found[name] = [default, now]
    return found


def _default(rendering: Rendering, name: str) -> str | None:
    """A question's default; None when it has none, or when it follows from the answer itself."""
    default = rendering.questions[name].get("default")
    if not isinstance(default, str):
        return None if default is None else str(default)
    try:
        return rendering.text(default)
    except Exception:  # it may compute anything, and is not needed where there is an answer
        return None
