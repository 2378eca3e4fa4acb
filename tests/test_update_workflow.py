"""The workflow that opens a pull request for the template's new version, as it runs.

act runs it on this machine, with a bare repository as GitHub's, a template of a few files with two releases, and
stand-ins for what talks to others: gh (see gh_stand_in.py), uv, which would install the release's command, and the
action that uploads.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import acting, copies
from .small_templates import BOTH, EDITED, MENDED, PAGE, Files, edited, make_template, page, release, write

WORKFLOW = ".github/workflows/update.yml"
STANDARDS = {"runner": "ubuntu-24.04", "uv_tag": "0.13.9"}
SETTINGS = f"""
name: {{type: str, default: orders}}
shape: {{type: str, default: web}}
platform: {{type: yaml, when: false, default: {json.dumps(STANDARDS)}}}
"""
BRANCH = "twelvefold/update-1.1.0"
TITLE = "chore: update the template from 1.0.0 to 1.1.0"
BOT = "41898282+github-actions[bot]@users.noreply.github.com"
TOKEN, OWN_TOKEN = "ghs_of_the_workflow", "github_pat_of_the_team"

UV = f"""#!/bin/sh
# As `uv tool run --quiet --from PACKAGE twelvefold ...`, but for fetching the package.
echo "$5" >>"$GH_STAND_IN/packages"
shift 6
PYTHONPATH={copies.ROOT / "src"} exec {sys.executable} -m twelvefold "$@"
"""
GH = f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("gh_stand_in.py")} "$@"\n'
UPLOAD = """
inputs: {name: {}, path: {}, if-no-files-found: {}, overwrite: {}, retention-days: {}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}", FOLDER: "${{ inputs.path }}"}
      run: |
        mkdir -p "$GH_STAND_IN/artifacts" && rm -rf "$GH_STAND_IN/artifacts/$NAME"
        cp -R "$FOLDER" "$GH_STAND_IN/artifacts/$NAME"
"""


@dataclass
class GitHub:
    """A service with its repository on a server, and a stand-in for the rest of GitHub."""

    template: Path
    service: Path
    server: Path
    scratch: Path

    def start(
        self, event: str = "schedule", *, own_token: str = "", default_branch: str = "main", **inputs: str
    ) -> tuple[bool, str]:
        """Starts the workflow on what the server's main has; returns whether it succeeded, and its log."""
        number = len(list(self.scratch.glob("run*")))
        clone = self.scratch / f"run{number}/orders"
        # As the action checkout does it: without the history.
        copies.git(self.scratch, "clone", "--quiet", "--depth", "1", self.server.as_uri(), clone)
        payload = {"inputs": inputs, "repository": {"default_branch": default_branch}}
        (clone.parent / "event.json").write_text(json.dumps(payload))
        secrets = ["--secret", f"GITHUB_TOKEN={TOKEN}"]
        secrets += ["--secret", f"UPDATE_TOKEN={own_token}"] if own_token else []
        tools = self.scratch / "tools"
        return acting.run(
            clone,
            event,
            "update.yml",
            *("--eventpath", str(clone.parent / "event.json"), *secrets),
            actions={"actions/upload-artifact": UPLOAD},
            env={
                "GH_STAND_IN": str(self.scratch),
                "PATH": f"{tools}:{copies.service_environment(None)['PATH']}",
                "UV": str(tools / "uv"),
            },
        )

    def work(self, files: Files, branch: str = "main", subject: str = "Work as a team does") -> None:
        """Has the team commit files to a branch on the server."""
        copies.git(self.service, "fetch", "--quiet", "origin")
        copies.git(self.service, "switch", "--quiet", "--force-create", branch, f"origin/{branch}")
        write(self.service, files)
        copies.commit(self.service, subject)
        copies.git(self.service, "push", "--quiet", "origin", branch)

    def say(self, *arguments: str) -> str:
        return copies.git(self.server, *arguments).strip()

    @property
    def branches(self) -> list[str]:
        return self.say("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.scratch / "state.json").read_text())
        return state

    @property
    def pulls(self) -> list[dict[str, Any]]:
        pulls: list[dict[str, Any]] = self.state["pulls"]
        return pulls

    def change(self, **changes: Any) -> None:
        (self.scratch / "state.json").write_text(json.dumps(self.state | changes))


@pytest.fixture
def github(tmp_path: Path) -> GitHub:
    """A service of a template's release 1.0.0, on its server."""
    standard = copies.ROOT / "template"
    files: Files = {
        f"{WORKFLOW}.jinja": (standard / f"{WORKFLOW}.jinja").read_text(),
        "Makefile.jinja": (standard / "Makefile.jinja").read_text(),
        "Dockerfile": 'ARG UV_DIGEST=""\nFROM uv:0.13.9${UV_DIGEST} AS uv\n',
        "page.txt": PAGE,
        "gone.txt": page("Gone"),
    }
    template = make_template(tmp_path / "template", files, SETTINGS)
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "branch", "--move", "main")
    server = tmp_path / "orders.git"
    copies.git(tmp_path, "clone", "--quiet", "--bare", service, server)
    copies.git(service, "remote", "add", "origin", server)
    scratch = tmp_path / "github"
    write(scratch, {"tools/uv": UV, "tools/gh": GH, "state.json": json.dumps({"has_drafts": True})})
    for tool in (scratch / "tools").iterdir():
        tool.chmod(0o755)
    made = GitHub(template, service, server, scratch)
    made.change(pulls=[], calls=[])
    return made


