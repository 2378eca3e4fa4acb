"""Whether a service is built in one way, or in another for each deploy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from . import repository
from .dockerfile import Dockerfile, parse
from .repository import CHOOSES_DEPLOY, DEPLOYS, NAMES_DEPLOY
from .standin import interpolated, options
from .workspace import Workspace

SCRIPTS = ("Makefile", "GNUmakefile", "*.mk", "justfile", "Taskfile.y*ml", "*.sh", "package.json", ".gitlab-ci.yml")
BUILDS = re.compile(
    r"\b(?:docker|podman|buildah|nerdctl)\s+(?:--?\S+\s+)*(?:buildx\s+|image\s+)?(?:build|bud)\b([^\n|;&]*)"
)
ASKS_FOR_DEPLOY = re.compile(r"\[\s[^\]\n]*=\s*[\"']?(?:prod|production|dev|development|staging)\b|\bcase\s+\S*ENV\b")
PUBLISHES = re.compile(r"(?<!build-)\bpush\b(?!': False)|\bdeploy\b|imagetools create")
# By what people tell a build or a process for which deploy it is.
USUAL = (
    "APP_ENV",
    "ENV",
    "ENVIRONMENT",
    "DEPLOY_ENV",
    "STAGE",
    "TARGET",
    "NODE_ENV",
    "PROFILE",
    "DJANGO_SETTINGS_MODULE",
)
CONFIGURATIONS = {"nowhere": "", "production": "production", "development": "development"}


def in_files(workspace: Workspace) -> list[str]:
    """What in the repository makes another artifact for another deploy, a sentence each."""
    source = workspace.source
    files = {path: parse(text) for path, text in repository.dockerfiles(source).items()}
    own = {path: file for path, file in files.items() if file.stages and takes_code(workspace, file)}
    problems = [f"{' and '.join(sorted(own))} both build the service"] if len(own) > 1 else []
    for path, file in own.items():
        problems += [f"{path}: {problem}" for problem in _in_dockerfile(file)]
    for path in repository.matching(source, (*SCRIPTS, *repository.WORKFLOWS)):
        problems += [f"{path}: {problem}" for problem in _in_commands(repository.text(source, path))]
    for path, workflow in repository.workflows(source).items():
        problems += [f"{path}: {problem}" for problem in _in_actions(workspace, workflow)]
    return problems + list(_in_compose(workspace))


def takes_code(workspace: Workspace, file: Dockerfile) -> bool:
    """Whether it puts the service's own code, or what declares its packages, into an image."""
    roots = {*workspace.contract.code.folders, *workspace.contract.code.packages, "pyproject.toml", "package.json"}
    roots |= {"requirements.txt", "uv.lock", ".", "src", "app", "dist", "*"}
    copied = [source.removeprefix("./").rstrip("/") or "." for stage in file.stages for source in stage.copied()]
    return any(source.split("/")[0] in roots or source.endswith((".py", ".whl", ".js")) for source in copied)


def _in_dockerfile(file: Dockerfile) -> Iterator[str]:
    arguments = [(name, value) for name, value in file.arguments.items()]
    for stage in file.stages:
        arguments += [one.rest.partition("=")[::2] for one in stage.all("ARG")]
    for name, value in arguments:
        if CHOOSES_DEPLOY.search(name.strip()) or DEPLOYS.fullmatch(value.strip("\"' ")) or NAMES_DEPLOY.search(value):
            yield f"the argument {name.strip()} says for which deploy it is built"
    for stage in file.stages:
        for one in stage.all("RUN"):
            if match := ASKS_FOR_DEPLOY.search(one.text):
                yield f"it asks for which deploy it is built: {match[0].strip()}"
    used = file.used()
    for stage in file.stages:
        if not any(stage is one for one in used) and DEPLOYS.fullmatch(stage.name):
            yield f"the stage {stage.name} is another image"
    if DEPLOYS.fullmatch(file.final.base):
        yield f"the image for one deploy is made of the one for {file.final.base}"


def _in_commands(text: str) -> Iterator[str]:
    """What the build commands in a script or a workflow say; all of one file together."""
    ways = set()
    for line in BUILDS.findall(re.sub(r"\\\n", " ", text)):
        given = _options(line)
        way = tuple(given.get(name, [""])[-1].removeprefix("./") for name in ("--file", "--target"))
        named = [value for value in way if value and "$" not in value and value not in ("-", "Dockerfile")]
        ways.add(tuple(named))
        for value in way:
            names = re.findall(r"\$[({]?\{?\s*([\w.]+)", value)
            if any(CHOOSES_DEPLOY.search(name.rpartition(".")[2]) for name in names):
                yield f"what is built depends on {names[0]}"
        for argument in given.get("--build-arg", []):
            yield from _argument(argument)
    if len(ways) > 1:
        yield f"it builds in {len(ways)} ways: {', '.join(' '.join(way) or 'Dockerfile' for way in sorted(ways))}"


def _argument(argument: str) -> Iterator[str]:
    name, _, value = argument.partition("=")
    if CHOOSES_DEPLOY.search(name) or DEPLOYS.fullmatch(value.strip("\"'")) or NAMES_DEPLOY.search(value):
        yield f"--build-arg {name} says for which deploy it is built"


def _options(line: str) -> dict[str, list[str]]:
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return options(words)[0]


