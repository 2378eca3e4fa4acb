"""Adopts one service: renders the standard, compares, lets somebody choose, and changes the service in one step."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from .. import draft
from ..harness.contract import FILE as FACTORS
from ..looking import Unreadable
from ..update.changing import change_service, require_identity
from ..update.git import Refusal
from ..update.merge import Sides, merge
from ..update.options import Options
from ..update.ownership import ownership
from ..update.proposal import propose
from ..update.rendering import Order, Rendering, recording, refuse_lost_answers, render, render_asking_all
from ..update.service import ANSWERS_FILE, Repository, Service, open_foreign
from ..update.template import HOST, Version, address, holds_a_secret, open_template, wanted_version
from ..update.transition import alone, recover_first
from ..update.trees import Tree, add_folder, make_scratch
from .choices import Choices, Chooser, Decision
from .comparison import Comparison, compare
from .guesses import Guess, guess
from .notes import notes
from .summary import Summary, as_message, summarise

NO_ANSWERS: bytes = b"{}\n"
BESIDE = ".standard"
# What Copier takes for git by itself; every other address needs a prefix.
KNOWN_TO_COPIER = re.compile(r"(git@|git://|git\+|gh:|gl:|https://(github|gitlab)\.com/).*|.*\.git")


@dataclass(frozen=True)
class Wish:
    """Which template is adopted, whether its questions are asked at the terminal, and who chooses the files."""

    source: str
    asks: bool
    choose: Chooser


@dataclass(frozen=True)
class Standard:
    """The template as rendered for a service, with the guesses that it took."""

    version: Version
    rendering: Rendering
    guesses: dict[str, Guess]


def adopt_service(repository: Repository, scratch: Path, options: Options, wish: Wish) -> Summary:
    """Adopts a service, or with `check` only says what would happen. Raises Refusal and leaves it as it was."""
    with nullcontext() if options.check else alone(repository):
        recover_first(repository, check=options.check)
        service = open_foreign(repository, template_source(wish.source))
        if not options.check:
            require_identity(repository)
        return _adopt(service, scratch, options, wish)


def template_source(source: str) -> str:
    """The template's address as it is recorded, since updates start from elsewhere: a folder by its whole path.

    Raises Refusal for an address that holds a password or a token, which everybody could read then.
    """
    if not source.strip():
        raise Refusal("--from names no template: give its address, or its folder.")
    folder = Path(address(source)).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if holds_a_secret(source):
        raise Refusal("The template's address holds credentials, which would be recorded: let git have them elsewhere.")
    remote = "://" in source or HOST.match(source)
    return f"git+{source}" if remote and not KNOWN_TO_COPIER.fullmatch(source) else source


def _adopt(service: Service, scratch: Path, options: Options, wish: Wish) -> Summary:
    work = make_scratch(scratch / "scratch.git", service.repository)
    standard = _standard(service, scratch, options, wish)
    head = work.tree(service.head)
    rendered = add_folder(work, standard.rendering.root, head)
    owners = ownership(standard.rendering, standard.rendering)
    comparison = compare(service, head, rendered, owners, work)
    choices = wish.choose(comparison)
    if open_foreign(service.repository, service.source) != service:
        raise Refusal("There is a new commit since the first question: begin anew.")
    beside = _places_beside(service, head, comparison, choices)
    sides = _sides(service, standard.version, head, comparison, choices, beside)
    proposal = propose(service, head, sides, merge(work, sides))
    summary = summarise(service, standard, comparison, choices, beside, proposal)
    written = choices.take | set(choices.decided(Decision.TAKE))
    kept = [both for both in comparison.differing if both.path in summary.files.kept]
    told = notes(service, proposal.merge.tree, written, kept, work)
    summary = replace(summary, notes=told, asked=wish.asks, checked=options.check)
    if options.check:
        return summary
    conflicts = bool(proposal.conflicts)
    commit = change_service(service, work, proposal, as_message(summary), conflicts=conflicts)
    return replace(summary, commit=commit)


# -- The standard -----------------------------------------------------------------------------------------------------


def _standard(service: Service, scratch: Path, options: Options, wish: Wish) -> Standard:
    template = open_template(service.source, scratch)
    version = wanted_version(template, options.to)
    try:
        guesses = guess(service.repository.folder)
    except Unreadable as error:
        raise Refusal(str(error)) from error
    order = Order(service.source, version.commit, NO_ANSWERS, changed=options.answers, trusted=options.yes)
    standard = _render(service, version, scratch, order, guesses, asks=wish.asks)
    standard = replace(standard, rendering=recording(standard.rendering, template, version))
    refuse_lost_answers(options.answers, standard.rendering)
    _draft_factors(service, standard.rendering)
    return standard


def _render(
    service: Service, version: Version, scratch: Path, order: Order, guesses: dict[str, Guess], *, asks: bool
) -> Standard:
    """Renders with those guesses that are valid answers; with `asks` they are the defaults of questions."""
    repository = service.repository
    place = (scratch / "standard" / repository.top.name, repository.prefix, f"Version {version.said}")
    guesses = {name: found for name, found in guesses.items() if name not in order.changed}
    rendering, guesses = _render_guessing(order, place, guesses)
    if asks:
        from .asking import tell_guesses

        shutil.rmtree(place[0], ignore_errors=True)
        tell_guesses(guesses)
        rendering = render_asking_all(_guessing(order, guesses), *place)
    if isinstance(rendering, Refusal):
        raise rendering
    return Standard(version, rendering, guesses)


def _render_guessing(
    order: Order, place: tuple[Path, str, str], guesses: dict[str, Guess]
) -> tuple[Rendering | Refusal, dict[str, Guess]]:
    """Gives up guesses until the template takes the others; a refusal when that is not the trouble."""
    while True:
        try:
            return render(_guessing(order, guesses), *place), guesses
        except Refusal as refusal:
            if refusal.__cause__ is None:  # somebody has stopped it
                raise
            shutil.rmtree(place[0], ignore_errors=True)
            if not guesses:
                return refusal, guesses
            guesses = _without_the_refused(str(refusal), guesses)


def _guessing(order: Order, guesses: dict[str, Guess]) -> Order:
    return replace(order, guesses={name: found.answer for name, found in guesses.items()})


def _without_the_refused(reason: str, guesses: Mapping[str, Guess]) -> dict[str, Guess]:
    """The guesses but for the one that the reason names; none when it names none."""
    named = re.search(r"\bfor (?:question )?'(\w+)'", reason)
    if named is None or named[1] not in guesses:
        return {}
    return {name: found for name, found in guesses.items() if name != named[1]}


def _draft_factors(service: Service, rendering: Rendering) -> None:
    """Puts a draft in the place of the template's description, which is about processes that the service has not."""
    place = rendering.folder / FACTORS
    if not place.is_file():
        return
    try:
        place.write_text(draft.draft(service.repository.folder), "utf-8", "replace")
    except Unreadable as error:
        raise Refusal(f"{FACTORS} cannot be drafted: {error}") from error


