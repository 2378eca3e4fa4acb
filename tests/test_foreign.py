"""Services that Twelvefold did not make get the verdicts that they deserve: `expected.toml` beside each says which.

The claims whose verdict is foretold are run, and no others; node needs Debian's `nodejs`.
"""

import shutil
import tomllib
from pathlib import Path

import pytest

from . import copies
from .sabotages import verdicts

FOREIGN = Path(__file__).parent / "foreign"
SERVICES = ("django", "flask", "node")
NEEDS = {"node": "node"}

UNSEEN = {"not_run", "not_applicable"}
ALLOWED = {
    "fail": {"fail"},
    "pass": {"pass"},
    "fail_or_unseen": {"fail"} | UNSEEN,
    "pass_or_unseen": {"pass"} | UNSEEN,
    "unseen": UNSEEN,
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_foreign_service_gets_the_right_verdicts(name: str, tmp_path: Path) -> None:
    if name in NEEDS and not shutil.which(NEEDS[name]):
        pytest.skip(f"not run: no {NEEDS[name]} on this machine")
    service = tmp_path / name
    shutil.copytree(FOREIGN / name, service, ignore=shutil.ignore_patterns("expected.toml", "__pycache__"))
    copies.commit(service, "Begin")
    expected = tomllib.loads((FOREIGN / name / "expected.toml").read_text())
    claims = {claim: kind for kind, table in expected.items() for claim in table}
    found = verdicts(service, claims, tmp_path / "evidence")
    wrong = {
        claim: f"{found[claim]['verdict']}, where {kind} is right: {found[claim]['reason']}"
        for claim, kind in claims.items()
        if found[claim]["verdict"] not in ALLOWED[kind]
    }
    assert not wrong, "\n".join(f"{claim}: {what}" for claim, what in wrong.items())
