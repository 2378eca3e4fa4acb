"""`twelvefold status` says where services stand, on this machine and on servers, whatever state those are in."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_gitconfig.plugin import GitConfig

from twelvefold import page
from twelvefold.drift import drift
from twelvefold.results import Result, Verdict
from twelvefold.status import command, drifts
from twelvefold.status.command import Options, status
from twelvefold.status.fleet import Fleet as Looked
from twelvefold.status.found import Found
from twelvefold.status.git import Servers
from twelvefold.status.places import Place, read_places
from twelvefold.status.remote import DEPTH
from twelvefold.status.standing import Recorded, recorded
from twelvefold.status.templates import Releases
from twelvefold.update.git import Refusal

from . import copies, small_templates
from .git_server import GitServer, serving
from .test_scorecard import CAUGHT, a_run, result

SCHEMA = Path(command.__file__).with_name("status.schema.json")
GOOD_LINE, BAD_LINE = "12 of 12 factors hold", "11 of 12 factors hold; IX Disposability fails: IX.2"
LONG_AGO, YESTERDAY = 41, 1  # days


@pytest.fixture(autouse=True)
def team(default_gitconfig: GitConfig, sessionpatch: pytest.MonkeyPatch) -> None:
    """Somebody whose name git knows."""


@dataclass
class Fleet:
    """Services and their template, in a folder that a server serves."""

    work: Path
    server: GitServer

    def service(self, name: str, files: small_templates.Files, days: int = YESTERDAY) -> str:
        """A service on the server, whose files were committed some days ago; returns its address."""
        folder = self.work / name
        small_templates.write(folder, files)
        return self.publish(folder, days)

    def publish(self, folder: Path, days: int = 0) -> str:
        """Commits all that lies in a folder as if some days ago, and pushes it."""
        name = folder.name
        bare = self.server.folder / name
        if not bare.exists():
            copies.git(self.work, "init", "--quiet", "--bare", "--initial-branch=main", bare)
            copies.git(bare, "config", "uploadpack.allowFilter", "true")
            copies.git(self.work, "init", "--quiet", "--initial-branch=main", folder)
        at = f"{int(time.time()) - days * 86400 - 60} +0000"
        environment = {**os.environ, "GIT_COMMITTER_DATE": at, "GIT_AUTHOR_DATE": at}
        copies.git(folder, "add", "--all")
        copies.run("git", "commit", "--quiet", "--allow-empty", "--message", "work", cwd=folder, env=environment)
        copies.git(folder, "push", "--quiet", bare, "HEAD:main")
        return self.server.url(name)

    def answers(self, version: str = "v1.2.0", template: str = "template") -> str:
        """An answers file of this fleet's template, or of another one."""
        return f"_commit: {version}\n_src_path: {self.server.url(template)}\nname: orders\n"

    def good(self, name: str, version: str = "v1.2.0", **more: Any) -> str:
        """A service with all that it should have."""
        files: small_templates.Files = {".copier-answers.yml": self.answers(version), "TWELVE_FACTOR.md": a_page()}
        return self.service(name, files, **more)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    served, work = tmp_path / "served", tmp_path / "work"
    served.mkdir()
    work.mkdir()
    with serving(GitServer(served)) as server:
        fleet = Fleet(work, server)
        fleet.service("template", {"copier.yml": ""})
        for tag in ("v1.0.0", "v1.1.0", "v1.2.0", "nightly"):
            copies.git(served / "template", "tag", "--annotate", "--message", tag, tag, "main")
        yield fleet


def a_page(*changed: Result) -> str:
    return page.render(a_run(*changed), CAUGHT)


A_FAILURE = a_page(result("IX.2", Verdict.FAIL))