CHANGES = "- The page is mended: «so».\n"


def offer(github: GitHub, version: str = "1.1.0", files: Files | None = None, changes: str = CHANGES) -> None:
    """Makes a release of the template, in which the page is mended and other files may be others."""
    (github.template / "CHANGELOG.md").write_text(f"# Changelog\n\n## {version}\n\n{changes}")
    release(github.template, version, {"page.txt": MENDED, **(files or {})})


def test_the_template_s_code_runs_where_nothing_may_be_written(github: GitHub) -> None:
    jobs = yaml.safe_load((github.service / WORKFLOW).read_text())["jobs"]
    runs_it = [name for name, job in jobs.items() if "make update YES=1" in json.dumps(job["steps"])]
    assert runs_it == ["merge"]
    assert jobs["merge"]["permissions"] == {"contents": "read"}
    assert not re.search(r"secrets\.|github\.token", json.dumps(jobs["merge"]))


def test_a_new_version_is_pushed_and_proposed(github: GitHub) -> None:
    github.work({"page.txt": EDITED})
    offer(github)
    succeeded, log = github.start()
    assert succeeded, log
    assert github.branches == ["main", BRANCH]
    assert github.say("show", f"{BRANCH}:page.txt") == BOTH.strip()
    assert github.say("log", "--format=%s %ae %ce", f"main..{BRANCH}") == f"{TITLE} {BOT} {BOT}"
    [pull] = github.pulls
    assert (pull["headRefName"], pull["baseRefName"], pull["title"]) == (BRANCH, "main", TITLE)
    assert not pull["isDraft"]
    assert f"### What changes in 1.1.0\n\n{CHANGES}" in pull["body"]
    assert "### Merged with your changes\n\n- `page.txt`\n" in pull["body"]
    newest = copies.git(github.template, "rev-parse", "v1.1.0^{commit}").strip()
    packages = (github.scratch / "packages").read_text().split()
    assert packages[-1] == f"git+{github.template.as_uri()}@{newest}", "another version than the newest did it"


