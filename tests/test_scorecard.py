"""What a run leaves behind, and what it says in a terminal."""

import io
import json
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from twelvefold import badge, page
from twelvefold.evidence import document
from twelvefold.progress import Progress, console_for
from twelvefold.results import FACTORS, OWN, SEVERITY, Claim, Result, Run, Verdict, worst
from twelvefold.sabotages import UNPROVEN, Sabotages, load, proven
from twelvefold.scorecard import check_page, write_evidence, write_page
from twelvefold.terminal.board import State, board
from twelvefold.wording import summary

SCHEMA = Path(page.__file__).with_name("scorecard.schema.json")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
HOSTILE = "a | pipe, <script>alert(1)</script>, *stars*, `code | code`, [link](x)\n\x1b[31mred\x1b[0m &lt; \udcff"
IDS = [f"{factor}.{number}" for factor in FACTORS for number in (1, 2, 3)]


def result(identifier: str, verdict: Verdict = Verdict.PASS, **other: Any) -> Result:
    claim = Claim(identifier, f"The promise of {identifier}", "boot < 10 s")
    reason = "" if verdict is Verdict.PASS else f"reason of {identifier}"
    return Result(claim, verdict, **{"reason": reason, "observed": ["boot 0.9 s < 10 s"], "seconds": 1.5, **other})


def a_run(*changed: Result, complete: bool = True, **other: Any) -> Run:
    """A run of three claims a factor that all pass, save those that are given."""
    results = {one.claim.id: one for one in (*map(result, IDS), *changed)}
    found: dict[str, Any] = {
        "service": "orders", "commit": "4f2a9c1", "changed": False, "driver": "process", "artifact": "sha256:ab12",
        "suite": "0.3.0", "suite_hash": "sha256:9c4e", "date": "2026-11-26T15:30:00Z", "seconds": 142.4,
        "machine": {"cores": "2"}, "results": [*results.values()],
    }  # fmt: skip
    return Run(**found | other, complete=complete)


def nothing_applies(*factors: str) -> list[Result]:
    """All claims of these factors, of which the service has nothing."""
    return [result(name, Verdict.NOT_APPLICABLE) for name in IDS if name.partition(".")[0] in factors]


CAUGHT = Sabotages("2026-11-26", "sha256:9c4e", dict.fromkeys(IDS, 2))
EVERY_VERDICT = [result(f"{factor}.2", verdict) for factor, verdict in zip(FACTORS, Verdict, strict=False)]
MIXED = a_run(*EVERY_VERDICT, result("ORDERS.1"))


# -- Verdicts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("worse", "better"), [*pairwise(SEVERITY)])
def test_a_factor_is_as_good_as_its_worst_claim(worse: Verdict, better: Verdict) -> None:
    assert worst([result("IX.1", better), result("IX.2", worse), result("IX.3", better)]) is worse


def test_every_verdict_has_its_place() -> None:
    assert sorted(SEVERITY) == sorted(Verdict)


def test_a_factor_without_any_result_does_not_hold() -> None:
    run = a_run()
    run.results = [one for one in run.results if one.claim.factor != "IX"]
    assert run.verdict("IX") is Verdict.NOT_RUN
    assert summary(run) == "11 of 12 factors hold; without any result: IX Disposability"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ([], "12 of 12 factors hold"),
        ([result("IX.2", Verdict.FAIL)], "11 of 12 factors hold; IX Disposability fails: IX.2"),
        ([result("XIII.2", Verdict.FAIL)], "12 of 12 factors hold; XIII API contract fails: XIII.2"),
        ([result("ORDERS.1", Verdict.FAIL)], "12 of 12 factors hold; Own claims fail: ORDERS.1"),
        ([result("II.3", Verdict.NOT_RUN)], "11 of 12 factors hold; not shown: II.3"),
        ([result("X.3", Verdict.ATTESTED)], "11 of 12 factors hold; attested: X.3"),
        ([result("X.3", Verdict.ERROR)], "11 of 12 factors hold; in error: X.3"),
        ([result("IV.3", Verdict.NOT_APPLICABLE)], "12 of 12 factors hold"),
        (
            [result(f"VIII.{number}", Verdict.NOT_APPLICABLE) for number in (1, 2, 3)],
            "11 of 12 factors hold; not applicable: VIII Concurrency",
        ),
        (
            [result(f"{factor}.1", Verdict.FAIL) for factor in [*FACTORS][:11]],
            "1 of 12 factors holds; 11 fail: I.1, II.1, III.1, IV.1 and 7 more",
        ),
    ],
)
def test_a_run_in_one_line(changed: list[Result], said: str) -> None:
    assert summary(a_run(*changed)) == said