@dataclass
class Said:
    """What the command answered: its exit code, and as JSON or as text what it said."""

    code: int
    out: str
    err: str

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        return {one["service"]: one for one in json.loads(self.out)["services"]}

    @property
    def rows(self) -> list[str]:
        return self.out.splitlines()[1:-2]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `twelvefold status` in this process."""

    def ask(*places: str | Path, **options: Any) -> Said:
        capsys.readouterr()
        code = status([*map(str, places)], Options(**options))
        return Said(code, *capsys.readouterr())

    return ask


# -- Services on servers -----------------------------------------------------------------------------------------------


def test_a_service_on_a_server_is_known_without_a_clone(fleet: Fleet, ask: Any) -> None:
    url = fleet.good("orders", "v1.0.0-3-g1234567")
    said = ask(url, as_json=True)
    assert said.code == 1
    orders = said.services["orders"]
    assert (orders["version"], orders["newest"], orders["behind"]) == ("1.0.0-3-g1234567", "1.2.0", 2)
    assert orders["scorecard"] == {"line": GOOD_LINE, "failed": [], "edited": False}
    assert (orders["proof"]["days"], orders["proof"]["by"], orders["proof"]["at_least"]) == (YESTERDAY, "page", False)
    assert (orders["drift"], orders["notes"], orders["unreachable"]) == (None, [], "")


def test_all_well_is_0(fleet: Fleet, ask: Any) -> None:
    said = ask(fleet.good("orders"), fleet.good("bills"))
    assert said.code == 0
    assert said.out == (
        "Service  Version  Behind  Drift  Proved     Scorecard\n"
        f"bills    1.2.0    0       -      1 day ago  {GOOD_LINE}\n"
        f"orders   1.2.0    0       -      1 day ago  {GOOD_LINE}\n"
        "\n2 services, all well.\n"
    )
    assert said.err == ""


def test_a_service_costs_one_fetch_and_a_template_one_question(fleet: Fleet, ask: Any) -> None:
    urls = [fleet.good(f"service-{number}") for number in range(5)]
    fleet.server.asked.clear()
    assert ask(*urls).code == 0
    for name in [f"service-{number}" for number in range(5)]:
        # What the server can do, its HEAD, and the files: what git asks in one connection.
        assert [one for one in fleet.server.asked if f"/{name}/" in one] == [
            f"GET /{name}/info/refs?service=git-upload-pack",
            f"POST /{name}/git-upload-pack",
            f"POST /{name}/git-upload-pack",
        ]
    assert len([one for one in fleet.server.asked if "/template/" in one]) == 2


def test_what_is_not_needed_is_not_sent(fleet: Fleet, ask: Any) -> None:
    url = fleet.good("orders")
    fleet.service("orders", {"large.bin": os.urandom(3_000_000), "src/small.bin": os.urandom(60_000)})
    assert ask(url).code == 0
    assert fleet.server.sent < 30_000


def test_the_age_is_that_of_the_page_and_not_of_the_last_commit(fleet: Fleet, ask: Any) -> None:
    url = fleet.good("orders", days=LONG_AGO)
    for number in range(3):
        fleet.service("orders", {"README.md": f"{number}\n"})
    proof = ask(url, as_json=True).services["orders"]["proof"]
    assert (proof["days"], proof["at_least"]) == (LONG_AGO, False)


def test_an_age_beyond_what_is_fetched_is_said_to_be_more(fleet: Fleet, ask: Any) -> None:
    url = fleet.good("orders", days=LONG_AGO)
    for number in range(DEPTH):
        fleet.service("orders", {"README.md": f"{number}\n"}, days=7)
    said = ask(url)
    assert "over 7 days ago" in said.out
    assert said.code == 0


def test_a_page_that_was_proved_again_is_as_old_as_that(fleet: Fleet, ask: Any) -> None:
    url = fleet.service("orders", {".copier-answers.yml": fleet.answers(), "TWELVE_FACTOR.md": A_FAILURE}, LONG_AGO)
    fleet.good("orders", days=3)
    assert ask(url, as_json=True).services["orders"]["proof"]["days"] == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"uploadpack.allowFilter": "false"},
        {"uploadpackfilter.tree.allow": "false"},
        {"uploadpackfilter.combine.allow": "false"},
        {"uploadpackfilter.allow": "false"},
    ],
    ids=str,
)
def test_a_server_that_refuses_filters_is_asked_without(fleet: Fleet, ask: Any, settings: dict[str, str]) -> None:
    url = fleet.good("orders", days=LONG_AGO)
    fleet.service("orders", {"README.md": "More.\n"})
    for name, value in settings.items():
        copies.git(fleet.server.folder / "orders", "config", name, value)
    said = ask(url, as_json=True)
    assert said.code == 0
    assert said.services["orders"]["proof"]["days"] == LONG_AGO


def test_a_server_is_asked_once_what_it_refuses(fleet: Fleet, ask: Any) -> None:
    urls = [fleet.good(f"service-{number}") for number in range(3)]
    for number in range(3):
        copies.git(fleet.server.folder / f"service-{number}", "config", "uploadpackfilter.tree.allow", "false")
    fleet.server.asked.clear()
    assert ask(*urls, at_once=1).code == 0
    posts = [sum(f"POST /service-{number}/" in one for one in fleet.server.asked) for number in range(3)]
    assert posts == [4, 2, 2]


def test_a_service_in_a_folder_of_its_repository(fleet: Fleet, ask: Any) -> None:
    inside: small_templates.Files = {
        "services/orders/.copier-answers.yml": fleet.answers("v1.1.0"),
        "services/orders/TWELVE_FACTOR.md": A_FAILURE,
    }
    url = fleet.service("mono", inside, LONG_AGO)
    orders = ask(f"{url}#services/orders", as_json=True).services["orders"]
    assert (orders["behind"], orders["scorecard"]["line"], orders["proof"]["days"]) == (1, BAD_LINE, LONG_AGO)


def test_a_repository_and_a_folder_in_it_may_both_be_services(fleet: Fleet, ask: Any) -> None:
    inside: small_templates.Files = {"a/.copier-answers.yml": fleet.answers(), "a/TWELVE_FACTOR.md": a_page()}
    fleet.service("mono", inside)
    url = fleet.good("mono")
    assert ask(url, f"{url}#a", at_once=1).code == 0
    assert ask(f"{url}#/a/", url, at_once=1).code == 0


def test_a_web_server_that_knows_nothing_of_git_will_do(fleet: Fleet, ask: Any) -> None:
    fleet.good("orders", days=LONG_AGO)
    copies.git(fleet.server.folder / "orders", "update-server-info")
    files = partial(SimpleHTTPRequestHandler, directory=str(fleet.server.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        said = ask(f"http://127.0.0.1:{listening.server_address[1]}/orders", as_json=True)
        listening.shutdown()
        thread.join()
    assert said.services["orders"]["proof"]["days"] == LONG_AGO


def test_what_ssh_says_is_told(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "echo ssh: no such host >&2; exit 255; #")
    assert "unreachable: ssh: no such host" in ask("git@example.com:team/orders.git").out


def test_a_bare_repository_of_this_machine_is_looked_at_as_a_server_s(fleet: Fleet, ask: Any) -> None:
    fleet.good("orders")
    assert ask(fleet.server.folder / "orders").code == 0


# -- What is not as it should be is a row ------------------------------------------------------------------------------


def test_each_trouble_is_a_row_and_the_worst_comes_first(fleet: Fleet, ask: Any) -> None:
    fleet.server.password_for, fleet.server.never_answers = "secret", "slow"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/closed"
        answers = fleet.answers()
        copies.git(fleet.work, "init", "--quiet", "--bare", fleet.server.folder / "empty")
        said = ask(
            fleet.good("well"),
            fleet.good("aged", days=LONG_AGO),
            fleet.service("unproved", {".copier-answers.yml": answers}),
            fleet.service("foreign", {"TWELVE_FACTOR.md": a_page()}),
            fleet.service("odd", {".copier-answers.yml": "{", "TWELVE_FACTOR.md": a_page()}),
            fleet.service("edited", {".copier-answers.yml": answers, "TWELVE_FACTOR.md": a_page() + "Good.\n"}),
            fleet.good("older", "v1.0.0"),
            fleet.good("old", "v1.1.0"),
            fleet.service("failing", {".copier-answers.yml": answers, "TWELVE_FACTOR.md": A_FAILURE}),
            fleet.service(
                "orphan", {".copier-answers.yml": fleet.answers(template="gone"), "TWELVE_FACTOR.md": a_page()}
            ),
            fleet.service("untold", {".copier-answers.yml": fleet.answers("0a1b2c3"), "TWELVE_FACTOR.md": a_page()}),
            fleet.server.url("missing"),
            fleet.server.url("empty"),
            fleet.server.url("secret"),
            fleet.server.url("slow"),
            closed,
            seconds=4,
        )
    assert said.code == 1
    told = {row.split()[0]: row for row in said.rows}
    assert [*told] == [
        *("closed", "empty", "missing", "secret", "slow"),
        *("failing", "older", "old"),
        *("unproved", "edited", "foreign", "odd", "orphan", "untold"),
        *("aged", "well"),
    ]
    expected = {
        "closed": "unreachable: unable to access",
        "empty": "unreachable: it has no commit yet",
        "missing": "unreachable: repository",
        "secret": "unreachable: it asks for a password or a key",
        "slow": "unreachable: no answer within 4 s",
        "failing": BAD_LINE,
        "older": "1.0.0    2 ",
        "edited": "its scorecard was edited by hand",
        "foreign": "no template",
        "odd": "its .copier-answers.yml cannot be read",
        "orphan": "its template cannot be asked",
        "unproved": "no scorecard",
        "untold": "its version is no release of the template",
        "aged": "41 days ago",
    }
    for name, text in expected.items():
        assert text in told[name]
    assert said.out.splitlines()[-1] == "16 services, 14 need care: 5 unreachable, 1 failing, 2 behind, 6 with a note."


def test_what_a_service_says_of_itself_cannot_draw_on_the_terminal(fleet: Fleet, ask: Any) -> None:
    url = fleet.service(
        "orders",
        {
            ".copier-answers.yml": '_commit: "v1\\e[31m"\n_src_path: "/nowhere\\e[2J"\n',
            "TWELVE_FACTOR.md": "# \x1b[2J[red]All\x07 is well\u202e\n",
        },
    )
    said = ask(url)
    assert said.code == 1
    assert "[red]All is well" in said.out
    assert not [sign for sign in said.out if not sign.isprintable() and sign != "\n"]


@pytest.mark.parametrize(
    "answers",
    [
        *(
            b"",
            b"[]",
            b"text",
            b"[_src_path, a, _commit, b]",
            b"_commit: v1.0.0\n",
            b"_commit: [v1.0.0]\n_src_path: {}\n",
        ),
        *(b"\xff\xfe\x00", b"a: &a [*a]\n", b"[" * 60_000, b"- " * 130_000, b"_commit: v1.0.0\n_src_path: a\n%"),
    ],
    ids=lambda answers: repr(answers[:20]),
)
def test_an_answers_file_of_any_content_is_a_row(tmp_path: Path, ask: Any, answers: bytes) -> None:
    small_templates.write(tmp_path / "orders", {".copier-answers.yml": answers, "TWELVE_FACTOR.md": a_page()})
    said = ask(tmp_path / "orders")
    assert said.code == 1
    assert "its .copier-answers.yml" in said.out


@pytest.mark.parametrize("source", ["--upload-pack=touch ran", "ext::touch% ran", "~nobody-here/x", "x" * 5000, "a\0b"])
def test_a_template_s_address_runs_nothing(
    tmp_path: Path, ask: Any, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = json.dumps({"_commit": "v1.0.0", "_src_path": source})
    small_templates.write(tmp_path / "orders", {".copier-answers.yml": answers, "TWELVE_FACTOR.md": a_page()})
    said = ask("orders")
    assert said.code == 1
    assert "its template cannot be asked" in said.out
    assert not (tmp_path / "ran").exists()


def test_no_password_is_shown(fleet: Fleet, ask: Any) -> None:
    url = fleet.good("orders").replace("://", "://me:hush@")
    gone = fleet.server.url("gone").replace("://", "://me:hush@")
    for said in (ask(url, gone, as_json=True), ask(url, gone), ask("http://me:hush@", gone)):
        assert "hush" not in said.out + said.err


# -- Services of this machine ------------------------------------------------------------------------------------------


def test_a_service_in_a_folder_counts_as_it_lies_there(fleet: Fleet, tmp_path: Path, ask: Any) -> None:
    folder = tmp_path / "orders"
    small_templates.write(folder, {".copier-answers.yml": fleet.answers(), "TWELVE_FACTOR.md": a_page()})
    fleet.publish(folder, days=LONG_AGO)
    small_templates.write(folder, {".copier-answers.yml": fleet.answers("v1.1.0")})
    orders = ask(folder, as_json=True).services["orders"]
    assert (orders["behind"], orders["proof"]["days"], orders["proof"]["by"]) == (1, LONG_AGO, "page")


def test_the_evidence_tells_of_a_later_proof(fleet: Fleet, tmp_path: Path, ask: Any) -> None:
    folder = tmp_path / "orders"
    small_templates.write(folder, {".copier-answers.yml": fleet.answers(), "TWELVE_FACTOR.md": a_page()})
    fleet.publish(folder, days=LONG_AGO)
    evidence = folder / ".twelvefold/twelve-factor.json"
    small_templates.write(folder, {".twelvefold/twelve-factor.json": '{"complete": false, "date": "2026-11-26"}'})
    assert ask(folder, as_json=True).services["orders"]["proof"]["by"] == "page"
    evidence.write_text(json.dumps({"complete": True, "date": datetime.now(UTC).isoformat()}))
    proof = ask(folder, as_json=True).services["orders"]["proof"]
    assert (proof["by"], proof["days"]) == ("evidence", 0)
    evidence.write_text("[]")
    assert ask(folder, as_json=True).services["orders"]["proof"]["by"] == "page"


def test_a_service_made_by_a_template_of_this_machine(tmp_path: Path, ask: Any) -> None:
    template = small_templates.make_template(tmp_path / "template", {"a.md": "A.\n"})
    service = copies.generate_committed(template, tmp_path / "orders")
    small_templates.release(template, "1.1.0", {"a.md": "B.\n"})
    orders = ask(service, as_json=True).services["orders"]
    assert (orders["version"], orders["newest"], orders["behind"]) == ("1.0.0", "1.1.0", 1)
    assert orders["notes"] == ["no scorecard"]


def test_the_drift_is_what_twelvefold_drift_finds(tmp_path: Path, ask: Any) -> None:
    template = small_templates.make_template(tmp_path / "template", {"a.md": "A.\n", "b.md": "B.\n", "c.md": "C.\n"})
    service = copies.generate_committed(template, tmp_path / "orders")
    small_templates.release(template, "1.1.0", {"a.md": "A, mended.\n"})
    (service / "b.md").write_text("Ours.\n")
    (service / "c.md").unlink()
    copies.commit(service, "Work as a team does")
    assert ask(service, as_json=True).services["orders"]["drift"] is None
    found = ask(service, as_json=True, drift=True)
    assert found.code == 1
    drift = found.services["orders"]["drift"]
    assert {kind: drift[kind] for kind in ("edited", "missing", "behind", "waived")} == {
        "edited": 1,
        "missing": 1,
        "behind": 1,
        "waived": 0,
    }


# -- Which services ----------------------------------------------------------------------------------------------------


def test_a_list_names_folders_beside_it_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    listed = tmp_path / "repos.txt"
    listed.write_text(
        "# ours\n\n  orders  # a folder\ngit@example.com:team/bills.git\ngh:team/mails\n./orders\norders\n"
    )
    places = read_places([], [listed])
    assert [(place.name, place.url) for place in places][1:3] == [
        ("bills", "git@example.com:team/bills.git"),
        ("mails", "https://github.com/team/mails.git"),
    ]
    assert [place.folder for place in places] == [tmp_path / "orders", None, None, tmp_path / "orders"]


@pytest.mark.parametrize("line", ["https://", "c:", "ssh://", "a\0b", "~nobody-here/x"])
def test_a_line_that_is_neither_is_one_error_with_its_number(tmp_path: Path, ask: Any, line: str) -> None:
    listed = tmp_path / "repos.txt"
    listed.write_text(f"# services\nhttps://example.com/a.git\n{line}\n")
    said = ask(lists=[listed])
    assert (said.code, said.out) == (2, "")
    assert said.err == f"{listed}, line 3: {line} is no folder, and no address of a repository.\n"


def test_a_folder_outside_of_a_repository_is_refused(tmp_path: Path, ask: Any) -> None:
    said = ask(f"file://{tmp_path}#../x")
    assert said.code == 2
    assert "leads out of the repository" in said.err


def test_a_repository_with_other_names_is_a_row_that_says_so(tmp_path: Path, ask: Any) -> None:
    copies.run("git", "init", "--quiet", "--object-format=sha256", "orders", cwd=tmp_path)
    small_templates.write(tmp_path / "orders", {"a.md": "A.\n"})
    copies.commit(tmp_path / "orders", "Begin")
    assert "unreachable: its objects have SHA-256 names, which status cannot" in ask(f"file://{tmp_path}/orders").out


def test_a_folder_of_a_list_that_is_gone_is_a_row(fleet: Fleet, tmp_path: Path, ask: Any) -> None:
    listed = tmp_path / "repos.txt"
    listed.write_text(f"{fleet.good('well')}\nnowhere/here\nthe shop\n")
    said = ask(lists=[listed])
    assert said.code == 1
    assert [" ".join(row.split()) for row in said.rows] == [
        "here - - - - unreachable: there is no such folder",
        "the shop - - - - unreachable: there is no such folder",
        f"well 1.2.0 0 - 1 day ago {GOOD_LINE}",
    ]
    assert (ask("nowhere/here").code, ask(tmp_path / "nowhere", drift=True).code) == (2, 2)


def test_a_file_that_is_only_behind_is_no_drift(tmp_path: Path, ask: Any) -> None:
    template = small_templates.make_template(tmp_path / "template", {"a.md": "A.\n"})
    service = copies.generate_committed(template, tmp_path / "orders")
    small_templates.release(template, "1.1.0", {"a.md": "B.\n"})
    small_templates.write(service, {"TWELVE_FACTOR.md": a_page()})
    said = ask(service, drift=True)
    assert "1 behind" in said.rows[0]
    assert said.out.splitlines()[-1] == "1 service, 1 needs care: 1 behind."


@pytest.mark.parametrize(
    ("content", "error"), [(None, "No such file"), (b"\xff\xfe", "no UTF-8"), (b"# none\n", "Name a service")]
)
def test_a_list_that_cannot_be_used_is_an_error(tmp_path: Path, ask: Any, content: bytes | None, error: str) -> None:
    listed = tmp_path / "repos.txt"
    if content is not None:
        listed.write_bytes(content)
    said = ask(lists=[listed])
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert error in said.err


@pytest.mark.parametrize("options", [{"at_once": 0}, {"seconds": 0}, {"seconds": float("nan")}])
def test_numbers_below_one_are_an_error(tmp_path: Path, ask: Any, options: dict[str, float]) -> None:
    said = ask(tmp_path, **options)
    assert (said.code, said.out, said.err) == (2, "", "--at-once and --timeout are numbers above zero.\n")


def test_names_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    texts = ["gh:a/orders", "gh:b/orders", "gh:b/bills", "https://x.com/c/mails", "https://y.com/c/mails"]
    names = [place.name for place in read_places(texts, [])]
    assert names == ["a/orders", "b/orders", "bills", "x.com/c/mails", "y.com/c/mails"]


# -- JSON, terminal, drift, ending -------------------------------------------------------------------------------------


def test_the_json_fits_its_schema(fleet: Fleet, ask: Any, tmp_path: Path) -> None:
    urls = [fleet.good("orders", "v1.0.0"), fleet.service("foreign", {"a": "b"}), fleet.server.url("gone")]
    said = ask(*urls, as_json=True)
    file = tmp_path / "status.json"
    file.write_text(said.out)
    checked = [sys.executable, "-m", "check_jsonschema"]
    copies.run(*checked, "--schemafile", SCHEMA, file, cwd=tmp_path)
    copies.run(*checked, "--check-metaschema", SCHEMA, cwd=tmp_path)
    told = json.loads(said.out)
    assert told["need_care"] == 3
    assert told["templates"] == [
        {"template": fleet.server.url("template"), "releases": ["1.2.0", "1.1.0", "1.0.0"], "error": ""}
    ]


def _command(*arguments: str, variables: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src"), **variables}
    return subprocess.Popen([sys.executable, "-m", "twelvefold", "status", *arguments], env=environment, **options)


def test_a_terminal_gets_colours_and_a_bar_while_it_lasts(fleet: Fleet) -> None:
    urls = [fleet.good("orders"), fleet.server.url("gone")]
    ours, theirs = pty.openpty()
    process = _command(*urls, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, variables={"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # what Linux says when the other end is closed
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 1
    text = shown.decode()
    assert "0/2" in text
    assert "\x1b[1;31m" in text[text.index("unreachable") - 10 :][:10] + text
    assert text.index("gone", text.index("Service")) < text.index("orders", text.index("Service"))


def test_a_drift_is_counted_and_needs_care(fleet: Fleet, tmp_path: Path) -> None:
    url, local = fleet.good("orders"), Place("bills", tmp_path / "bills", name="bills")
    looked: list[list[str]] = []

    def drift_of(folder: Path) -> Any:
        if folder == local.folder:
            raise Refusal("no")
        looked.append(sorted(path.name for path in folder.iterdir()))
        return SimpleNamespace(edited=["a"], missing=2, behind=[], waived=["b", "c", "d"])

    place = Place("orders", url=url, name="orders")
    answers = fleet.answers().encode()
    found = {place: Found(answers), local: Found(answers), Place("x", url="x"): Found(unreachable="x")}
    told: list[Place] = []
    source = recorded(answers)
    assert isinstance(source, Recorded)
    seen = Looked(found, {source.source: Releases()})
    drifted = drifts.drifts(seen, tmp_path, Servers(30), drift_of, told.append)
    assert looked == [[".copier-answers.yml", ".git", "TWELVE_FACTOR.md"]]
    drift = drifted[place].drift
    assert drift is not None
    assert (drift.edited, drift.missing, drift.behind, drift.waived, drift.total) == (1, 2, 0, 3, 3)
    assert drifted[local].error == "no"
    assert told == [*found]
    assert not (tmp_path / "drift").exists()
    silent = Looked(found, {source.source: Releases(error="no answer within 2 s")})
    assert drifts.drifts(silent, tmp_path, Servers(30), drift_of, told.append) == {}


def test_a_template_that_falls_silent_holds_up_no_drift(fleet: Fleet, tmp_path: Path) -> None:
    fleet.server.never_answers = "slow"
    source = fleet.server.url("slow")
    service = tmp_path / "orders"
    service.mkdir()
    answers = f"_commit: v1.0.0\n_src_path: {source}\n"
    (service / ".copier-answers.yml").write_text(answers)
    place = Place("orders", service, name="orders")
    before = dict(os.environ)
    seen = Looked({place: Found(answers.encode())}, {source: Releases()})
    drifted = drifts.drifts(seen, tmp_path, Servers(1), drift, lambda place: None)
    assert drifted[place].error.startswith(f"The template at {source} cannot be read: ")
    assert "too slow" in drifted[place].error
    assert dict(os.environ) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_leaves_nothing(fleet: Fleet, tmp_path: Path, number: signal.Signals) -> None:
    fleet.server.never_answers = "slow"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    url, variables = fleet.server.url("slow"), {"TMPDIR": str(temporary)}
    process = _command(url, stdout=subprocess.PIPE, stderr=subprocess.PIPE, variables=variables, start_new_session=True)
    while not fleet.server.asked:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"Stopped.\n")
    assert not any(temporary.iterdir())
    assert not copies.running_below(temporary)