def test_conflicts_are_proposed_as_a_draft_that_says_so(github: GitHub) -> None:
    gone = edited(page("Gone"))
    github.work({"page.txt": PAGE.replace(", line 10\n", ", line 10, as the team has it\n"), "gone.txt": gone})
    offer(github, files={"gone.txt": None})
    succeeded, log = github.start()
    assert succeeded, log
    assert ", line 10, as the team has it\n=======\nA page, line 10, mended" in github.say("show", f"{BRANCH}:page.txt")
    assert github.say("show", f"{BRANCH}:gone.txt") == gone.strip(), "what has no markers is the team's"
    assert github.say("log", "--format=%s %ae", f"main..{BRANCH}") == f"{TITLE}, with conflicts {BOT}"
    [pull] = github.pulls
    assert pull["isDraft"]
    assert pull["title"] == f"{TITLE}, with conflicts"
    assert pull["body"].startswith("> [!CAUTION]\n> This branch holds conflict markers and does not work yet.")
    told = """### In conflict

- `gone.txt`: changed by you, removed or moved by the template
- `page.txt`: changed by you and by the template in the same lines
"""
    assert told in pull["body"]


def test_without_drafts_the_title_says_that_there_are_conflicts(github: GitHub) -> None:
    github.change(has_drafts=False)
    github.work({"page.txt": PAGE.replace("line 10", "line ten")})
    offer(github)
    succeeded, log = github.start()
    assert succeeded, log
    assert [(pull["title"], pull["isDraft"]) for pull in github.pulls] == [(f"{TITLE}, with conflicts", False)]


def test_nothing_happens_without_a_new_version(github: GitHub) -> None:
    succeeded, log = github.start()
    assert succeeded, log
    assert "There is nothing to update." in log
    assert github.branches == ["main"]
    assert github.state["calls"] == []


def test_run_twice_there_is_one_pull_request_which_follows_main(github: GitHub) -> None:
    offer(github)
    assert github.start()[0]
    first = github.say("rev-parse", BRANCH)
    succeeded, log = github.start()
    assert succeeded, log
    assert "Pull request 1 has all of it." in log
    assert github.say("rev-parse", BRANCH) == first, "the same was pushed again"

    github.work({"page.txt": PAGE.replace("line 10", "line ten")})
    assert github.start()[0]
    assert github.say("rev-parse", f"{BRANCH}~") == github.say("rev-parse", "main")
    assert [(pull["isDraft"], pull["title"]) for pull in github.pulls] == [(True, f"{TITLE}, with conflicts")]
    assert "[!CAUTION]" in github.pulls[0]["body"]

    github.work({"page.txt": PAGE})
    assert github.start()[0]
    assert [(pull["isDraft"], pull["title"]) for pull in github.pulls] == [(False, TITLE)]
    assert "[!CAUTION]" not in github.pulls[0]["body"]


def test_a_branch_that_somebody_has_worked_on_is_theirs(github: GitHub) -> None:
    github.work({"page.txt": PAGE.replace("line 10", "line ten")})
    offer(github)
    assert github.start()[0]
    github.work({"page.txt": MENDED}, BRANCH, "Resolve the conflict")
    github.work({"own.txt": "Ours.\n"})
    before = github.say("rev-parse", BRANCH), github.pulls
    succeeded, log = github.start()
    assert succeeded, log
    assert f"Somebody has worked on {BRANCH}" in log
    assert (github.say("rev-parse", BRANCH), github.pulls) == before


def test_a_closed_pull_request_is_an_answer(github: GitHub) -> None:
    offer(github)
    assert github.start()[0]
    github.change(pulls=[github.pulls[0] | {"state": "CLOSED"}])
    github.work({"own.txt": "Ours.\n"})
    succeeded, log = github.start()
    assert succeeded, log
    assert "was closed" in log
    assert len(github.pulls) == 1

    assert github.start("workflow_dispatch")[0]
    assert [pull["state"] for pull in github.pulls] == ["CLOSED", "OPEN"]


def test_a_newer_version_takes_the_place_of_an_older_one(github: GitHub) -> None:
    offer(github, "1.9.0")
    assert github.start()[0]
    offer(github, "1.10.0", {"page.txt": MENDED.upper()})
    succeeded, log = github.start()
    assert succeeded, log
    assert github.branches == ["main", "twelvefold/update-1.10.0"]
    assert [pull["state"] for pull in github.pulls] == ["CLOSED", "OPEN"]
    assert github.pulls[0]["comment"] == "Version 1.10.0 takes its place."