def test_a_run_of_some_claims_says_nothing_of_factors() -> None:
    run = a_run(complete=False)
    run.results = [result("IX.1"), result("IX.2", Verdict.FAIL)]
    assert summary(run) == "1 of 2 claims passes; failed: IX.2"
    assert run.factors == ["IX"]


# -- Sabotages ---------------------------------------------------------------------------------------------------------


def test_a_pass_that_no_sabotage_stands_behind_is_not_shown_as_one() -> None:
    caught = Sabotages("2026-11-26", "sha256:9c4e", {**CAUGHT.caught, "IX.2": 0})
    shown = {one.claim.id: one for one in proven(a_run(), caught).results}
    assert (shown["IX.2"].verdict, shown["IX.2"].reason) == (Verdict.NOT_RUN, UNPROVEN)
    assert shown["IX.1"].verdict is Verdict.PASS
    text = page.render(a_run(), caught)
    assert page.first_line(text) == "11 of 12 factors hold; not shown: IX.2"
    assert f"- IX.2 not run: {UNPROVEN}" in text


def test_a_failure_stays_one_without_any_sabotage() -> None:
    [failed] = [
        one for one in proven(a_run(result("IX.2", Verdict.FAIL)), Sabotages()).results if one.claim.id == "IX.2"
    ]
    assert failed.verdict is Verdict.FAIL


def test_before_any_sabotage_was_planted_only_own_claims_pass(tmp_path: Path) -> None:
    shown = proven(a_run(result("ORDERS.1")), load(tmp_path / "sabotages.json")).results
    assert [one.claim.id for one in shown if one.verdict is Verdict.PASS] == ["ORDERS.1"]


def test_counts_are_read_as_the_session_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "sabotages.json"
    file.write_text(json.dumps({"date": "2026-11-26", "suite_hash": "sha256:9c4e", "caught": {"IX.2": 3}}))
    assert load(file) == Sabotages("2026-11-26", "sha256:9c4e", {"IX.2": 3})


@pytest.mark.parametrize("text", ["", "[]", '{"caught": {}}', '{"date": "", "suite_hash": "", "caught": {"IX.2": -1}}'])
def test_counts_that_nobody_can_read_are_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sabotages.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="nox -s sabotage"):
        load(file)


def test_the_page_tells_when_another_state_of_the_suite_was_sabotaged() -> None:
    assert page.OTHER_STATE.strip() not in page.render(a_run(), CAUGHT)
    assert page.OTHER_STATE.strip() in page.render(a_run(suite_hash="sha256:other"), CAUGHT)


# -- The page ----------------------------------------------------------------------------------------------------------


