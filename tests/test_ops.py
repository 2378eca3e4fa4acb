"""The dashboard, the alert rules and the collector's configuration of a service, read by Prometheus' own tool.

That they name what the service exposes and writes is a test of the service itself.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from . import copies

TOOLS = Path(sys.executable).parent
SHAPES = ("web", "web-worker-clock", "worker-clock")

WEB, WORKER, CLOCK = EACH = [
    f'job="orders", process="{process}", instance="{process}:1"' for process in ("web", "worker", "clock")
]
REQUESTS = f'http_requests_total{{{WEB}, method="GET", route="/notes", status="%s"}}'
WITHIN = f'http_request_duration_seconds_bucket{{{WEB}, method="GET", route="/notes", le="%s"}}'
WAITING = f"database_pool_waiting_requests{{{WEB}}}"
TIMEOUTS = f"database_pool_timeouts_total{{{WEB}}}"
OLDEST = f"queue_oldest_job_age_seconds{{{WORKER}}}"
DEAD = f'queue_jobs{{{WORKER}, status="failed"}}'
JOBS = f'jobs_total{{{WORKER}, job_name="notes.count", outcome="%s"}}'
RESCUED = f"jobs_rescued_total{{{WORKER}}}"
BEAT = "heartbeat_timestamp_seconds{%s}"
CACHE = f'cache_requests_total{{{WEB}, operation="get", outcome="%s"}}'

# A service that is well, for seven hours, in promtool's words: 0+600x130 is 0, and then 430 times 600 more each minute.
WELL = {
    **{f"up{{{process}}}": "1x130" for process in EACH},
    **{f'build_info{{{process}, service="orders", version="1", commit="c"}}': "1x130" for process in EACH},
    REQUESTS % 200: "0+600x130",
    REQUESTS % 500: "0x130",
    f"http_requests_in_flight{{{WEB}}}": "1x130",
    **{WITHIN % seconds: "0+600x130" for seconds in ("0.5", "1", "2.5", "+Inf")},
    **{f'database_pool_connections{{{process}, state="used"}}': "1x130" for process in EACH},
    **{f"database_pool_max_connections{{{process}}}": "10x130" for process in EACH},
    WAITING: "0x130",
    TIMEOUTS: "0x130",
    DEAD: "0x130",
    OLDEST: "0x130",
    JOBS % "succeeded": "0+10x130",
    JOBS % "retried": "0x130",
    **{f'job_duration_seconds_bucket{{{WORKER}, job_name="notes.count", le="{le}"}}': "0+9x130" for le in (1, "+Inf")},
    f"jobs_in_progress{{{WORKER}}}": "1x130",
    RESCUED: "0x130",
    BEAT % WORKER: "0+60x130",
    BEAT % CLOCK: "0+60x130",
    CACHE % "hit": "0+60x130",
    CACHE % "failed": "0x130",
}
ILL = 'job="other", process="web", instance="other:1"'


class Case(NamedTuple):
    """What is not as when all is well, and the alerts that fire then, at whatever time."""

    series: dict[str, str]
    fires: str = ""


CASES = {
    "all is well": Case({}),
    "one request in ten fails": Case({REQUESTS % 500: "0x100 0+60x30"}, "WebErrors"),
    "one in ten fails after a busy hour": Case(
        {REQUESTS % 200: "0+6000x70 420600+600x59", REQUESTS % 500: "0x115 0+60x15"}, "WebErrors"
    ),
    "one request in a hundred fails": Case({REQUESTS % 500: "0+6x130"}, "WebErrors WebErrorsLinger"),
    "one request in three hundred fails": Case({REQUESTS % 500: "0+2x130"}, "WebErrorsLinger"),
    "one request in two thousand fails": Case({REQUESTS % 500: "0+0.3x130"}),
    "five requests of a quiet night fail": Case({REQUESTS % 200: "0+0.1x130", REQUESTS % 500: "0x125 5x5"}),
    "web is not ready, and says so": Case({f'http_requests_total{{{WEB}, route="/readyz", status="503"}}': "0+60x130"}),
    "one request in thirty is slow": Case({WITHIN % 1: "0+580x130", WITHIN % 0.5: "0+580x130"}),
    "one request in ten is slow": Case({WITHIN % 1: "0+540x130", WITHIN % 0.5: "0+540x130"}, "WebSlow"),
    "a single request is slow": Case(
        {WITHIN % "+Inf": "0x100 1x30", WITHIN % 2.5: "0x100 1x30", WITHIN % 1: "0x130", WITHIN % 0.5: "0x130"}
    ),
    "web does not answer": Case({f"up{{{WEB}}}": "1x100 0x30"}, "WebDown ProcessSilent"),
    "web is gone": Case({f"up{{{WEB}}}": "1x100 _x30"}, "WebDown"),
    "one web of two does not answer": Case({f"up{{{WEB.replace(':1', ':2')}}}": "0x130"}, "ProcessSilent"),
    "one web of two starts": Case({f"up{{{WEB.replace(':1', ':2')}}}": "_x100 0 0 1x30"}),
    "the pool is used up for a while": Case({WAITING: "0x100 3x5 0x25"}),
    "the pool stays used up": Case({WAITING: "0x100 3x30"}, "DatabasePoolWaiting"),
    "one connection comes too late": Case({TIMEOUTS: "0x100 1x30"}),
    "connections come too late": Case({TIMEOUTS: "0x100 0+1x30"}, "DatabasePoolExhausted"),
    "jobs wait four minutes": Case({OLDEST: "240x130", OLDEST.replace("worker", "web"): "240x130"}),
    "jobs wait ever longer": Case({OLDEST: "0x100 0+60x30"}, "QueueLate"),
    "a job has failed for good": Case({DEAD: "0x100 1x30"}, "DeadLetters"),
    "one job in three is tried again": Case({JOBS % "retried": "0x80 0+5x50"}, "JobsFail"),
    "two of three jobs are tried again": Case({JOBS % "succeeded": "0x100 1x30", JOBS % "retried": "0x100 2x30"}),
    "a worker is killed": Case({RESCUED: "0x100 2x30"}),
    "workers are killed one after the other": Case({RESCUED: "0x100 0+1x30"}, "JobsRescued"),
    "there is no worker": Case({BEAT % WORKER: "0+60x100 stale"}, "WorkerDown"),
    "another service has a worker": Case(
        {BEAT % WORKER: "0+60x100 stale", BEAT % WORKER.replace("orders", "other"): "0+60x130"}, "WorkerDown"
    ),
    "there is no clock": Case({BEAT % CLOCK: "0+60x100 stale"}, "ClockDown"),
    "a worker hangs": Case({BEAT % WORKER: "0+60x100 6000x30"}, "HeartbeatLate"),
    "a clock starts": Case({BEAT % CLOCK.replace(":1", ":2"): "_x100 0 6060+60x30"}),
    "the cache is away": Case({CACHE % "failed": "0x100 0+60x30"}, "CacheFails"),
    "the cache fails once": Case({CACHE % "failed": "0x100 5x30"}),
    "another service is ill": Case(
        {
            f"up{{{ILL}}}": "0x130",
            f'http_requests_total{{{ILL}, route="/", status="500"}}': "0+60x130",
            'job:http_request_errors:ratio_rate1h{job="other"}': "1x130",
            'job:http_request_errors:ratio_rate5m{job="other"}': "1x130",
            f"database_pool_timeouts_total{{{ILL}}}": "0+1x130",
            f'queue_jobs{{{ILL}, status="failed"}}': "9x130",
            f'cache_requests_total{{{ILL}, outcome="failed"}}': "0+60x130",
        }
    ),
}


@pytest.fixture(scope="module")
def made(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder ops of a service of each shape, with a cache."""
    services = {
        shape: copies.generate(
            copier_template, tmp_path_factory.mktemp(shape) / "orders", shape=shape, cache=True, ops=True
        )
        for shape in SHAPES
    }
    return lambda shape: services[shape] / "ops"