def test_what_somebody_has_worked_on_is_not_closed(github: GitHub) -> None:
    offer(github)
    assert github.start()[0]
    github.work({"own.txt": "Ours.\n"}, BRANCH)
    offer(github, "1.2.0", {"page.txt": MENDED.upper()})
    assert github.start()[0]
    assert github.branches == ["main", BRANCH, "twelvefold/update-1.2.0"]
    assert [pull["state"] for pull in github.pulls] == ["OPEN", "OPEN"]


def test_a_fork_cannot_take_the_place_of_the_pull_request(github: GitHub) -> None:
    foreign = {"number": 1, "state": "CLOSED", "isCrossRepository": True, "headRefName": BRANCH}
    github.change(pulls=[foreign])
    offer(github)
    assert github.start()[0]
    assert [pull["isCrossRepository"] for pull in github.pulls] == [True, False]


def test_a_text_that_is_too_long_for_github_is_cut(github: GitHub) -> None:
    github.work({"page.txt": PAGE.replace("line 10", "line ten")})
    offer(github, changes="- «»\n" * 30_000)
    succeeded, log = github.start()
    assert succeeded, log[-10_000:]
    [pull] = github.pulls
    assert 60_000 < len(pull["body"]) < 65_536
    assert "### In conflict\n\n- `page.txt`" in pull["body"]


def test_a_version_is_named_by_hand(github: GitHub) -> None:
    offer(github)
    offer(github, "1.2.0", {"page.txt": MENDED.upper()})
    succeeded, log = github.start("workflow_dispatch", version="1.1.0")
    assert succeeded, log
    assert github.branches == ["main", BRANCH]


@pytest.mark.parametrize("version", ["1.1.0; touch owned", "$(touch owned)", "1.1.0\nx"])
def test_what_is_no_version_is_refused_before_anything_runs(github: GitHub, version: str) -> None:
    succeeded, log = github.start("workflow_dispatch", version=version)
    assert not succeeded
    assert "Name a version as in 1.2.0" in log, log
    assert not (github.scratch / "packages").exists()
    assert not list(github.scratch.rglob("owned"))


def test_it_is_refused_on_another_branch_than_the_default_one(github: GitHub) -> None:
    offer(github)
    succeeded, log = github.start("workflow_dispatch", default_branch="trunk")
    assert not succeeded
    assert "Start this on trunk" in log, log
    assert github.branches == ["main"]


def test_a_refusal_says_why(github: GitHub) -> None:
    succeeded, log = github.start("workflow_dispatch", version="7.0.0")
    assert not succeeded
    assert "has no version 7.0.0: its newest is v1.0.0" in log, log
    assert github.branches == ["main"]


def test_a_template_that_does_not_answer_fails_the_workflow(github: GitHub) -> None:
    github.template.rename(github.template.with_name("elsewhere"))
    succeeded, log = github.start()
    assert not succeeded
    assert "cannot be read" in log, log
    assert "The update did not begin" in log, log


def test_a_changed_workflow_takes_a_token_of_the_team(github: GitHub) -> None:
    changed = (copies.ROOT / f"template/{WORKFLOW}.jinja").read_text() + "\n# Mended.\n"
    offer(github, files={f"{WORKFLOW}.jinja": changed})
    succeeded, log = github.start()
    assert not succeeded
    assert "It changes workflows" in log, log
    assert github.branches == ["main"], "GitHub would have refused this"

    succeeded, log = github.start(own_token=OWN_TOKEN)
    assert succeeded, log
    assert github.branches == ["main", BRANCH]
    tokens = {(*call["arguments"][:2], call["token"]) for call in github.state["calls"]}
    assert ("run", "download", TOKEN) in tokens
    assert ("pr", "create", OWN_TOKEN) in tokens
    assert ("pr", "create", TOKEN) not in tokens
    assert OWN_TOKEN not in log
    assert TOKEN not in log