def cells(text: str) -> list[list[str]]:
    """What a reader sees in the rows of all tables of a page."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and token.level > 3:
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_the_first_line_says_it_all() -> None:
    text = page.render(a_run(result("IX.2", Verdict.FAIL)), CAUGHT)
    assert text.startswith("# 11 of 12 factors hold; IX Disposability fails: IX.2\n")
    assert page.first_line(text) == "11 of 12 factors hold; IX Disposability fails: IX.2"
    assert "%" not in text


def test_each_claim_has_a_row_with_all_that_is_known_to_stay() -> None:
    rows = cells(page.render(a_run(result("IX.2", Verdict.FAIL), result("ORDERS.1")), CAUGHT))
    assert ["IX.1", "The promise of IX.1", "boot < 10 s", "✓ pass", "2", "make prove CLAIM=IX.1"] in rows
    assert ["IX.2", "The promise of IX.2", "boot < 10 s", "✗ fail", "2", "make prove CLAIM=IX.2"] in rows
    assert ["ORDERS.1", "The promise of ORDERS.1", "boot < 10 s", "✓ pass", "–", "make prove CLAIM=ORDERS.1"] in rows
    assert ["IX Disposability", "✗ fails", "2 of 3", "6"] in rows
    assert len([row for row in rows if len(row) == 6 and row[0] != "Claim"]) == len(IDS) + 1


def test_a_factor_leads_to_its_section() -> None:
    text = page.render(a_run(), CAUGHT)
    assert "[X Dev/prod parity](#x-devprod-parity-holds)" in text
    assert "[V Build, release, run](#v-build-release-run-holds)" in text
    assert "\n## V Build, release, run: holds\n" in text


def test_what_is_written_in_a_claim_is_shown_and_not_obeyed() -> None:
    hostile = replace(result("ORDERS.1", Verdict.NOT_RUN, reason=HOSTILE), claim=Claim("ORDERS.1", HOSTILE, HOSTILE))
    text = page.render(a_run(hostile), CAUGHT)
    seen = "a | pipe, <script>alert(1)</script>, *stars*, code | code, [link](x) [31mred [0m &lt;"
    [row] = [row for row in cells(text) if row[0] == "ORDERS.1"]
    assert row == ["ORDERS.1", f"A{seen[1:]}", seen, "○ not run", "–", "make prove CLAIM=ORDERS.1"]
    assert page.verify(text) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("**✗ fail**", "✓ pass"),
        ("# 11 of 12 factors hold; IX Disposability fails: IX.2", "# 12 of 12 factors hold"),
        ("| boot < 10 s |", "| boot < 60 s |"),
        ("| ✓ pass | 2 |", "| ✓ pass | 9 |"),
        ("\n## Where", "\nAll is well.\n\n## Where"),
        ("\n<!-- make prove: ", "\nAll is well.\n<!-- make prove: "),
        (" -->\n", " -->\nAll is well.\n"),
        ("<!-- make prove: sha256 ", "<!-- "),
    ],
)
def test_an_edit_by_hand_is_refused(old: str, new: str) -> None:
    text = page.render(a_run(result("IX.2", Verdict.FAIL)), CAUGHT)
    assert page.verify(text) is None
    assert old in text
    assert page.verify(text.replace(old, new)) in (page.EDITED, page.NO_CHECK)


def test_a_page_as_git_checks_it_out_on_windows_is_no_edit() -> None:
    assert page.verify(page.render(a_run(), CAUGHT).replace("\n", "\r\n")) is None


def test_what_changes_with_each_run_is_not_on_the_page(tmp_path: Path) -> None:
    file = tmp_path / "TWELVE_FACTOR.md"
    assert write_page(a_run(result("IX.2", Verdict.FAIL, reason="exit took 14.1 s")), file, CAUGHT)
    before = file.read_bytes()
    slower = [result(one, seconds=9.0, observed=["boot 8.8 s < 10 s"], log="another line") for one in IDS]
    other = a_run(
        *slower,
        result("IX.2", Verdict.FAIL, reason="exit took 19.9 s", observed=[]),
        date="2027-01-01T00:00:00Z", commit="0ddba11", changed=True, artifact="sha256:cd34", seconds=99.0,
        machine={"cores": "64"}, driver="image",
    )  # fmt: skip
    assert not write_page(other, file, CAUGHT)
    assert file.read_bytes() == before


def test_a_verdict_or_another_set_of_claims_makes_the_page_stale(tmp_path: Path) -> None:
    file = tmp_path / "TWELVE_FACTOR.md"
    write_page(a_run(), file, CAUGHT)
    text = file.read_text()
    failed, more = a_run(result("IX.2", Verdict.FAIL)), a_run(result("ORDERS.1"))
    other = a_run(replace(result("IX.2"), claim=Claim("IX.2", "The promise of IX.2", "boot < 60 s")))
    assert page.stale(text, a_run(), CAUGHT) is None
    assert page.stale(text, failed, CAUGHT) == "IX.2 is 'fail', not 'pass'"
    assert page.stale(text, more, CAUGHT) == "it lacks ORDERS.1"
    assert page.stale(page.render(more, CAUGHT), a_run(), CAUGHT) == "it still has ORDERS.1"
    assert page.stale(text, other, CAUGHT) == "IX.2 promises something else"
    assert write_page(failed, file, CAUGHT)


def test_a_claim_that_begins_to_apply_and_holds_does_not_make_the_page_stale() -> None:
    first = page.render(a_run(result("IX.2", Verdict.NOT_APPLICABLE)), CAUGHT)
    assert page.stale(first, a_run(result("IX.2")), CAUGHT) is None
    assert page.stale(first, a_run(result("IX.2", Verdict.FAIL)), CAUGHT) == "IX.2 is 'fail', not 'not applicable'"


def test_another_who_vouches_makes_the_page_stale() -> None:
    ada, grace = (a_run(result("IX.2", Verdict.ATTESTED, reason=f"{name} looks")) for name in ("Ada", "Grace"))
    text = page.render(ada, CAUGHT)
    assert page.stale(text, ada, CAUGHT) is None
    assert page.stale(text, grace, CAUGHT) == "somebody vouches otherwise for what no machine sees"


def test_a_newer_suite_with_the_same_verdicts_does_not_make_the_page_stale() -> None:
    newer = a_run(suite="0.4.0", suite_hash="sha256:beef")
    more = Sabotages("2027-01-01", "sha256:beef", dict.fromkeys(IDS, 3))
    text = page.render(a_run(), CAUGHT)
    assert page.render(newer, more) != text
    assert page.stale(text, newer, more) is None


def test_a_run_of_some_claims_never_writes_the_page(tmp_path: Path) -> None:
    file = tmp_path / "TWELVE_FACTOR.md"
    assert not write_page(a_run(complete=False), file, CAUGHT)
    assert not file.exists()


def test_an_image_leaves_the_page_of_processes_alone_which_show_more(tmp_path: Path) -> None:
    file = tmp_path / "TWELVE_FACTOR.md"
    of_image = a_run(result("I.2", Verdict.NOT_RUN, reason="a container shows no source"), driver="image")
    write_page(a_run(), file, CAUGHT)
    assert not write_page(of_image, file, CAUGHT)
    assert check_page(of_image, file, CAUGHT) is None

    file.unlink()
    assert write_page(of_image, file, CAUGHT), "a service that runs in containers only has a page too"
    assert "suite `9c4e`, from containers of an image.\n" in file.read_text()
    assert check_page(a_run(), file, CAUGHT) == "I.2 is 'pass', not 'not run'"
    assert check_page(a_run(driver="image"), file, CAUGHT) == "I.2 is 'pass', not 'not run'"
    assert write_page(a_run(), file, CAUGHT), "processes show more"


# -- The evidence ------------------------------------------------------------------------------------------------------


def fits(folder: Path, content: dict[str, Any]) -> bool:
    file = folder / "content.json"
    file.write_text(json.dumps(content))
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA), str(file)]
    ended = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    assert ended.returncode == 0 or "validation errors" in ended.stdout, ended
    return ended.returncode == 0


def test_the_schema_is_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--check-metaschema", str(SCHEMA)]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert json.loads(SCHEMA.read_text())["$defs"]["verdict"]["enum"] == [*Verdict]


def test_the_evidence_fits_its_schema_and_holds_all_that_was_found(tmp_path: Path) -> None:
    write_evidence(MIXED, tmp_path, CAUGHT)
    found = json.loads((tmp_path / "twelve-factor.json").read_text())
    assert fits(tmp_path, found)
    claims = {claim["id"]: claim for factor in found["factors"] for claim in factor["claims"]}
    assert {one.claim.id: str(one.verdict) for one in MIXED.results} == {
        identifier: claim["verdict"] for identifier, claim in claims.items()
    }
    assert claims["IX.2"] == {
        "id": "IX.2", "statement": "The promise of IX.2", "threshold": "boot < 10 s", "verdict": "pass", "reason": "",
        "observed": ["boot 0.9 s < 10 s"], "seconds": 1.5, "sabotages_caught": 2, "command": "make prove CLAIM=IX.2",
        "log": None,
    }  # fmt: skip
    assert (found["commit"], found["artifact"], found["driver"], found["machine"], found["suite"]["hash"]) == (
        "4f2a9c1", "sha256:ab12", "process", {"cores": "2"}, "sha256:9c4e",
    )  # fmt: skip


def test_page_and_evidence_agree_about_what_no_sabotage_stands_behind(tmp_path: Path) -> None:
    write_evidence(a_run(), tmp_path, Sabotages())
    found = json.loads((tmp_path / "twelve-factor.json").read_text())
    assert fits(tmp_path, found)
    assert found["summary"] == page.first_line(page.render(a_run(), Sabotages()))
    assert {claim["reason"] for factor in found["factors"] for claim in factor["claims"]} == {UNPROVEN}


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "fail", "reason": ""},
        {"verdict": "fine"},
        {"sabotages_caught": 0},
        {"seconds": "1 s"},
        {"percent": 100},
    ],
)
def test_the_schema_refuses_what_a_run_would_not_write(tmp_path: Path, change: dict[str, Any]) -> None:
    found: dict[str, Any] = document(a_run(), CAUGHT)
    found["factors"][0]["claims"][0] |= change
    assert not fits(tmp_path, found)


def test_junit_counts_what_the_run_has_found(tmp_path: Path) -> None:
    write_evidence(MIXED, tmp_path, CAUGHT)
    root = ET.parse(tmp_path / "junit.xml").getroot()
    total = {name: int(root.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert total == {"tests": len(MIXED.results), "failures": 1, "errors": 1, "skipped": 3}
    for tag, name in {"testcase": "tests", "failure": "failures", "error": "errors", "skipped": "skipped"}.items():
        assert len([*root.iter(tag)]) == total[name]
        assert sum(int(suite.attrib[name]) for suite in root) == total[name]
    skipped = root.find(".//testcase[@name='IV.2 The promise of IV.2']/skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == "not run: reason of IV.2"


def test_what_a_service_wrote_breaks_no_report(tmp_path: Path) -> None:
    run = a_run(result("IX.2", Verdict.FAIL, reason=HOSTILE, observed=[HOSTILE], log=HOSTILE), service="a & b")
    write_evidence(run, tmp_path, CAUGHT)
    [failure] = ET.parse(tmp_path / "junit.xml").getroot().iter("failure")
    assert "<script>alert(1)</script>" in failure.attrib["message"]
    assert "<script>alert(1)</script>" in (tmp_path / "logs/IX.2.log").read_text()
    assert fits(tmp_path, json.loads((tmp_path / "twelve-factor.json").read_text()))


def test_logs_stay_in_the_folder_of_the_run(tmp_path: Path) -> None:
    write_evidence(a_run(result("../../ORDERS/1", log="line")), tmp_path / "run", CAUGHT)
    assert [path.name for path in (tmp_path / "run/logs").iterdir()] == [".._.._ORDERS_1.log"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_only_the_logs_of_the_run_before_are_removed(tmp_path: Path) -> None:
    """A person may name a folder that has other things: `--evidence .` in a service that logs into `logs/`."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/app.log").write_text("of the service")
    write_evidence(a_run(result("IX.2", log="line"), result("IX.3", log="line")), tmp_path, CAUGHT)
    write_evidence(a_run(result("IX.2", log="another")), tmp_path, CAUGHT)
    logs = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert logs == {"app.log": "of the service", "IX.2.log": "another"}
    assert not (tmp_path / ".gitignore").exists()