@pytest.fixture(params=SHAPES)
def ops(request: pytest.FixtureRequest, made: Callable[[str], Path]) -> Path:
    return made(request.param)


@pytest.fixture
def promtool(tmp_path: Path) -> Callable[..., str]:
    """Runs `promtool` on what is given as a value; fails when it finds a fault in it."""
    program = shutil.which("promtool") or pytest.skip("not run: no promtool here (Debian's package prometheus)")

    def run(*command: str, content: object) -> str:
        file = tmp_path / "content.yaml"
        file.write_text(yaml.safe_dump(content))
        return copies.run(program, *command, file, cwd=tmp_path)

    return run


def rules(ops: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ops / "alerts.yaml").read_text())
    return content


def dashboard(ops: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ops / "dashboard.json").read_text())
    return content


def shown(ops: Path) -> list[str]:
    """The expressions of the dashboard's panels, as Grafana sends them while nothing is chosen."""
    replaced = {"$__rate_interval": "5m", "$process": ".*", "$instance": ".*"}
    expressions = [target["expr"] for panel in dashboard(ops)["panels"] for target in panel.get("targets", ())]
    for variable, value in replaced.items():
        expressions = [expression.replace(variable, value) for expression in expressions]
    return expressions


def unit_test(promtool: Callable[..., str], changed: dict[str, str], expected: list[dict[str, Any]], ops: Path) -> None:
    """Asks what the rules make of a service that is well but for these series."""
    series = [{"series": name, "values": values} for name, values in {**WELL, **changed}.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": expected}
    rule_files = [str(ops / "alerts.yaml")]
    promtool("test", "rules", content={"rule_files": rule_files, "evaluation_interval": "1m", "tests": [test]})


def test_prometheus_accepts_the_rules(ops: Path, promtool: Callable[..., str]) -> None:
    told = promtool("check", "rules", "--lint=all", "--lint-fatal", content=rules(ops))
    assert "SUCCESS" in told


@pytest.mark.parametrize("case", CASES)
def test_the_alerts_that_ought_to_fire_do(case: str, made: Callable[[str], Path], promtool: Callable[..., str]) -> None:
    changed, fires = CASES[case]
    ever = 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[3h]))'
    counted = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in fires.split()]
    expected = {"expr": ever, "eval_time": "130m", "exp_samples": counted}
    unit_test(promtool, changed, [expected], made("web-worker-clock"))


