"""A stand-in for GitHub's command `gh`, with those options of it that the workflow `update` uses, and no others.

GitHub itself cannot be asked by a test, and gh asks it in a language (GraphQL) that a small server could answer in name
only. What is seen here is what the workflow asks gh for: pull requests are kept in a file, and each call is recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HOME = Path(os.environ["GH_STAND_IN"])
Pull = dict[str, Any]


def main() -> int:
    """Does what the command line says, and records it; returns the exit code."""
    state = json.loads((HOME / "state.json").read_text())
    state["calls"].append({"arguments": sys.argv[1:], "token": os.environ.get("GH_TOKEN", "")})
    arguments = _parser().parse_args()
    code = int(arguments.do(arguments, state) or 0)
    (HOME / "state.json").write_text(json.dumps(state))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gh", allow_abbrev=False)
    groups = parser.add_subparsers(required=True)
    auth = groups.add_parser("auth").add_subparsers(required=True)
    auth.add_parser("setup-git").set_defaults(do=lambda arguments, state: 0)
    download = _command(groups.add_parser("run").add_subparsers(required=True), "download", _download, "run", "name")
    download.add_argument("--dir", type=Path, required=True)
    api = groups.add_parser("api", allow_abbrev=False)
    api.set_defaults(do=_api)
    api.add_argument("path")
    api.add_argument("--silent", action="store_true", required=True)
    api.add_argument("--method", choices=["PATCH"], required=True)
    api.add_argument("--raw-field", action="append", default=[])
    api.add_argument("--field", action="append", default=[])

    pulls = groups.add_parser("pr").add_subparsers(required=True)
    listing = _command(pulls, "list", _list, None, "json", "jq")
    listing.add_argument("--state", choices=["open", "closed", "merged", "all"], default="open")
    listing.add_argument("--head")
    listing.add_argument("--limit", type=int, default=30)
    create = _command(pulls, "create", _create, None, "base", "head", "title")
    create.add_argument("--body-file", type=Path, required=True)
    create.add_argument("--draft", action="store_true")
    _command(pulls, "ready", _ready, "number").add_argument("--undo", action="store_true")
    _command(pulls, "close", _close, "branch", "comment").add_argument("--delete-branch", action="store_true")
    return parser


def _command(group: Any, name: str, do: Any, positional: str | None, *required: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = group.add_parser(name, allow_abbrev=False)
    command.set_defaults(do=do)
    if positional:
        command.add_argument(positional)
    for option in required:
        command.add_argument(f"--{option}", required=True)
    return command


def _download(arguments: argparse.Namespace, state: dict[str, Any]) -> None:
    shutil.copytree(HOME / "artifacts" / arguments.name, arguments.dir, dirs_exist_ok=True)


def _list(arguments: argparse.Namespace, state: dict[str, Any]) -> int:
    names = arguments.json.split(",")
    found = [
        {name: pull[name] for name in names}
        for pull in reversed(state["pulls"])
        if arguments.state in ("all", pull["state"].lower()) and arguments.head in (None, pull["headRefName"])
    ]
    asked = json.dumps(found[: arguments.limit])
    return subprocess.run(["jq", "--raw-output", arguments.jq], input=asked, text=True, check=False).returncode


def _create(arguments: argparse.Namespace, state: dict[str, Any]) -> int:
    if arguments.draft and not state["has_drafts"]:
        print("Draft pull requests are not supported in this repository", file=sys.stderr)
        return 1
    pull = {
        "number": len(state["pulls"]) + 1,
        "state": "OPEN",
        "isDraft": arguments.draft,
        "isCrossRepository": False,
        "baseRefName": arguments.base,
        "headRefName": arguments.head,
        "title": arguments.title,
        "body": arguments.body_file.read_text(),
    }
    state["pulls"].append(pull)
    print(f"https://github.com/acme/orders/pull/{pull['number']}")
    return 0


def _ready(arguments: argparse.Namespace, state: dict[str, Any]) -> None:
    state["pulls"][int(arguments.number) - 1]["isDraft"] = arguments.undo


def _api(arguments: argparse.Namespace, state: dict[str, Any]) -> None:
    folder, _, number = arguments.path.rpartition("/")
    assert folder == f"repos/{os.environ['GITHUB_REPOSITORY']}/pulls"
    for text in [*arguments.raw_field, *arguments.field]:
        name, _, value = text.partition("=")
        is_file = text in arguments.field and value.startswith("@")
        state["pulls"][int(number) - 1][name] = Path(value[1:]).read_text() if is_file else value


def _close(arguments: argparse.Namespace, state: dict[str, Any]) -> None:
    [pull] = [one for one in state["pulls"] if (one["headRefName"], one["state"]) == (arguments.branch, "OPEN")]
    pull |= {"state": "CLOSED", "comment": arguments.comment}
    if arguments.delete_branch:
        subprocess.run(["git", "push", "--quiet", "origin", "--delete", arguments.branch], check=True)


if __name__ == "__main__":
    sys.exit(main())