@pytest.mark.parametrize("broken", ["", "[]", '{"factors": 1}', '{"factors": [{"claims": [{"log": "../own.txt"}]}]}'])
def test_evidence_that_is_none_names_no_logs(tmp_path: Path, broken: str) -> None:
    (tmp_path / "own.txt").write_text("own")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/twelve-factor.json").write_text(broken)
    write_evidence(a_run(), tmp_path / "run", CAUGHT)
    assert (tmp_path / "own.txt").read_text() == "own"


def test_git_ignores_a_new_folder_of_evidence(tmp_path: Path) -> None:
    write_evidence(a_run(), tmp_path / "run", CAUGHT)
    assert (tmp_path / "run/.gitignore").read_text() == "*\n"


def test_the_page_names_the_command_that_writes_it_there(tmp_path: Path) -> None:
    text = page.render(a_run(repeat="twelvefold prove --claim {id}"), CAUGHT)
    assert "`twelvefold prove` writes this page, and nothing else does: `--check` refuses one" in text
    assert "`make prove`" not in text
    assert "`make prove` writes this page, and nothing else does: CI refuses one" in page.render(a_run(), CAUGHT)


def test_a_claim_that_was_seen_in_containers_is_repeated_in_containers() -> None:
    run = a_run(driver="image", repeat="make prove IMAGE={image} CLAIM={id}")
    assert run.again == "make prove IMAGE=sha256:ab12"
    assert run.command(run.results[0].claim) == "make prove IMAGE=sha256:ab12 CLAIM=I.1"
    text = page.render(run, CAUGHT)
    assert "`make prove IMAGE=NAME@sha256:... CLAIM=I.1`" in text
    assert "ab12" not in text


