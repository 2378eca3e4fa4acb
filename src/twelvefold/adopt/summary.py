"""Says what adopting did or would do: in words, and as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..update.itself import undo_command
from ..update.proposal import Proposal
from ..update.service import ANSWERS_FILE, Service
from ..update.template import without_password
from .choices import Choices, Decision
from .comparison import Comparison

if TYPE_CHECKING:
    from .adopting import Standard

ADOPTED, CONFLICTS, REFUSED = "adopted", "conflicts", "refused"
UNASKED = "Nobody was asked: all that exists is kept, and of the rest that is taken which touches no code."


@dataclass(frozen=True)
class Files:
    """What became of the standard's files, by name."""

    conflicts: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    not_taken: dict[str, list[str]] = field(default_factory=dict)
    in_the_way: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Summary:
    """What happened to a service, or would happen with `checked`; `asked` tells whether somebody chose."""

    service: str
    outcome: str
    version: str = ""
    source: str = ""
    template_commit: str = ""
    checked: bool = False
    asked: bool = False
    reason: str = ""
    commit: str | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    guessed: dict[str, str] = field(default_factory=dict)
    files: Files = field(default_factory=Files)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when nothing is left to do, 1 when there are conflicts, 2 when nothing was done."""
        return {CONFLICTS: 1, REFUSED: 2}.get(self.outcome, 0)

    @property
    def subject(self) -> str:
        """The step in one line, as the subject of its commit."""
        return f"chore: adopt version {self.version} of the template"


def summarise(
    service: Service,
    standard: Standard,
    comparison: Comparison,
    choices: Choices,
    beside: dict[str, str],
    proposal: Proposal,
) -> Summary:
    """What happens to a service, in the order in which it is told."""
    answers = {name: answer for name, answer in standard.rendering.recorded.items() if not name.startswith("_")}
    decided = {path for path, decision in choices.decisions.items() if decision is not Decision.KEEP}
    files = Files(
        conflicts=sorted({stage.path for stage in proposal.conflicts}),
        added=sorted({f"{service.repository.prefix}{ANSWERS_FILE}", *choices.take}),
        replaced=choices.decided(Decision.TAKE),
        beside=beside,
        kept=sorted([one.path for one in comparison.differing if one.path not in decided] + comparison.yours),
        same=comparison.same,
        not_taken={
            group.title: left
            for group in comparison.groups
            if (left := [one for one in group.files if one not in choices.take])
        },
        in_the_way=comparison.in_the_way,
    )
    return Summary(
        str(service.repository.folder),
        CONFLICTS if files.conflicts else ADOPTED,
        standard.version.said,
        without_password(service.source),
        standard.version.commit,
        answers=answers,
        guessed={name: one.where for name, one in standard.guesses.items() if answers.get(name) == one.answer},
        files=files,
    )


def as_data(summary: Summary) -> dict[str, Any]:
    """The summary for programs."""
    return asdict(summary) | {"exit_code": summary.exit_code}


def as_message(summary: Summary) -> str:
    """The message of the commit."""
    return "\n".join([summary.subject, "", *_body(summary)]).rstrip() + "\n"


def as_text(summary: Summary) -> str:
    """The summary for a person at a terminal."""
    if summary.outcome == REFUSED:
        return f"{summary.service}: nothing was done. {summary.reason}\n"
    lines = [
        f"{summary.service}: {_headline(summary)}",
        f"Template: {summary.source} at commit {summary.template_commit[:12]}",
        *([] if summary.asked else [UNASKED]),
        "",
        *_body(summary),
        *summary.notes,
        *_next(summary),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _headline(summary: Summary) -> str:
    would = "would adopt" if summary.checked else "adopted"
    number = len(summary.files.conflicts)
    files = "1 file is" if number == 1 else f"{number} files are"
    merge = f"; {files} to be merged by hand" if number else ""
    return f"{would} version {summary.version} of the template{merge}"


def _body(summary: Summary) -> list[str]:
    lines = []
    for title, items in _lists(summary):
        lines += [f"{title}:", *(f"  {item}" for item in items), ""]
    return lines


def _lists(summary: Summary) -> Iterable[tuple[str, list[str]]]:
    files = summary.files
    told = {
        "Answers": [_answer(summary, name) for name in summary.answers],
        "To be merged by hand": files.conflicts,
        "Added": files.added,
        "Replaced by the standard's": files.replaced,
        "The standard's beside yours": [f"{place} beside {path}" for path, place in files.beside.items()],
        "Yours kept, though the standard has them too": files.kept,
        "The same in both": files.same,
        "Not taken, and not brought by later updates": [
            f"{title}: {shortened(left)}" for title, left in files.not_taken.items()
        ],
        "Not taken, since something of yours lies there": files.in_the_way,
    }
    return [(title, items) for title, items in told.items() if items]


def shortened(names: list[str], room: int = 60) -> str:
    """As many names as fit into so many characters, and how many there are beside them."""
    shown = names[:1]
    for name in names[1:]:
        if len(", ".join([*shown, name])) > room:
            return f"{', '.join(shown)} and {len(names) - len(shown)} more"
        shown.append(name)
    return ", ".join(shown)


def _answer(summary: Summary, name: str) -> str:
    where = summary.guessed.get(name)
    return f"{name}: {' '.join(str(summary.answers[name]).split())}" + (f"  (from {where})" if where else "")


def _next(summary: Summary) -> list[str]:
    if summary.checked:
        return ["Nothing was changed."]
    if summary.outcome == CONFLICTS:
        return [f"Resolve the files in conflict, then git add and git commit; {undo_command()} takes it back."]
    return [f"Commit {(summary.commit or '')[:10]} has it all; {undo_command()} takes it back."]
