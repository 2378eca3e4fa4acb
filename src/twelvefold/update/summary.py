"""Says what an update did or would do: in words, as data, and as the text of a pull request."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from .answers import Answers
from .itself import undo_command
from .template import Section

# Code, of which a fence ends as it began, and addresses stay as they are; what leads somewhere stands outside of them.
LEADING = re.compile(
    r"(?ms)^ *(`{3,}|~{3,}).*?^ *\1|^(?: {4}|\t)[^\n]*|`[^`\n]*`|https?://\S+"
    r"|(?P<leads>(?<![\w&#@])(?:#(?=\d)|@(?=\w)|GH-(?=\d)))"
)
UPDATED, CONFLICTS, UP_TO_DATE, REFUSED = "updated", "conflicts", "up to date", "refused"


@dataclass(frozen=True)
class Conflict:
    """A file that the team has to decide about, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Offer:
    """A new starter file, which is the team's to take or leave, and the object that the service gets of it."""

    path: str
    content: str

    @property
    def command(self) -> str:
        """What takes the file, in the service's folder of this clone: other clones do not have the object."""
        folder, name = PurePosixPath(self.path).parent, shlex.quote(self.path)
        making = f"mkdir -p {shlex.quote(str(folder))} && " if folder.name else ""
        return f"{making}git cat-file blob {self.content[:12]} > {name}"


@dataclass(frozen=True)
class Files:
    """What became of the files, by name; a moved one with its old and its new name."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    kept_deleted: list[str] = field(default_factory=list)
    left_ignored: list[str] = field(default_factory=list)
    left_yours: list[str] = field(default_factory=list)
    not_overwritten: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    offered: list[Offer] = field(default_factory=list)
    made_again: list[str] = field(default_factory=list)
    to_make_again: list[str] = field(default_factory=list)
    lost_comments: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Summary:
    """What happened to one service, or would happen with `checked`."""

    service: str
    outcome: str
    old: str = ""
    new: str = ""
    source: str = ""
    checked: bool = False
    reason: str = ""
    template_commit: str = ""
    commit: str | None = None
    files: Files = field(default_factory=Files)
    answers: Answers = field(default_factory=Answers)
    migrations: list[str] = field(default_factory=list)
    migrations_to_run: list[str] = field(default_factory=list)
    not_derived: str = ""
    changelog: list[Section] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when nothing is left to do, 1 when there are conflicts, 2 when nothing was done."""
        return {CONFLICTS: 1, REFUSED: 2}.get(self.outcome, 0)

    @property
    def subject(self) -> str:
        """The update in one line, as the subject of its commit."""
        if self.old == self.new:
            return f"chore: apply other answers to version {self.new} of the template"
        return f"chore: update the template from {self.old} to {self.new}"


def as_data(summary: Summary) -> dict[str, Any]:
    """The summary for programs."""
    return asdict(summary) | {"exit_code": summary.exit_code}


def as_message(summary: Summary) -> str:
    """The message of the update's commit."""
    told = replace(summary, changelog=[replace(one, text=_leading_nowhere(one.text)) for one in summary.changelog])
    return "\n".join([summary.subject, "", *_body(told)]).rstrip() + "\n"


def as_text(summary: Summary) -> str:
    """The summary for a person at a terminal."""
    if summary.outcome == REFUSED:
        return f"{summary.service}: nothing was done. {summary.reason}\n"
    if summary.outcome == UP_TO_DATE:
        return f"{summary.service} is up to date with version {summary.new} of the template.\n"
    lines = [
        f"{summary.service}: {_headline(summary)}",
        f"Template: {_template(summary)}",
        "",
        *_body(summary, here=not summary.checked),
        *_next(summary),
    ]
    return "\n".join(lines).rstrip() + "\n"


def as_pull_request(summary: Summary) -> str:
    """The summary as Markdown."""
    if summary.outcome in (REFUSED, UP_TO_DATE):
        return as_text(summary)
    lists = [_chapter(title, (f"- {_marked(item)}" for item in items)) for title, items in _lists(summary)]
    # Before a long changelog: what cannot wait, and is the first of the lists.
    first = 1 if summary.files.conflicts else 0
    changes = [
        _chapter(f"What changes in {section.version}", [_leading_nowhere(section.text)])
        for section in summary.changelog
    ]
    parts = [f"## {_headline(summary)}", "", *lists[:first], *changes, *lists[first:]]
    parts += [f"The template is {_template(summary)}."]
    return "\n".join(parts).rstrip() + "\n"