def test_an_emptied_page_is_an_edited_one(tmp_path: Path) -> None:
    file = tmp_path / "TWELVE_FACTOR.md"
    assert check_page(a_run(), file, CAUGHT) is None
    file.touch()
    assert check_page(a_run(), file, CAUGHT) == page.NO_CHECK


def test_a_promise_begins_as_a_sentence_does() -> None:
    assert Claim("V.1", "a release is kept", "all").statement == "A release is kept"
    assert Claim("V.1", "`make dev` starts all", "all").statement == "`make dev` starts all"


def test_no_half_written_file_is_left(tmp_path: Path) -> None:
    write_evidence(a_run(result("IX.2", log="line")), tmp_path, CAUGHT)
    names = {"badge.json", "badge.svg", "junit.xml", "logs", "twelve-factor.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("run", "message", "colour"),
    [
        (a_run(), "12 of 12 hold", "brightgreen"),
        (a_run(result("IX.2", Verdict.FAIL)), "11 of 12 hold, IX fails", "red"),
        (a_run(result("XIV.2", Verdict.FAIL), result("IX.2", Verdict.FAIL)), "11 of 12 hold, IX, XIV fail", "red"),
        (a_run(result("ORDERS.2", Verdict.FAIL)), "12 of 12 hold, own claims fail", "red"),
        (a_run(result("IX.2", Verdict.ERROR)), "11 of 12 hold, IX in error", "red"),
        (a_run(result("IX.2", Verdict.NOT_RUN)), "11 of 12 hold", "yellow"),
        (a_run(*nothing_applies("VII")), "11 of 12 hold, 1 does not apply", "brightgreen"),
        (a_run(*nothing_applies("VII", "VIII")), "10 of 12 hold, 2 do not apply", "brightgreen"),
        (a_run(*nothing_applies(*FACTORS)), "0 of 12 hold, 12 do not apply", "yellow"),
        (a_run(complete=False), "only some were run", "lightgrey"),
    ],
)
def test_the_badge_says_the_same_as_the_page(run: Run, message: str, colour: str) -> None:
    read = badge.endpoint(run)
    assert read == {"schemaVersion": 1, "label": "twelve factors", "message": message, "color": colour}
    picture = ET.fromstring(badge.svg(run))
    assert picture.attrib["aria-label"] == f"twelve factors: {message}"


