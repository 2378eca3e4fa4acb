"""Says what was found out about a service: in lines for a person at a terminal, and as data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from ..wording import shown
from .findings import Behind, Drift, File, State
from .waivers import WAIVERS_FILE, Waiver

SCHEMA = 1

# Of the sixteen colours that a terminal's owner chooses, so that they suit a light and a dark one.
COLOURS = {"edited": "bold red", "missing": "bold red", "behind": "yellow", "waived": "cyan", "ignored": "yellow"}
ORDER = (*COLOURS, "unchanged")
WHAT_HAPPENS = {
    Behind.CHANGED: "changed in {newest}",
    Behind.REMOVED: "gone in {newest}",
    Behind.ADDED: "new in {newest}",
}
DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True)
class Refused:
    """A service that could not be looked at, and why."""

    service: str
    reason: str


# -- For a person ------------------------------------------------------------------------------------------------------


def lines(found: Drift, *, everything: bool = False) -> Iterator[Text]:
    """What was found, the verdict first; with `everything` the files too that are unchanged."""
    yield _verdict(found)
    yield Text(f"  {_version(found)}", "dim")
    told = sorted(found.files, key=lambda file: (ORDER.index(_word(file)), file.path))
    rows = [file for file in told if everything or file.state is not State.UNCHANGED]
    if rows:
        yield Text()
    width = max((len(shown(file.path)) for file in rows), default=0)
    for file in rows:
        yield _row(file, min(width, 40), found.newest)
    for file in rows:
        if file.diff:
            yield from _diff(file.diff)
    yield Text()
    for note in _notes(found):
        yield Text(f"  {note}")


def _verdict(found: Drift) -> Text:
    name = (shown(found.service), "bold")
    if not found.has_drifted:
        return Text.assemble(name, ("  no drift", "bold green"), f": {_counts(found)}")
    return Text.assemble(name, ("  drift", "bold red"), f": {_counts(found)}")


def _counts(found: Drift) -> str:
    counts = {
        "edited": found.edited,
        "missing": found.missing,
        "behind": found.behind,
        "waived": found.waived,
    }
    return ", ".join([*(f"{count} {word}" for word, count in counts.items() if count), f"{found.unchanged} unchanged"])


def _version(found: Drift) -> str:
    version = f"version {shown(found.version)} of {shown(found.source)}"
    if not found.releases_behind:
        return f"{version}, behind no release"
    releases = "1 release" if found.releases_behind == 1 else f"{found.releases_behind} releases"
    return f"{version}, {releases} behind {shown(found.newest)}"


def _word(file: File) -> str:
    return "waived" if file.waived else str(file.state)


def _row(file: File, width: int, newest: str) -> Text:
    word = _word(file)
    said = "; ".join(_said(file, shown(newest)))
    name = shown(file.path)
    return Text.assemble("  ", (f"{word:9}", COLOURS.get(word, "dim")), f"  {name:{width}}  {said}".rstrip())


def _said(file: File, newest: str) -> Iterable[str]:
    """What is to be said of a file beside its state."""
    if file.waived:
        yield str(file.state)
    if file.remark:
        yield shown(file.remark)
    if file.behind:
        too = "" if file.state is State.BEHIND else " too" if file.behind is Behind.CHANGED else ""
        yield WHAT_HAPPENS[file.behind].format(newest=newest) + too
    if file.waiver and file.expired:
        yield f"its waiver expired after {file.waiver.until}: {shown(file.waiver.reason)}"
    elif file.waiver:
        yield f"until {file.waiver.until}: {shown(file.waiver.reason)}"


def _diff(patch: str) -> Iterator[Text]:
    yield Text()
    for line in patch.removesuffix("\n").split("\n"):
        head = line.startswith(("diff ", "index ", "--- ", "+++ "))
        text = "\t".join(shown(part) for part in line.split("\t"))
        yield Text(f"  {text}", "bold" if head else DIFF_COLOURS.get(line[:1], ""))


def _notes(found: Drift) -> Iterator[str]:
    for waiver in found.unused:
        yield f"{WAIVERS_FILE}: {shown(waiver.path)} waives nothing; until {waiver.until}: {shown(waiver.reason)}"
    if found.newest_unseen:
        yield f"Whether files are behind could not be seen. {shown(found.newest_unseen)}"
    counts = [f"{count} {owner}" for owner, count in found.not_judged.items() if count]
    if counts:
        yield f"Not judged, since they are the team's: {', '.join(counts)}"
    if found.uncommitted:
        yield "The work tree holds changes that are not committed; they count."


# -- For programs ------------------------------------------------------------------------------------------------------


def as_data(found: Sequence[Drift | Refused], exit_code: int) -> dict[str, Any]:
    """What was found about all services; `drift.schema.json` describes it."""
    services = [_of_refused(one) if isinstance(one, Refused) else _of_service(one) for one in found]
    return {"schema": SCHEMA, "exit_code": exit_code, "services": services}


def _of_refused(refused: Refused) -> dict[str, Any]:
    return {"service": refused.service, "outcome": "refused", "reason": refused.reason}


def _of_service(found: Drift) -> dict[str, Any]:
    return {
        "service": found.service,
        "outcome": "drift" if found.has_drifted else "no drift",
        "source": found.source,
        "version": found.version,
        "newest": found.newest,
        "releases_behind": found.releases_behind,
        "newest_unseen": found.newest_unseen,
        "uncommitted": found.uncommitted,
        "counts": {
            "edited": found.edited,
            "missing": found.missing,
            "behind": found.behind,
            "waived": found.waived,
            "unchanged": found.unchanged,
            **found.not_judged,
        },
        "files": [_of_file(file) for file in found.files],
        "unused_waivers": [_of_waiver(waiver) for waiver in found.unused],
    }


def _of_file(file: File) -> dict[str, Any]:
    return {
        "path": file.path,
        "state": str(file.state),
        "behind": str(file.behind) if file.behind else None,
        "waived": file.waived,
        "waiver": _of_waiver(file.waiver) | {"expired": file.expired} if file.waiver else None,
        "remark": file.remark,
        "diff": file.diff,
    }


def _of_waiver(waiver: Waiver) -> dict[str, Any]:
    return {"path": waiver.path, "reason": waiver.reason, "until": waiver.until.isoformat()}
