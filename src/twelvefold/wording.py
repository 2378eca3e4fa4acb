"""How verdicts are said: the words and marks for people, and a whole run in one line."""

from __future__ import annotations

from collections.abc import Sequence

from .results import FACTORS, OWN, TWELVE, Run, Verdict

MARKS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.ERROR: "!",
    Verdict.NOT_RUN: "○",
    Verdict.NOT_APPLICABLE: "–",
    Verdict.ATTESTED: "◇",
}

OF_CLAIM = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.ERROR: "error",
    Verdict.NOT_RUN: "not run",
    Verdict.NOT_APPLICABLE: "not applicable",
    Verdict.ATTESTED: "attested",
}

OF_FACTOR = {
    Verdict.PASS: "holds",
    Verdict.FAIL: "fails",
    Verdict.ERROR: "in error",
    Verdict.NOT_RUN: "not shown",
    Verdict.NOT_APPLICABLE: "does not apply",
    Verdict.ATTESTED: "attested",
}

PLURAL = {Verdict.PASS: "hold", Verdict.FAIL: "fail", Verdict.NOT_APPLICABLE: "do not apply"}

# What keeps a factor from holding, in the order in which it is told.
SHORTCOMINGS = (Verdict.ERROR, Verdict.NOT_RUN, Verdict.ATTESTED)


def title(factor: str) -> str:
    """A factor's number and name, such as `IX Disposability`."""
    return f"{factor} {FACTORS[factor]}" if factor in FACTORS else factor


def of_factor(factor: str, verdict: Verdict) -> str:
    """What a verdict says of a factor, such as `holds`; of a team's own claims, `hold`."""
    return PLURAL.get(verdict, OF_FACTOR[verdict]) if factor == OWN else OF_FACTOR[verdict]


def plain(text: str) -> str:
    """The text on one line, without control characters: what a service under test wrote is not to be trusted."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def shown(text: str) -> str:
    """A text on one line that can do nothing to a terminal: what is in a service is not to be trusted."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def duration(seconds: float) -> str:
    """A time for people, such as `0.9 s`, `48 s` or `2 min 22 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def held(run: Run) -> int:
    """How many of the twelve factors hold; those beyond the twelve do not count."""
    return sum(run.verdict(factor) is Verdict.PASS for factor in TWELVE)


def summary(run: Run) -> str:
    """The run in one line, such as `11 of 12 factors hold; IX Disposability fails: IX.2`."""
    head = _factors(run) if run.complete else _claims(run)
    rest = [f"{OF_FACTOR[verdict]}: {short}" for verdict in SHORTCOMINGS if (short := _listed(_ids(run, verdict)))]
    return "; ".join([*head, *rest])


def _factors(run: Run) -> list[str]:
    """What is said of the factors of a complete run: how many hold, which fail, which do not apply."""
    number = held(run)
    fail = [factor for factor in run.factors if run.verdict(factor) is Verdict.FAIL]
    idle = [title(factor) for factor in TWELVE if run.verdict(factor) is Verdict.NOT_APPLICABLE]
    silent = [title(factor) for factor in run.factors if not run.of_factor(factor)]
    return [
        f"{number} of {len(TWELVE)} factors {'holds' if number == 1 else 'hold'}",
        *_failing(run, fail),
        *([f"without any result: {_listed(silent)}"] if silent else []),
        *([f"not applicable: {_listed(idle)}"] if idle else []),
    ]


def _claims(run: Run) -> list[str]:
    """What is said of a run of some claims: how many pass, and which fail."""
    number, total = len(_ids(run, Verdict.PASS)), len(run.results)
    failed = _listed(_ids(run, Verdict.FAIL))
    return [
        f"{number} of {total} {'claim' if total == 1 else 'claims'} {'passes' if 1 in (number, total) else 'pass'}",
        *([f"failed: {failed}"] if failed else []),
    ]


def _failing(run: Run, factors: Sequence[str]) -> list[str]:
    """Names each factor that fails, as long as the line stays readable."""
    if len(factors) > 2:
        return [f"{len(factors)} fail: {_listed(_ids(run, Verdict.FAIL))}"]
    return [
        f"{title(factor)} {of_factor(factor, Verdict.FAIL)}: {_listed(_ids(run, Verdict.FAIL, factor))}"
        for factor in factors
    ]


def _ids(run: Run, verdict: Verdict, *factors: str) -> list[str]:
    """The claims with that verdict, of all factors unless some are named."""
    results = (one for factor in factors or run.factors for one in run.of_factor(factor))
    return [one.claim.id for one in results if one.verdict is verdict]


def _listed(names: Sequence[str], most: int = 5) -> str:
    """`a, b and c`, or the first few and how many more there are."""
    shown = [*names] if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)