# -- In a terminal -----------------------------------------------------------------------------------------------------


def show(progress: Progress, run: Run) -> None:
    with progress:
        progress.start([one.claim for one in run.results])
        for one in run.results:
            progress.began(one.claim.id)
            progress.ended(one)
        progress.finish(run)


def on_terminal() -> tuple[Progress, io.StringIO]:
    file = io.StringIO()
    return Progress(Console(file=file, force_terminal=True, width=80, height=24, color_system="standard")), file


def test_without_a_terminal_there_is_one_plain_line_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as some CI servers do
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    file = io.StringIO()
    run = a_run(result("IX.2", Verdict.FAIL, reason=HOSTILE * 9, seconds=12.34), result("ORDERS.1"))
    show(Progress(console_for(file)), run)
    lines, _, rest = file.getvalue().partition("\n\n")
    assert not CONTROL.search(file.getvalue())
    assert len(lines.splitlines()) == len(run.results)
    assert "pass      IX.1      boot 0.9 s < 10 s (1.5 s)" in lines.splitlines()
    assert re.search(r"^fail      IX\.2      a \| pipe, .* \(12 s\)$", lines, re.MULTILINE)
    assert "make prove CLAIM=IX.2" in rest
    assert rest.splitlines()[-2:] == [
        " 11 of 12 factors hold; IX Disposability fails: IX.2",
        f" {len(run.results)} claims about orders in 2 min 22 s",
    ]


