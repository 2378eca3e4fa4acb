"""Lets a person at the terminal decide what is taken of the standard."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from .beside import side_by_side
from .choices import Choices, Decision, defaults
from .comparison import Both, Comparison, Group
from .guesses import Guess
from .summary import shortened

WHOLE, KEEP_ALL = "show all of it", "keep ours, here and in all that follow"


def ask(comparison: Comparison) -> Choices:
    """Shows each file that both have, then offers what only the standard has. Raises KeyboardInterrupt."""
    return Choices(_ask_about_both(comparison.differing, Console()), _ask_what_to_take(comparison))


def tell_guesses(guesses: Mapping[str, Guess]) -> None:
    """Says which answers stand in the questions that follow, and where they come from."""
    console = Console()
    if guesses:
        console.print("Guessed from the service's files; Return takes what is shown:", style="bold")
    for question, found in guesses.items():
        console.print(Text(f"  {question}: {found.answer}  (from {found.where})"))


def show_differences(comparison: Comparison, console: Console) -> None:
    """Shows each file that both have, whole, and asks nothing."""
    for both in comparison.differing:
        _show(both, console, whole=True)


def _ask_about_both(differing: list[Both], console: Console) -> dict[str, Decision]:
    decisions = {}
    for number, both in enumerate(differing, 1):
        _show(both, console, whole=False)
        decision = _decision(both, console, f"{both.path} ({number} of {len(differing)})")
        if decision is None:
            break
        decisions[both.path] = decision
    return decisions


def _decision(both: Both, console: Console, title: str) -> Decision | None:
    """What becomes of a file; None to keep it, and all that follow."""
    import questionary

    name = both.path.rpartition("/")[2]
    choices = [
        questionary.Choice("keep ours", Decision.KEEP),
        questionary.Choice("take the standard's", Decision.TAKE),
        questionary.Choice(f"write the standard's beside it, as {name}.standard", Decision.BESIDE),
        questionary.Choice("merge by hand: both, with conflict markers", Decision.MERGE),
        questionary.Choice(WHOLE, WHOLE),
        questionary.Choice(KEEP_ALL, KEEP_ALL),
    ]
    while True:
        answer = questionary.select(f"{title}: which one?", choices=choices).unsafe_ask()
        if isinstance(answer, Decision):
            return answer
        if answer == KEEP_ALL:
            return None
        _show(both, console, whole=True)


def _show(both: Both, console: Console, *, whole: bool) -> None:
    console.print()
    console.print(Rule(both.path, align="left"))
    console.print(side_by_side(both, whole=whole))


def _ask_what_to_take(comparison: Comparison) -> set[str]:
    import questionary

    if not comparison.groups:
        return set()
    ticked = defaults(comparison).take
    groups = [
        questionary.Choice(f"{group.title}: {shortened(group.files)}", group, checked=group.ticked)
        for group in comparison.groups
    ]
    taken = questionary.checkbox("Only the standard has these. Which do you take?", choices=groups).unsafe_ask()
    files = [path for group in taken for path in group.files]
    if len(files) < 2 or not questionary.confirm("Choose among their files?", default=False).unsafe_ask():
        return set(files)
    single = [questionary.Choice(path, path, checked=path in ticked or not _is_ticked(path, taken)) for path in files]
    return set(questionary.checkbox("Which files?", choices=single).unsafe_ask())


def _is_ticked(path: str, groups: list[Group]) -> bool:
    return any(path in group.files and group.ticked for group in groups)
