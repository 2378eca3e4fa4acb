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

LOOKS_FIRST = """\
    began = time.monotonic()
    with db.connect() as conn:
        conn.autocommit = True
        while time.monotonic() - began < 2:
            if conn.execute("SELECT to_regclass('things_away') AS name").fetchone()["name"]:
                raise SystemExit("my table is not where it was")
    db.migrate()
"""


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


def test_a_process_that_makes_its_tables_is_left_to_do_so(tmp_path: Path) -> None:
    """No table is taken away in the meantime: one of that name would be there, and not be there."""
    service = tmp_path / "flask"
    shutil.copytree(FOREIGN / "flask", service, ignore=shutil.ignore_patterns("__pycache__"))
    worker = service / "worker.py"
    before, migrates, after = worker.read_text().partition("    db.migrate()\n")
    assert migrates, "the worker makes its tables elsewhere now"
    worker.write_text(before + LOOKS_FIRST + after)
    copies.commit(service, "Begin")
    found = verdicts(service, ["VII.2"], tmp_path / "evidence")
    assert found["VII.2"]["verdict"] == "pass", found["VII.2"]["reason"]
