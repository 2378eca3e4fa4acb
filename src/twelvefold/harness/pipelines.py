"""What workflows do with an image before and after they publish it. They are read: they run on another machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import repository, scripts
from .variants import BUILDS
from .workspace import Workspace

BUILD, TEST, PUBLISH = "build", "test", "publish"
OTHER_BUILDS = re.compile(
    r"\bgcloud\s+(?:run|app|functions)\s+deploy\b.*--source|\bgcloud\s+builds\s+submit\b|\baz\s+acr\s+build\b"
    r"|\bfly(?:ctl)?\s+deploy\b(?!.*--image)|\bkamal\s+(?:deploy|setup|redeploy)\b(?!.*--skip-push)"
    r"|\bheroku\s+container:push\b|\bgit\s+push\s+\S*(?:heroku|dokku)\b"
    r"|\bbuildx\s+bake\b|\bpack\s+build\b|\bkaniko\b|\bko\s+build\b|\bdocker(?:-|\s+)compose\s+build\b|--build\b"
)
TESTS = re.compile(
    r"\b(?:docker|podman)\s+run\b|\bcompose\s+(?:\S+\s+)*(?:up|run)\b|\bprove\b|\bcontainer-structure-test\b|\bgoss\b"
)
PUBLISHES = re.compile(
    r"\b(?:docker|podman|buildah)\s+(?:image\s+)?push\b|\bimagetools\s+create\b|\bcrane\s+(?:copy|cp|tag|push)\b"
    r"|\bgcloud\s+(?:run|app|functions)\s+deploy\b|\bgcloud\s+builds\s+submit\b|\baz\s+acr\s+build\b"
    r"|\bfly(?:ctl)?\s+deploy\b|\bkamal\s+(?:deploy|setup|redeploy)\b|\bheroku\s+container:\w+"
    r"|\bgit\s+push\s+\S*(?:heroku|dokku)\b"
    r"|\bskopeo\s+copy\b|--push\b|\bpush=true\b|type=registry\b"
)
WITHOUT_NAME = re.compile(r"push-by-digest=true")
DEPTH = 3  # a step calls make, which calls a script, which calls another one
NOT_FOR_TAGS = re.compile(r"ref_type\s*!=\s*'tag'|!\s*startsWith\(\s*github\.ref\s*,\s*'refs/tags|pull_request'")


@dataclass(frozen=True)
class Step:
    """Something that a workflow does with an image."""

    kind: str
    job: str
    text: str
    by_digest: bool = True
    """Whether what is published is named by its digest, or is the very image that was built in the job."""


def problems(workspace: Workspace) -> tuple[int, list[str]]:
    """How many workflows publish an image, and how another image than the tested one could get out, a sentence each."""
    found: list[str] = []
    building: list[str] = []
    publishing = 0
    workflows = repository.workflows(workspace.source)
    for path, workflow in workflows.items():
        steps = list(_steps(workflow, workflows, workspace))
        if any(step.kind == PUBLISH for step in steps):
            publishing += 1
            found += [f"{path} {problem}" for problem in _judged(steps)]
            building += [path] if any(step.kind == BUILD for step in steps) else []
    if len(building) > 1:
        found.append(f"{' and '.join(building)} both build and publish: what one has tested, the other builds again")
    return publishing, found


def _judged(steps: list[Step]) -> Iterator[str]:
    builds = [step for step in steps if step.kind == BUILD]
    if len(builds) > 1:
        yield f"builds {len(builds)} times: what it publishes is not what it tested"
    published = [number for number, step in enumerate(steps) if step.kind == PUBLISH]
    tested = [number for number, step in enumerate(steps) if step.kind == TEST]
    built = [number for number, step in enumerate(steps) if step.kind == BUILD]
    first = published[0]
    if built and not any(max(one for one in built) < test < first for test in tested):
        yield "publishes what it built before anything has run it"
    if any(one > first for one in built):
        yield "builds again after it has published"
    if not steps[published[-1]].by_digest:
        yield f"publishes by a name that can change: {steps[published[-1]].text.strip()[:80]}"


def _steps(
    workflow: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]], workspace: Workspace
) -> Iterator[Step]:
    """What a workflow does, jobs in the order in which they need each other, with the workflows that it calls."""
    for name, job in _in_order(workflow.get("jobs") or {}):
        if NOT_FOR_TAGS.search(str(job.get("if", ""))):
            continue
        called = re.search(r"(\.github/workflows/[\w.-]+)", str(job.get("uses", "")))
        if called and called[1] in others and others[called[1]] is not workflow:
            yield from _steps(others[called[1]], others, workspace)
        for step in job.get("steps") or ():
            yield from _of_action(name, step)
            yield from _of_script(name, str(step.get("run", "")), workspace)


def _in_order(jobs: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    done: dict[str, Mapping[str, Any]] = {}

    def take(name: str) -> None:
        if name in done or not isinstance(jobs.get(name), dict):
            return
        needs = jobs[name].get("needs") or []
        for one in [needs] if isinstance(needs, str) else needs:
            take(one)
        done[name] = jobs[name]

    for name in jobs:
        take(name)
    return list(done.items())


def _of_action(job: str, step: Mapping[str, Any]) -> Iterator[Step]:
    if "build-push-action" in str(step.get("uses", "")):
        given = step.get("with") or {}
        yield Step(BUILD, job, "docker/build-push-action")
        if str(given.get("push", "")).lower() not in ("", "false") and not WITHOUT_NAME.search(str(given)):
            yield Step(PUBLISH, job, "docker/build-push-action")


def _of_script(job: str, script: str, workspace: Workspace, depth: int = 0) -> Iterator[Step]:
    """What a script does, line by line, with the scripts and make targets of the repository that it calls."""
    build = workspace.contract.code.build or ""
    for line in re.sub(r"\\\n", " ", script).splitlines():
        told = line.strip()
        if told.startswith("#"):
            continue
        own = bool(build) and re.search(rf"(?:^|[;&|]\s*){re.escape(build)}\b", told)
        if BUILDS.search(told) or OTHER_BUILDS.search(told) or own:
            yield Step(BUILD, job, told)
        if PUBLISHES.search(told) and not WITHOUT_NAME.search(told):
            copies = re.search(r"imagetools|crane|skopeo", told)
            yield Step(PUBLISH, job, told, by_digest=not copies or "@" in told or "digest" in told.lower())
        elif TESTS.search(told):
            yield Step(TEST, job, told)
        elif depth < DEPTH and not own:
            for called in scripts.called(workspace.source, told):
                yield from _of_script(job, called, workspace, depth + 1)