def _chapter(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"### {title}", "", *lines, ""])


def _headline(summary: Summary) -> str:
    step = f"from {summary.old} to {summary.new}" if summary.old != summary.new else f"other answers to {summary.new}"
    number = len(summary.files.conflicts)
    files = f"{number} {'file' if number == 1 else 'files'}"
    if summary.outcome == CONFLICTS:
        return f"{step}, {'would conflict' if summary.checked else 'with conflicts'} in {files}"
    return f"{step}, {'would merge without a conflict' if summary.checked else 'without a conflict'}"


def _template(summary: Summary) -> str:
    return f"{summary.source} at commit {summary.template_commit[:12]}"


def _body(summary: Summary, *, here: bool = False) -> list[str]:
    lines = []
    for title, items in _lists(summary, here=here):
        lines += [f"{title}:", *(f"  {item}" for item in items), ""]
    for section in summary.changelog:
        lines += [f"Changelog of {section.version}:", *(f"  {line}".rstrip() for line in section.text.splitlines()), ""]
    return lines


def _lists(summary: Summary, *, here: bool = False) -> Iterable[tuple[str, list[str]]]:
    """Each kind of news with what belongs to it, those first that need somebody; `here` is for the updated clone."""
    elsewhere = f"as the template makes it at commit {summary.template_commit[:12]}"
    files, answers = summary.files, summary.answers
    told = {
        "In conflict": [f"{one.path}: {one.why}" for one in files.conflicts],
        "To be run by hand once the conflicts are resolved": summary.migrations_to_run,
        "Merged with your changes": files.merged,
        "Updated": files.updated,
        "Added": files.added,
        "Moved": [f"{old} -> {new}" for old, new in files.moved],
        "Removed": files.removed,
        "Left deleted, as you had done; the template has changed them": files.kept_deleted,
        "Left as they are, since git ignores them": files.left_ignored,
        "Left as yours, as .gitattributes says; the template has changed them": files.left_yours,
        "Left as yours; make derive would write its own there": files.not_overwritten,
        "Left as yours; the template has them no longer": files.left_behind,
        "New examples, which are yours to take": [
            f"{one.path}: {one.command if here else elsewhere}" for one in files.offered
        ],
        "Made again from the code": files.made_again,
        "To be made again (make setup derive prove)": files.to_make_again,
        "Why that could not be done": [summary.not_derived] if summary.not_derived else [],
        "New questions, answered by": [f"{name}: {_shown(answer)}" for name, answer in answers.new.items()],
        "Changed answers": _changes(answers.changed),
        "Answers that are valid no longer, and what stands in their place": _changes(answers.no_longer_valid),
        "Answers that are recorded no longer, since nobody is asked": [
            f"{name}: {_shown(answer)}" for name, answer in answers.gone.items()
        ],
        "Defaults that are others now, while you keep the old one": [
            f"{change}; to take it: -d {shlex.quote(f'{name}={answers.other_defaults[name][1]}')}"
            for name, change in zip(answers.other_defaults, _changes(answers.other_defaults), strict=True)
        ],
        "Comments that are gone from the answers file, which Copier writes anew": files.lost_comments,
        "Migrations that were run": summary.migrations,
    }
    return [(title, items) for title, items in told.items() if items]


def _leading_nowhere(text: str) -> str:
    """The template's changelog without what a forge takes for the service's: `Fixes #12` would end its issue 12.

    A space of no width breaks it, which nobody sees; in code nothing is taken for more than it is.
    """
    return LEADING.sub(lambda found: found[0] + ("\u200b" if found["leads"] else ""), text)


def _next(summary: Summary) -> list[str]:
    if summary.checked:
        return ["Nothing was changed."]
    if summary.outcome == CONFLICTS:
        return [f"Resolve the files in conflict, then git add and git commit; {undo_command()} takes it back."]
    return [f"Commit {(summary.commit or '')[:10]} has it all; {undo_command()} takes it back."]


def _changes(changes: dict[str, list[Any]]) -> list[str]:
    return [f"{name}: {_shown(before)} -> {_shown(now)}" for name, (before, now) in changes.items()]


def _shown(answer: Any) -> str:
    """An answer on one line."""
    text = " ".join(str(answer).split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def _marked(item: str) -> str:
    """An item of a list in Markdown, with its name as code."""
    name, colon, rest = item.partition(": ")
    return f"`{name}`{colon}{rest}"