def test_an_alert_about_errors_ends_soon_after_them(made: Callable[[str], Path], promtool: Callable[..., str]) -> None:
    firing = {"expr": 'ALERTS{alertname="WebErrors", alertstate="firing"}'}
    alert = {"labels": 'ALERTS{alertname="WebErrors", alertstate="firing", job="orders", severity="page"}', "value": 1}
    during, after = {"eval_time": "60m", "exp_samples": [alert]}, {"eval_time": "115m", "exp_samples": []}
    unit_test(promtool, {REQUESTS % 500: "0x40 0+60x40 2400x50"}, [firing | during, firing | after], made("web"))


def test_every_alert_fires_in_a_case_of_its_own(made: Callable[[str], Path]) -> None:
    groups = rules(made("web-worker-clock"))["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert alerts == {case.fires for case in CASES.values() if case.fires and " " not in case.fires}


@pytest.mark.parametrize("shape", ["web", "worker-clock"])
def test_a_shape_has_the_rules_of_what_it_has(shape: str, made: Callable[[str], Path]) -> None:
    full = {group["name"].removeprefix("orders-"): group for group in rules(made("web-worker-clock"))["groups"]}
    lacking = {"web": {"jobs"}, "worker-clock": {"objective", "web"}}[shape]
    assert rules(made(shape))["groups"] == [group for name, group in full.items() if name not in lacking]


def test_every_panel_shows_something_of_a_service_that_is_well(ops: Path, promtool: Callable[..., str]) -> None:
    shows = [f"count({expression}) > bool 0" for expression in shown(ops)]
    assert shows
    one = [{"labels": "{}", "value": 1}]
    unit_test(promtool, {}, [{"expr": show, "eval_time": "1h", "exp_samples": one} for show in shows], ops)


def test_the_dashboard_is_one_that_grafana_reads(ops: Path) -> None:
    read = dashboard(ops)
    assert read["uid"] == read["title"] == "orders"
    assert read["schemaVersion"] == 42
    assert len({panel["title"] for panel in read["panels"]}) == len(read["panels"])
    source = {"type": "prometheus", "uid": "${datasource}"}
    variables = {variable["name"]: variable for variable in read["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    assert all(variables[name]["datasource"] == source for name in ("process", "instance"))
    for panel in read["panels"]:
        assert panel["title"]
        assert panel["type"] in {"row", "stat", "timeseries"}
        if panel["type"] != "row":
            assert panel["datasource"] == source
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert [target["refId"] for target in panel["targets"]] == list("ABC")[: len(panel["targets"])]


def test_a_dashboard_has_the_rows_of_what_the_service_has(made: Callable[[str], Path]) -> None:
    rows = {
        shape: [panel["title"] for panel in dashboard(made(shape))["panels"] if panel["type"] == "row"]
        for shape in SHAPES
    }
    assert rows == {
        "web": ["Processes", "Web", "Database pool", "Cache"],
        "web-worker-clock": ["Processes", "Web", "Database pool", "Queue", "Jobs", "Heartbeats", "Cache"],
        "worker-clock": ["Processes", "Database pool", "Queue", "Jobs", "Heartbeats", "Cache"],
    }


def test_prometheus_would_scrape_what_the_collector_does(ops: Path, promtool: Callable[..., str]) -> None:
    collector = yaml.safe_load((ops / "collector.yaml").read_text())
    told = promtool("check", "config", content=collector["receivers"]["prometheus"]["config"])
    assert "SUCCESS" in told


def test_what_people_read_passes_yamllint(ops: Path) -> None:
    rules = "{line-length: {max: 120}, comments: {min-spaces-from-content: 1}, document-start: disable}"
    settings = f"{{extends: default, rules: {rules}}}"
    for name in ("alerts.yaml", "collector.yaml"):
        copies.run(TOOLS / "yamllint", "--strict", "-d", settings, name, cwd=ops)
