"""Runs a service's workflows on this machine with act, with stubs in the place of the actions of others."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from . import copies
from .interpreters import real_interpreter

TOOLS = Path(sys.executable).parent
# act has been seen to lose what a failing step printed last: it runs steps at a terminal that it reads beside them.
BASH = """#!/bin/sh
/bin/bash "$@" || { code=$?; sleep 0.5; exit "$code"; }
"""
NOTHING = "{name: Nothing, runs: {using: composite, steps: [{run: 'true', shell: sh}]}}"


def run(
    service: Path,
    event: str,
    workflow: str,
    *options: str,
    env: Mapping[str, str],
    actions: Mapping[str, str] | None = None,
) -> tuple[bool, str]:
    """Runs a workflow; returns whether it succeeded, and its log.

    `options` are act's own, such as `--job NAME`; `env` is what the steps see besides. `actions` has the
    `action.yml` of actions by their name, such as `actions/upload-artifact`; all others do nothing.
    """
    scratch = service.with_name("act")
    path = service / ".github/workflows" / workflow
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    runners = sorted({job["runs-on"] for job in jobs if "runs-on" in job})
    used = sorted({step["uses"] for job in jobs for step in job.get("steps", []) if "uses" in step})
    stubs = [f"{action}={_stub(scratch, action.partition('@')[0], actions or {})}" for action in used]
    command = [
        *(str(TOOLS / "act"), event, "--workflows", str(path.relative_to(service)), *options),
        *(part for runner in runners for part in ("--platform", f"{runner}=-self-hosted")),
        *(part for stub in stubs for part in ("--local-repository", stub)),
        *("--action-cache-path", str(scratch), "--no-cache-server"),
    ]
    version = service / ".python-version"
    interpreter = real_interpreter(version.read_text().strip()) if version.exists() else None
    environment = copies.service_environment(interpreter) | {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"} | dict(env)
    environment["PATH"] = f"{_bash(scratch)}{os.pathsep}{environment['PATH']}"
    with subprocess.Popen(
        command,
        cwd=service,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            log, _ = process.communicate(timeout=600)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode == 0, log


def _bash(scratch: Path) -> Path:
    """The folder of a bash that gives act the time to read."""
    bash = scratch / "bin/bash"
    bash.parent.mkdir(parents=True, exist_ok=True)
    bash.write_text(BASH)
    bash.chmod(0o755)
    return bash.parent


def _stub(scratch: Path, action: str, written: Mapping[str, str]) -> Path:
    """The folder of an action that stands in for another one."""
    folder = scratch / "actions" / action
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "action.yml").write_text(written.get(action, NOTHING))
    return folder
