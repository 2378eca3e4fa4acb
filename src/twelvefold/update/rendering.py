"""Renders a version of the template for a service, with Copier's public functions, into a folder of its own."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import copier
import yaml
from plumbum import ProcessExecutionError

from .git import Refusal, Stopped
from .service import ANSWERS_FILE
from .template import RELEASE, Template, Version, is_named, without_password

# Copier runs these only when it is allowed to run code, which an update otherwise never does.
RUNS_CODE = "jinja_extensions"
NAME = re.compile(rb"^_commit:.*$", re.MULTILINE)
YES_OR_NO = frozenset("y yes t true on 1 n no f false off 0".split())


@dataclass(frozen=True)
class Rendering:
    """A service as a version of the template makes it: its files below `root`, and what Copier knows about it."""

    root: Path
    folder: Path
    recorded: dict[str, Any]
    worker: Any = field(repr=False)

    @property
    def questions(self) -> dict[str, dict[str, Any]]:
        """The template's questions, hidden ones too."""
        return dict(self.worker.template.questions_data)

    @property
    def asked(self) -> list[str]:
        """The names of the questions that somebody may be asked."""
        return [name for name, question in self.questions.items() if question.get("when") is not False]

    @property
    def everything(self) -> dict[str, Any]:
        """All answers but the secret ones: what was recorded, and what follows from that."""
        found = {**self.worker.answers.combined, **self.recorded}
        return {name: answer for name, answer in found.items() if name not in self.worker.template.secret_questions}

    @property
    def secrets(self) -> dict[str, Any]:
        """The answers that are not recorded because they are secret."""
        answers = self.worker.answers.combined
        return {name: answers[name] for name in self.worker.template.secret_questions if name in answers}

    def text(self, text: str, **context: object) -> str:
        """A text of the template's settings, such as a default, with this service's answers."""
        answers = {name: answer for name, answer in self.worker.answers.combined.items() if name != "_external_data"}
        conf = {"answers_file": ANSWERS_FILE, "dst_path": str(self.folder), "os": system(), "sep": os.sep}
        return str(self.worker.jinja_env.from_string(text).render(**{**answers, "_copier_conf": conf, **context}))


@dataclass(frozen=True)
class Order:
    """What is rendered: a version (a commit) of a source, with the answers file's content and changed answers.

    `guesses` stand in the place of the template's own defaults.
    """

    source: str
    commit: str
    answers: bytes
    changed: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    guesses: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = False


def system() -> str | None:
    """The system by Copier's name for it."""
    return {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}.get(platform.system())


def at_a_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def render(order: Order, root: Path, prefix: str, what: str) -> Rendering:
    """Renders with the recorded answers, and the defaults of what was never answered. Raises Refusal."""
    return _refusing(_with_answers(what, order), lambda: _render(order, root, prefix, defaults=True, data={}))


def render_asking(order: Order, root: Path, prefix: str, what: str) -> Rendering:
    """Renders, and asks those questions at the terminal that were never answered. Raises Refusal."""
    known = {name: answer for name, answer in _loaded(order.answers).items() if not name.startswith("_")}
    try:
        first = render(order, root, prefix, what)
    except Refusal as refusal:
        if refusal.__cause__ is None:  # it was stopped, or no other answer would mend it
            raise
        answered = known  # one that has no default is a question that must be asked
    else:
        asked = first.recorded.keys() - known.keys() - order.changed.keys() - {"_commit", "_src_path"}
        if not asked:
            return first
        answered = {name: answer for name, answer in first.recorded.items() if name in known}
    shutil.rmtree(root, ignore_errors=True)
    return _refusing(_with_answers(what, order), lambda: _render(order, root, prefix, defaults=False, data=answered))


def render_asking_all(order: Order, root: Path, prefix: str, what: str) -> Rendering:
    """Renders, and asks every question at the terminal, as a first copy does. Raises Refusal."""
    return _refusing(_with_answers(what, order), lambda: _render(order, root, prefix, defaults=False, data={}))


