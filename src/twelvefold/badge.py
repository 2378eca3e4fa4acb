"""A small picture of the verdicts for a README: as shields.io reads it, and drawn."""

from __future__ import annotations

from html import escape

from .results import FACTORS, OWN, TWELVE, Run, Verdict
from .wording import held

LABEL = "twelve factors"
COLOURS = {"brightgreen": "#2f7d32", "yellow": "#8a6500", "red": "#b3261e", "lightgrey": "#5c6166"}

SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {message}">
  <title>{label}: {message}</title>
  <clipPath id="rounded"><rect width="{width}" height="20" rx="3"/></clipPath>
  <g clip-path="url(#rounded)">
    <rect width="{left}" height="20" fill="#41464b"/>
    <rect x="{left}" width="{right}" height="20" fill="{colour}"/>
  </g>
  <g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11" text-anchor="middle">
    <text x="{label_at}" y="14" textLength="{label_width}">{label}</text>
    <text x="{message_at}" y="14" textLength="{message_width}">{message}</text>
  </g>
</svg>
"""


def endpoint(run: Run) -> dict[str, str | int]:
    """The badge as https://shields.io/badges/endpoint-badge reads it."""
    message, colour = _message(run)
    return {"schemaVersion": 1, "label": LABEL, "message": message, "color": colour}


def svg(run: Run) -> str:
    """The badge as a picture that needs nobody else."""
    message, colour = _message(run)
    label_width, message_width = _width(LABEL), _width(message)
    left, right = label_width + 12, message_width + 12
    return SVG.format(
        label=LABEL,
        message=escape(message),
        colour=COLOURS[colour],
        width=left + right,
        left=left,
        right=right,
        label_at=left / 2,
        message_at=left + right / 2,
        label_width=label_width,
        message_width=message_width,
    )


def _message(run: Run) -> tuple[str, str]:
    if not run.complete:
        return "only some were run", "lightgrey"
    verdicts = {factor: run.verdict(factor) for factor in run.factors}
    idle = sum(verdicts[factor] is Verdict.NOT_APPLICABLE for factor in TWELVE)
    hold = f"{held(run)} of {len(TWELVE)} hold" + (
        f", {idle} {'does' if idle == 1 else 'do'} not apply" if idle else ""
    )
    for verdict, said in ((Verdict.FAIL, "fail"), (Verdict.ERROR, "in error")):
        if named := [factor for factor in verdicts if verdicts[factor] is verdict]:
            return f"{hold}, {_named(named, said)}", "red"
    good = {Verdict.PASS, Verdict.NOT_APPLICABLE}
    return hold, "brightgreen" if held(run) and good.issuperset(verdicts.values()) else "yellow"


def _named(factors: list[str], said: str) -> str:
    if len(factors) > 3:
        return f"{len(factors)} {said}"
    verb = "fails" if said == "fail" and len(factors) == 1 and factors != [OWN] else said
    return f"{', '.join(factor if factor in FACTORS else factor.lower() for factor in factors)} {verb}"


def _width(text: str) -> int:
    """About how wide the text is in Verdana at 11 pixels; `textLength` then makes it so in any other font."""
    narrow, wide = "fijlrt,.: I", "mwMWOV"
    return round(sum(4 if sign in narrow else 9.5 if sign in wide else 6.6 for sign in text))
