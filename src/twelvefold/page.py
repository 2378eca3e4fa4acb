"""TWELVE_FACTOR.md: what holds of a service, for people.

The page holds what changes rarely, so that it changes only with a verdict, with the claims or with the suite. What was
observed, when and on what is in the evidence. Reasons are shown only for what did not run, does not apply or is
attested: those of a failure hold observed values.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace

from .results import OWN, Result, Run, Verdict
from .sabotages import Sabotages, proven
from .wording import MARKS, OF_CLAIM, of_factor, plain, summary, title

EXPLAINED = (Verdict.NOT_RUN, Verdict.NOT_APPLICABLE, Verdict.ATTESTED)

INTRODUCTION = """\
**{service}** is not said to follow [the twelve factors](https://12factor.net): it is put to the test. Each claim below
is one experiment that starts the service, or builds it, in a place of its own and judges what is seen from outside:
processes, sockets, files, database rows, bytes on stdout. One failed claim fails its factor. What goes beyond the
twelve comes after them, and is not counted among them.

A check that cannot fail would prove nothing. *Sabotages caught* says for how many deliberate defects, each planted
alone in a healthy service, a check has turned red. One that has caught none may not show a pass.
"""

ORIGIN = """\
`{again}` writes this page, and nothing else does: {refused} one that was edited by hand. It is out of date only
when a verdict changes, or the set of claims. What was observed, when and on which machine is in the evidence of a
run: its `twelve-factor.json`, reports and logs.

Written by Twelvefold {suite}, suite `{suite_hash}`{where}.{sabotages}
"""

ANY_IMAGE = "NAME@sha256:..."
IN_CONTAINERS = ", from containers of an image"
OTHER_STATE = " The sabotages were last planted for another state of the suite."

CHECK = re.compile(r"\n<!-- make prove: sha256 ([0-9a-f]{64}) -->\n\Z")
ROW = re.compile(
    r"^\| (?P<claim>[^|\s]+) \| (?P<promise>.*) \| (?P<verdict>[^|]*) \| [^|]* \| `[^|]*` \|$", re.MULTILINE
)
VOUCHED = re.compile(r"^- [^ ].*? attested: .*$", re.MULTILINE)

NO_CHECK = "it does not end with the check value that `make prove` writes"
EDITED = "it was changed after `make prove` wrote it"


def render(run: Run, sabotages: Sabotages) -> str:
    """The page of a complete run."""
    run = replace(run, artifact=ANY_IMAGE)  # the page outlives the image that it is of
    shown = proven(run, sabotages)
    sections = "\n".join(_section(shown, factor, sabotages) for factor in shown.factors)
    suite_hash = run.suite_hash.removeprefix("sha256:")[:16]
    where = IN_CONTAINERS if run.driver == "image" else ""
    older = OTHER_STATE if sabotages.caught and sabotages.suite_hash != run.suite_hash else ""
    body = "\n".join(
        [
            f"# {summary(shown)}\n",
            INTRODUCTION.format(service=_text(run.service)),
            _overview(shown, sabotages),
            sections,
            "## Where this page comes from\n",
            ORIGIN.format(
                again=run.again,
                refused="CI refuses" if run.again.startswith("make ") else "`--check` refuses",
                suite=run.suite,
                suite_hash=suite_hash,
                where=where,
                sabotages=older,
            ),
        ]
    )
    return f"{body}\n<!-- make prove: sha256 {_sha256(body)} -->\n"


def verify(page: str) -> str | None:
    """Why the page is not as `make prove` wrote it, or None.

    It finds an edit. A forgery takes the same few lines as this, and comes out in a complete run, which writes anew.
    """
    page = page.replace("\r\n", "\n")
    check = CHECK.search(page)
    if not check:
        return NO_CHECK
    return None if check[1] == _sha256(page[: check.start()]) else EDITED


def of_image(page: str) -> bool:
    """Whether a page says what containers of an image showed, of which less can be seen than of processes."""
    return f"`{IN_CONTAINERS}." in page


def stale(page: str, run: Run, sabotages: Sabotages) -> str | None:
    """Why the page is out of date, or None; a newer suite that comes to the same verdicts does not make it so."""
    fresh = render(run, sabotages)
    old, new = _rows(page), _rows(fresh)
    if added := [claim for claim in new if claim not in old]:
        return f"it lacks {', '.join(added)}"
    if gone := [claim for claim in old if claim not in new]:
        return f"it still has {', '.join(gone)}"
    changed = [claim for claim in new if old[claim] != new[claim] and not _now_applies(old[claim], new[claim])]
    said = [
        f"{claim} is {new[claim][1]!r}, not {old[claim][1]!r}" for claim in changed if old[claim][1] != new[claim][1]
    ]
    reworded = [f"{claim} promises something else" for claim in changed if old[claim][0] != new[claim][0]]
    others = (
        []
        if said or reworded or _vouched(page) == _vouched(fresh)
        else ["somebody vouches otherwise for what no machine sees"]
    )
    return "; ".join([*said, *reworded, *others]) or None


def _now_applies(old: tuple[str, str], new: tuple[str, str]) -> bool:
    """Whether a claim holds that had nothing to speak of before, as one about the release before the first."""
    return old[0] == new[0] and (old[1], new[1]) == (OF_CLAIM[Verdict.NOT_APPLICABLE], OF_CLAIM[Verdict.PASS])


def first_line(page: str) -> str:
    """The line that says it all, without the mark of a heading."""
    return page.partition("\n")[0].removeprefix("# ")


def failed(page: str) -> list[str]:
    """The claims that a page shows as failed or in error."""
    bad = {OF_CLAIM[Verdict.FAIL], OF_CLAIM[Verdict.ERROR]}
    return [claim for claim, (_, verdict) in _rows(page).items() if verdict in bad]


def _rows(page: str) -> dict[str, tuple[str, str]]:
    """What each claim promises, and its verdict without the mark."""
    return {row["claim"]: (row["promise"], row["verdict"].strip("* ")[2:]) for row in ROW.finditer(page)}


def _vouched(page: str) -> list[str]:
    """Who vouches for what."""
    return VOUCHED.findall(page)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _overview(run: Run, sabotages: Sabotages) -> str:
    rows = ["| Factor | Verdict | Claims that pass | Sabotages caught |", "| --- | --- | :-: | :-: |"]
    for factor in run.factors:
        results = run.of_factor(factor)
        passed = sum(result.verdict is Verdict.PASS for result in results)
        caught = sum(sabotages.of(result.claim) or 0 for result in results)
        number = _number(caught if factor != OWN else None, sabotages)
        name = f"[{title(factor)}](#{_anchor(_heading(run, factor))})"
        verdict = run.verdict(factor)
        rows.append(
            f"| {name} | {_verdict(verdict, of_factor(factor, verdict))} | {passed} of {len(results)} | {number} |"
        )
    return "\n".join(rows) + "\n"


def _section(run: Run, factor: str, sabotages: Sabotages) -> str:
    results = run.of_factor(factor)
    lines = [f"## {_heading(run, factor)}", ""]
    if results:
        lines += [
            "| Claim | What is promised | Threshold | Verdict | Caught | Repeat it |",
            "| --- | --- | --- | --- | :-: | --- |",
            *(_row(run, result, sabotages) for result in results),
            "",
        ]
    lines += [*_reasons(results)]
    return "\n".join(lines)


def _heading(run: Run, factor: str) -> str:
    return f"{title(factor)}: {of_factor(factor, run.verdict(factor))}"


def _row(run: Run, result: Result, sabotages: Sabotages) -> str:
    claim = result.claim
    cells = [
        claim.id,
        _text(claim.statement),
        _text(claim.threshold),
        _verdict(result.verdict, OF_CLAIM[result.verdict]),
        _number(sabotages.of(claim), sabotages),
        f"`{run.command(claim)}`",
    ]
    return f"| {' | '.join(cells)} |"


def _reasons(results: list[Result]) -> Iterator[str]:
    """Says once what several claims have in common."""
    claims: dict[str, list[str]] = {}
    for result in results:
        if result.verdict in EXPLAINED:
            said = f"{OF_CLAIM[result.verdict]}: {_text(result.reason)}"
            claims.setdefault(said, []).append(result.claim.id)
    for said, ids in claims.items():
        yield f"- {', '.join(ids)} {said}"
    if claims:
        yield ""


def _verdict(verdict: Verdict, word: str) -> str:
    said = f"{MARKS[verdict]} {word}"
    return f"**{said}**" if verdict in (Verdict.FAIL, Verdict.ERROR) else said


def _number(caught: int | None, sabotages: Sabotages) -> str:
    return "–" if caught is None or not sabotages.caught else str(caught)


def _text(text: str) -> str:
    """Text for a cell: what would be markup is shown as it is, save `code`."""
    parts = re.split(r"(`[^`]+`)", plain(text))
    escaped = [part if place % 2 else _escaped(part) for place, part in enumerate(parts)]
    return "".join(escaped).replace("|", "\\|")


def _escaped(text: str) -> str:
    return re.sub(r"[\\*\[\]`]|(?<!\w)_|_(?!\w)|<(?=[a-zA-Z/!?])|&(?=#?\w+;)", lambda sign: f"\\{sign[0]}", text)


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
