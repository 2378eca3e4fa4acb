"""Few cases in which each pair of choices still occurs: most faults of options lie between two of them."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

Choice = tuple[str, Any]
Pair = tuple[Choice, Choice]


def all_pairs(choices: Mapping[str, Sequence[Any]]) -> list[Pair]:
    """Each combination of a choice of one question with a choice of another one."""
    return [
        ((one, value), (other, another))
        for one, other in combinations(choices, 2)
        for value, another in product(choices[one], choices[other])
    ]


def pairs_in(case: Mapping[str, Any]) -> set[Pair]:
    return set(combinations(case.items(), 2))


def cases(choices: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Answers to all questions until each pair has occurred; each case begins with a pair that has not."""
    missing = dict.fromkeys(all_pairs(choices))
    found = []
    while missing:
        case = _in_order(choices, dict(next(iter(missing))))
        for question in choices:
            if question not in case:
                candidates = [_in_order(choices, {**case, question: value}) for value in choices[question]]
                case = max(candidates, key=lambda candidate: len(pairs_in(candidate) & missing.keys()))
        for pair in pairs_in(case):
            missing.pop(pair, None)
        found.append(case)
    return found


def _in_order(choices: Mapping[str, Sequence[Any]], case: Mapping[str, Any]) -> dict[str, Any]:
    return {question: case[question] for question in choices if question in case}
