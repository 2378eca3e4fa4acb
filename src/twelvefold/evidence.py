"""The evidence of a run, for machines: everything that was found, and the same as JUnit."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

from .results import Result, Run, Verdict
from .sabotages import Sabotages
from .wording import OF_CLAIM, plain, summary, title

# What XML 1.0 cannot hold at all, however it is escaped.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(run: Run, sabotages: Sabotages) -> dict[str, Any]:
    """The content of `twelve-factor.json`; `scorecard.schema.json` says what each part means."""
    return {
        "schema": 1,
        "summary": summary(run),
        "complete": run.complete,
        "service": run.service,
        "commit": run.commit,
        "changed": run.changed,
        "driver": run.driver,
        "artifact": run.artifact,
        "suite": {"version": run.suite, "hash": run.suite_hash},
        "sabotages": {"date": sabotages.date, "suite_hash": sabotages.suite_hash} if sabotages.caught else None,
        "date": run.date,
        "seconds": round(run.seconds, 3),
        "machine": run.machine,
        "factors": [
            {
                "factor": factor,
                "title": title(factor),
                "verdict": run.verdict(factor),
                "claims": [_claim(run, result, sabotages) for result in run.of_factor(factor)],
            }
            for factor in run.factors
        ],
    }


def log_name(result: Result) -> str | None:
    """Where the log of a claim lies in the run's folder, or None when there is nothing to keep."""
    name = re.sub(r"[^\w.-]", "_", result.claim.id)
    return f"logs/{name}.log" if result.log else None


def junit(run: Run) -> str:
    """The run as JUnit, one suite a factor; what did not come to a verdict of its own is skipped, with the reason."""
    named = {"name": f"twelve factors: {_xml(run.service)}", "time": f"{run.seconds:.3f}"}
    root = ET.Element("testsuites", {**named, **_counts(run.results)})
    for factor in run.factors:
        results = run.of_factor(factor)
        seconds = sum(result.seconds for result in results)
        named = {"name": title(factor), "timestamp": run.date, "time": f"{seconds:.3f}"}
        suite = ET.SubElement(root, "testsuite", {**named, **_counts(results)})
        properties = ET.SubElement(suite, "properties")
        for name, value in {"commit": run.commit, "driver": run.driver, "artifact": run.artifact}.items():
            ET.SubElement(properties, "property", name=name, value=_xml(value))
        for result in results:
            _case(suite, result)
    ET.indent(root)
    return str(ET.tostring(root, encoding="utf-8", xml_declaration=True), "utf-8") + "\n"


def _claim(run: Run, result: Result, sabotages: Sabotages) -> dict[str, Any]:
    return {
        "id": result.claim.id,
        "statement": result.claim.statement,
        "threshold": result.claim.threshold,
        "verdict": result.verdict,
        "reason": result.reason,
        "observed": result.observed,
        "seconds": round(result.seconds, 3),
        "sabotages_caught": sabotages.of(result.claim),
        "command": run.command(result.claim),
        "log": log_name(result),
    }


def _case(suite: ET.Element, result: Result) -> None:
    claim = result.claim
    name = _xml(f"{claim.id} {plain(claim.statement)}")
    case = ET.SubElement(suite, "testcase", classname=title(claim.factor), name=name, time=f"{result.seconds:.3f}")
    message = _xml(plain(result.reason))
    if result.verdict is Verdict.FAIL:
        ET.SubElement(case, "failure", message=message).text = _xml(f"{result.reason}\npromised: {claim.threshold}")
    elif result.verdict is Verdict.ERROR:
        ET.SubElement(case, "error", message=message).text = _xml(result.reason)
    elif result.verdict is not Verdict.PASS:
        ET.SubElement(case, "skipped", message=f"{OF_CLAIM[result.verdict]}: {message}")
    if result.observed:
        ET.SubElement(case, "system-out").text = _xml("\n".join(result.observed))


def _counts(results: list[Result]) -> dict[str, str]:
    verdicts = [result.verdict for result in results]
    fail, error, passed = (verdicts.count(one) for one in (Verdict.FAIL, Verdict.ERROR, Verdict.PASS))
    counts = {
        "tests": len(verdicts),
        "failures": fail,
        "errors": error,
        "skipped": len(verdicts) - fail - error - passed,
    }
    return {name: str(number) for name, number in counts.items()}


def _xml(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