def test_an_old_encoding_loses_marks_but_no_words(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="latin-1") as file:
        show(Progress(console_for(file)), a_run(result("IX.2", Verdict.FAIL)))
    assert "fail      IX.2" in (tmp_path / "log").read_text("latin-1")


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_a_terminal_gets_colours_unless_nobody_wants_them(
    monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    progress, file = on_terminal()
    show(progress, a_run(result("IX.2", Verdict.FAIL)))
    assert bool(re.search(r"\x1b\[[\d;]*3[1-6]m", file.getvalue())) is coloured


def test_a_failure_is_told_at_once_and_again_in_the_end() -> None:
    progress, file = on_terminal()
    failed = result("IX.2", Verdict.FAIL)
    with progress:
        progress.start([failed.claim])
        progress.began("IX.2")
        progress.ended(failed)
        assert "reason of IX.2" in file.getvalue()
        progress.finish(a_run(failed))
    assert file.getvalue().count("reason of IX.2") == 2


def test_what_did_not_run_is_told_with_what_it_needs() -> None:
    file = io.StringIO()
    missing = [result(one, Verdict.NOT_RUN, reason="strace is missing: apt install strace") for one in ("II.3", "XI.1")]
    Progress(console_for(file)).finish(a_run(*missing))
    assert " ○ II.3, XI.1  strace is missing: apt install strace\n" in file.getvalue()


def test_the_terminal_gets_its_cursor_back_when_a_run_is_interrupted() -> None:
    progress, file = on_terminal()

    def interrupted() -> None:
        with progress:
            progress.start([result("IX.2").claim])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l") > -1


def test_many_may_tell_at_once_while_the_board_is_drawn() -> None:
    progress, file = on_terminal()
    run = a_run()

    def tell(results: list[Result]) -> None:
        for one in results:
            progress.began(one.claim.id)
            progress.ended(one)

    with progress:
        progress.start([one.claim for one in run.results])
        threads = [threading.Thread(target=tell, args=(run.results[start::6],), daemon=True) for start in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads)
    told = re.findall(r"(\w+\.\d) +boot 0\.9 s < 10 s", re.sub(r"\x1b\[[\d;?]*\w", "", file.getvalue()))
    assert sorted(told) == sorted(IDS)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 14), (60, 24), (200, 60)])
def test_the_board_fits_into_the_terminal(width: int, height: int) -> None:
    claims = tuple(one.claim for one in (*map(result, IDS), result("ORDERS.1", observed=[])))
    state = State(claims, began=dict.fromkeys(IDS, 0.0), ended={"I.1": Verdict.FAIL})
    file = io.StringIO()
    Console(file=file, width=width).print(board(state, min(width, 110), height))
    lines = file.getvalue().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert ("more" in file.getvalue()) is (height < len(IDS))
    assert OWN in file.getvalue()