# -- What is merged ---------------------------------------------------------------------------------------------------


def _places_beside(service: Service, head: Tree, comparison: Comparison, choices: Choices) -> dict[str, str]:
    """Where the standard's file is written that shall lie beside the service's own. Raises Refusal."""
    places = {path: f"{path}{BESIDE}" for path in choices.decided(Decision.BESIDE)}
    for place in places.values():
        if place in head or place in comparison.standard or (service.repository.top / place).exists():
            raise Refusal(f"{place} exists, so the standard's file cannot be written there: move it away first.")
    return places


def _sides(
    service: Service, version: Version, head: Tree, comparison: Comparison, choices: Choices, beside: dict[str, str]
) -> Sides:
    """An update whose old version is the service itself, so that only what was chosen differs in the new one.

    Of a file to be merged by hand the old version has nothing: git then shows both.
    """
    standard = comparison.standard
    base, theirs = dict(head), dict(head)
    for path in [f"{service.repository.prefix}{ANSWERS_FILE}", *choices.take, *choices.decided(Decision.TAKE)]:
        theirs[path] = standard[path]
    for path, place in beside.items():
        theirs[place] = standard[path]
    for path in choices.decided(Decision.MERGE):
        theirs[path] = standard[path]
        del base[path]
    return Sides(base=base, ours=head, theirs=theirs, label=f"template-{version.name}")