def _render(order: Order, root: Path, prefix: str, *, defaults: bool, data: dict[str, Any]) -> Rendering:
    folder = root / prefix
    folder.mkdir(parents=True)
    (folder / ANSWERS_FILE).write_bytes(order.answers)
    worker = copier.run_copy(
        order.source,
        folder,
        {**data, **order.changed},
        vcs_ref=order.commit,
        user_defaults={**order.secrets, **order.guesses},
        defaults=defaults,
        overwrite=True,
        quiet=True,
        skip_tasks=True,
        unsafe=order.trusted,
    )
    _refuse_half_answers(order.changed, worker.template.questions_data)
    recorded = _loaded((folder / ANSWERS_FILE).read_bytes())
    return Rendering(root, folder, recorded, worker)


def recording(rendering: Rendering, template: Template, version: Version) -> Rendering:
    """The rendering, whose answers record the version, and by its own name. Raises Refusal where they do not.

    Copier records a release by any tag that it has, and one that moves would soon mean another version.
    """
    recorded = str(rendering.recorded.get("_commit", ""))
    if not recorded or not is_named(template, recorded, version):
        raise Refusal(
            f"Version {version.said} of the template does not write {ANSWERS_FILE}, so that a service would not know "
            "that it has it: the template needs a file {{ _copier_conf.answers_file }}.jinja, which holds "
            "{{ _copier_answers|to_nice_yaml }}."
        )
    if recorded == version.name or not RELEASE.match(version.name):
        return rendering
    file = rendering.folder / ANSWERS_FILE
    file.write_bytes(NAME.sub(b"_commit: " + os.fsencode(version.name), file.read_bytes(), count=1))
    return replace(rendering, recorded=_loaded(file.read_bytes()))


def _refuse_half_answers(changed: Mapping[str, Any], questions: Mapping[str, Any]) -> None:
    """Raises Refusal for an answer to a yes/no question that is neither: Copier takes every other word for a yes."""
    for name, answer in changed.items():
        asks_yes_or_no = questions.get(name, {}).get("type") == "bool"
        if asks_yes_or_no and isinstance(answer, str) and answer.strip().lower() not in YES_OR_NO:
            raise Refusal(f"-d {name}={answer} is no answer to a yes/no question: say {name}=true or {name}=false.")


def refuse_lost_answers(given: Iterable[str], rendering: Rendering) -> None:
    """Raises Refusal for an answer that nothing records: to no question, or to one that is not asked."""
    if unknown := set(given) - rendering.questions.keys():
        known = ", ".join(rendering.asked)
        raise Refusal(f"The template has no question {', '.join(sorted(unknown))}: it has {known}.")
    secret = set(rendering.worker.template.secret_questions)
    if lost := set(given) - rendering.recorded.keys() - secret:
        raise Refusal(
            f"The template does not ask for {', '.join(sorted(lost))} with these answers, so that -d would be "
            "forgotten: leave it out, or change the answers that the question depends on too."
        )


def _loaded(answers: bytes) -> dict[str, Any]:
    return dict(yaml.safe_load(answers) or {})


def _with_answers(what: str, order: Order) -> str:
    """What is rendered, with the questions that the command line answers: any of these answers may be the trouble."""
    return f"{what} with your answer to {', '.join(order.changed)}" if order.changed else what


def _refusing(what: str, rendering: Callable[[], Rendering]) -> Rendering:
    """Says of an error that it kept a version from being rendered, and that nothing was changed."""
    try:
        return rendering()
    except KeyboardInterrupt:
        raise Stopped("Stopped; nothing was changed.") from None
    except Refusal:
        raise
    except ProcessExecutionError as error:
        said = without_password(error.stderr.strip())
        raise Refusal(f"{what} cannot be read, so nothing was changed: {said}") from error
    except Exception as error:  # a template may compute anything, and fail at it in any way
        raise Refusal(f"{what} cannot be rendered, so nothing was changed: {_said(error)}") from error


def _said(error: Exception) -> str:
    text = " ".join(without_password(str(error)).split())
    if not text or isinstance(error, LookupError | ArithmeticError):  # whose text alone tells nothing
        text = f"{type(error).__name__} {text}".strip()
    return f"{text} (--yes trusts it)" if RUNS_CODE in text else text