def _in_actions(workspace: Workspace, workflow: Mapping[str, Any]) -> Iterator[str]:
    """The same of a workflow that builds by an action, or for what is pushed to a branch."""
    ways = set()
    deploys = [name for name in _branches(workflow) if DEPLOYS.fullmatch(name) and name != "develop"]
    for job in (workflow.get("jobs") or {}).values():
        if isinstance(job, dict) and _builds(workspace, job):
            yield from _for_one_deploy(job)
            if deploys and PUBLISHES.search(str(job.get("steps"))):
                yield f"it builds anew what is pushed to the branch of a deploy: {', '.join(deploys)}"
        for step in (job.get("steps") or []) if isinstance(job, dict) else []:
            if "build-push-action" not in str(step.get("uses", "")):
                continue
            given = step.get("with") or {}
            ways.add((str(given.get("file", "")), str(given.get("target", ""))))
            for argument in str(given.get("build-args", "")).split("\n"):
                yield from _argument(argument.strip())
    if len(ways) > 1:
        told = sorted(" ".join(way).strip() or "Dockerfile" for way in ways)
        yield f"it builds in {len(ways)} ways: {', '.join(told)}"


def _branches(workflow: Mapping[Any, Any]) -> list[str]:
    """The branches for whose new commits it runs."""
    events = workflow.get("on", workflow.get(True))  # what YAML 1.1 makes of `on`
    push = events.get("push") if isinstance(events, dict) else None
    branches = (push.get("branches") or []) if isinstance(push, dict) else []
    return [str(name) for name in ([branches] if isinstance(branches, str) else branches)]


def _builds(workspace: Workspace, job: Mapping[str, Any]) -> bool:
    """Whether one of its steps builds the image: as an action, by an engine, or as a person does."""
    first, *others = (re.escape(word) for word in shlex.split(workspace.contract.code.build or "\0"))
    by_hand = re.compile(
        rf"(?<![\w/.-]){first}\b" + "".join(rf"(?:[^\S\n]\S+)*?[^\S\n]+{word}(?![\w-])" for word in others)
    )
    commands = [str(step.get("run", "")) for step in job.get("steps") or [] if isinstance(step, dict)]
    found = any(BUILDS.search(command) or by_hand.search(command) for command in commands)
    return found or "build-push-action" in str(job.get("steps"))


def _for_one_deploy(job: Mapping[str, Any]) -> Iterator[str]:
    """Whether a job that builds is a deploy's own, or is there once for each."""
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    values = [str(value) for name in matrix for value in (matrix[name] if isinstance(matrix[name], list) else [])]
    if any(DEPLOYS.fullmatch(value) for value in values):
        yield f"it builds for each of {', '.join(values)}"
    given = job.get("environment") or ""
    name = str(given.get("name", "") if isinstance(given, dict) else given)
    if "${{" in name or DEPLOYS.fullmatch(name) or NAMES_DEPLOY.search(name):
        yield f"it builds for the environment {name}"


def _in_compose(workspace: Workspace) -> Iterator[str]:
    """What the compose files say of the service's own processes; all of them together."""
    builds: dict[tuple[str, str], str] = {}
    images: dict[str, str] = {}
    for path, services in repository.compose_files(workspace.source).items():
        for name, service in services.items():
            if (build := service.get("build")) and isinstance(build, dict):
                place = str(build.get("context", ".")).rstrip("/") or "."
                file = build.get("dockerfile") or "Dockerfile"
                builds.setdefault(
                    (f"{place}/{file}".removeprefix("./"), str(build.get("target") or "")), f"{name} of {path}"
                )
                for argument, value in (build.get("args") or {}).items():
                    for problem in _argument(f"{argument}={value}"):
                        yield f"{path}: {problem}"
            elif name in workspace.contract.processes and service.get("image"):
                image = interpolated(str(service["image"]), {}).partition("@")[0]
                images.setdefault(re.sub(r":[\w.-]+$", "", image), f"{name} of {path}")
    if len(builds) > 1:
        yield "; ".join(f"{where} is built by {' '.join(way).strip()}" for way, where in builds.items())
    if len(images) > 1:
        yield "; ".join(f"{where} runs {image}" for image, where in images.items())


def configurations(workspace: Workspace) -> dict[str, dict[str, str]]:
    """What a build's environment says in some deploys, by the deploy's name."""
    names = {*USUAL, *_named_in_scripts(workspace), *workspace.contract.config.required}
    return {deploy: {name: f"{value}" for name in names if value} for deploy, value in CONFIGURATIONS.items()}


def arguments(workspace: Workspace, command: str, deploy: str) -> str:
    """What a person would type after `make build` for a deploy, where the Makefile has a word for that."""
    if not command.startswith("make") or deploy == "nowhere":
        return ""
    return "".join(f" {name}={CONFIGURATIONS[deploy]}" for name in sorted(_named_in_scripts(workspace)))


def _named_in_scripts(workspace: Workspace) -> set[str]:
    """The variables of Makefiles and scripts by whose name somebody says for which deploy something is."""
    paths = repository.matching(workspace.source, SCRIPTS)
    text = "\n".join(repository.text(workspace.source, path) for path in paths)
    names = re.findall(r"\$[({]?\{?(\w+)|^\s*(?:export\s+)?(\w+)\s*[?:]?=", text, re.M)
    return {name for pair in names for name in pair if CHOOSES_DEPLOY.search(name) and not name.startswith("UV_")}
