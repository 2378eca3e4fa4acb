"""Finds out how far a service is from its template: renders the version that it has and the newest, and compares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ..update.git import GitError, Refusal, Stopped, listed
from ..update.itself import undo_command
from ..update.ownership import Ownership, ownership
from ..update.rendering import Order, Rendering, render
from ..update.service import ANSWERS_FILE, read_answers
from ..update.template import (
    Template,
    Version,
    open_template,
    recorded_version,
    releases_since,
    without_password,
)
from ..update.transition import is_left_half_way
from ..update.trees import Entry, Scratch, Tree, add_folder
from .findings import Behind, Drift, File, State
from .place import Place, Seen, extract, find_place
from .waivers import Waiver, read_waivers, waiver_of

EXECUTABLE, LINK = "100755", "120000"


@dataclass(frozen=True)
class Options:
    """How to look: with the diffs of edited files, on which day (default: today, in UTC), running a template's code.

    Who looks at many services of one template opens it once and hands it over.
    """

    diffs: bool = False
    today: date | None = None
    trusted: bool = False
    template: Template | None = None


LOOK = Options()


def drift(folder: Path, options: Options = LOOK) -> Drift:
    """How far the service in a folder is from its template; what lies there counts, committed or not.

    The folder is a service's work tree, or a plain folder with a service's files. Raises Refusal or GitError when it
    cannot be looked at. Nothing is written there. Copier is not made for threads: use a process for each service.
    """
    with _scratch() as scratch:
        return _drift(folder, scratch, options)


def drift_of_commit(repository: Path, commit: str = "HEAD", options: Options = LOOK) -> Drift:
    """How far a commit is from its template; the repository may be a bare one. Raises Refusal or GitError."""
    with _scratch() as scratch:
        folder = scratch / "commit" / repository.resolve().name.removesuffix(".git")
        extract(repository, commit, folder, scratch)
        return replace(_drift(folder, scratch, options), service=str(repository.resolve()))


@contextmanager
def _scratch() -> Iterator[Path]:
    with TemporaryDirectory(prefix="twelvefold-drift-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch).resolve()


def _drift(folder: Path, scratch: Path, options: Options) -> Drift:
    place = find_place(folder, scratch)
    if not place.is_plain and is_left_half_way(place.repository):
        raise Refusal(f"An update of {folder} was interrupted: {undo_command()} brings the service back as it was.")
    answers = read_answers(place.repository)
    source = str(answers["_src_path"])
    waivers = read_waivers(place.repository.folder)
    template = options.template or open_template(source, scratch)
    version = recorded_version(template, str(answers["_commit"]))
    later = releases_since(template, version)
    standard, newest_unseen = _standard(place, source, version, later, scratch, options)
    seen = place.look(standard.judged)
    files = _with_waivers(_files(standard, seen, place), waivers, _today(options))
    return Drift(
        service=str(place.repository.folder),
        source=without_password(source),
        version=version.said,
        newest=later[-1].said if later else version.said,
        releases_behind=len(later),
        uncommitted=place.is_uncommitted(),
        files=_described(files, standard, seen, place, diffs=options.diffs),
        unused=[one for one in waivers if not any(file.differs and one.matches(file.path) for file in files)],
        not_judged=_not_judged(place, standard),
        newest_unseen=newest_unseen,
    )


def _today(options: Options) -> date:
    return options.today or datetime.now(UTC).date()


# -- What the template has ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Standard:
    """The template's files for a service, from the top of its work tree on, and who owns which."""

    recorded: Tree
    newest: Tree
    newest_said: str
    owners: Ownership
    prefix: str

    @property
    def judged(self) -> set[str]:
        """The files that the template keeps up to date; the answers are what it was rendered with."""
        paths = self.recorded.keys() | self.newest.keys()
        return {path for path in paths if path != f"{self.prefix}{ANSWERS_FILE}" and self.owner_of(path) is None}

    def owner_of(self, path: str) -> str | None:
        """`starter` or `derived`, or None for any other file."""
        return self.owners.class_of(path.removeprefix(self.prefix))


def _standard(
    place: Place, source: str, version: Version, later: list[Version], scratch: Path, options: Options
) -> tuple[_Standard, str]:
    """Both versions as rendered for a service, and why the newest one could not be."""
    answers = (place.repository.folder / ANSWERS_FILE).read_bytes()
    attributes = place.attributes()
    order = Order(source, version.commit, answers, trusted=options.trusted)

    def rendered(order: Order, what: Version, name: str) -> tuple[Rendering, Tree]:
        root = scratch / name / place.repository.top.name
        rendering = render(order, root, place.prefix, f"Version {what.said}")
        return rendering, add_folder(place.scratch, root, attributes)

    old, recorded = new, newest = rendered(order, version, "old")
    said, unseen = version.said, ""
    if later:
        try:
            newer = replace(order, commit=later[-1].commit, secrets=old.secrets)
            (new, newest), said = rendered(newer, later[-1], "new"), later[-1].said
        except Stopped:
            raise
        except Refusal as refusal:
            unseen = str(refusal)
    return _Standard(recorded, newest, said, ownership(new, old), place.prefix), unseen


def _not_judged(place: Place, standard: _Standard) -> dict[str, int]:
    """How many of the service's files belong to the team, by their class."""
    counts = dict.fromkeys(("starter", "derived", "own"), 0)
    judged = standard.judged | {f"{place.prefix}{ANSWERS_FILE}"}
    for name in place.names():
        if name not in judged:
            counts[standard.owner_of(name) or "own"] += 1
    return counts


# -- What the service has ----------------------------------------------------------------------------------------------


def _files(standard: _Standard, seen: Seen, place: Place) -> list[File]:
    return [_file(path, standard, seen, place.prefix) for path in sorted(standard.judged)]


def _file(path: str, standard: _Standard, seen: Seen, prefix: str) -> File:
    """What became of one file. As the newest release has it is always fine, whatever the recorded version had."""
    recorded, newest, now = standard.recorded.get(path), standard.newest.get(path), seen.files.get(path)
    name, remark = path.removeprefix(prefix), seen.remarks.get(path, "")
    is_other = path in seen.others
    if path in seen.ignored:
        return File(name, State.IGNORED, remark="git ignores it")
    if now == newest and not is_other:
        return File(name, State.UNCHANGED, remark="" if now == recorded else f"as in {standard.newest_said} already")
    behind = _behind(recorded, newest)
    if recorded is None:
        return File(name, State.BEHIND, behind, remark or ("a file of yours lies there" if now else ""))
    if now is None and not is_other:
        return File(name, State.MISSING, behind, remark)
    if now == recorded:
        return File(name, State.BEHIND, behind)
    return File(name, State.EDITED, behind, remark or _other_mode(recorded, now))


def _behind(recorded: Entry | None, newest: Entry | None) -> Behind | None:
    if recorded == newest:
        return None
    return Behind.ADDED if recorded is None else Behind.REMOVED if newest is None else Behind.CHANGED


def _other_mode(recorded: Entry, now: Entry | None) -> str:
    """What a file is now that it was not, when that is more than another content."""
    if now is None or now.mode == recorded.mode:
        return ""
    if LINK in (recorded.mode, now.mode):
        return "became a symbolic link" if now.mode == LINK else "is a symbolic link no longer"
    return "became executable" if now.mode == EXECUTABLE else "is executable no longer"


def _with_waivers(files: list[File], waivers: list[Waiver], today: date) -> list[File]:
    """The files, each difference with the waiver that speaks of it."""
    found = []
    for file in files:
        waiver = waiver_of(waivers, file.path, today) if file.differs else None
        found.append(replace(file, waiver=waiver, expired=waiver is not None and waiver.expired(today)))
    return found


# -- What the edits are ------------------------------------------------------------------------------------------------


def _described(files: list[File], standard: _Standard, seen: Seen, place: Place, *, diffs: bool) -> list[File]:
    """The files, each difference with what there is to say of it."""
    return _with_moves(_with_edits(files, standard, seen, place, diffs=diffs), standard, place)


def _with_moves(files: list[File], standard: _Standard, place: Place) -> list[File]:
    """The files, the missing ones with where the team seems to have moved them, by what git takes for the same file."""
    missing = {f"{place.prefix}{file.path}" for file in files if file.state is State.MISSING and not file.remark}
    if not missing:
        return files
    own = [path for path in place.names() if path not in standard.judged and (place.repository.top / path).is_file()]
    try:
        now = place.scratch.write(place.stored(own, "own"))
    except GitError:
        return files  # the team's own files are not judged, so that one cannot be read is no error here
    recorded = place.scratch.write({path: standard.recorded[path] for path in missing})
    options = ("-r", "-M", "--diff-filter=R", "--name-status", "-z")
    parts = listed(place.scratch.git("diff-tree", *options, recorded, now))
    moved = {old: new.removeprefix(place.prefix) for old, new in zip(parts[1::3], parts[2::3], strict=True)}
    return [
        replace(file, remark=f"{moved[path]} is like it") if (path := f"{place.prefix}{file.path}") in moved else file
        for file in files
    ]


def _with_edits(files: list[File], standard: _Standard, seen: Seen, place: Place, *, diffs: bool) -> list[File]:
    """The files, the edited ones with how much was edited, and with `diffs` with what."""
    edited = {f"{place.prefix}{file.path}" for file in files if file.state is State.EDITED} - seen.others
    if not edited:
        return files
    comparison = _Comparison(
        place.scratch,
        place.scratch.write({path: standard.recorded[path] for path in edited}),
        place.scratch.write({path: seen.files[path] for path in edited}),
    )
    sizes, without_endings = comparison.sizes(), comparison.sizes("--ignore-cr-at-eol")
    found = []
    for file in files:
        if (path := f"{place.prefix}{file.path}") in edited:
            remark = ", ".join(part for part in (_size(path, sizes, without_endings), file.remark) if part)
            file = replace(file, remark=remark, diff=comparison.diff(path) if diffs else None)
        found.append(file)
    return found


def _size(path: str, sizes: dict[str, tuple[str, str]], without_endings: dict[str, tuple[str, str]]) -> str:
    added, removed = sizes.get(path, ("0", "0"))
    if added == "-":
        return "binary"
    if (added, removed) == ("0", "0"):
        return ""
    endings = ", line endings only" if without_endings.get(path, ("0", "0")) == ("0", "0") else ""
    return f"+{added} -{removed}{endings}"


@dataclass(frozen=True)
class _Comparison:
    """Two trees in the scratch repository, by their names. Nothing of the team's runs to compare them."""

    scratch: Scratch
    recorded: str
    now: str

    def sizes(self, *options: str) -> dict[str, tuple[str, str]]:
        """How many lines each file has more and less, as git counts them: `-` for a binary one."""
        lines = listed(self._differing("--numstat", "-z", *options))
        return {path: (added, removed) for added, removed, path in (line.split("\t", 2) for line in lines)}

    def diff(self, path: str) -> str:
        """What was edited in a file, as a patch."""
        return self._differing("--patch", only=(path,)).decode("utf-8", "replace")

    def _differing(self, *options: str, only: tuple[str, ...] = ()) -> bytes:
        always = ("diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
        return self.scratch.git(*always, *options, self.recorded, self.now, "--", *only, GIT_LITERAL_PATHSPECS="1")
