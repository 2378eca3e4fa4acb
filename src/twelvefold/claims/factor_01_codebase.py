"""I. Codebase: one repository, whose commits become one artifact, which every deploy runs."""

from __future__ import annotations

from pathlib import Path

from ..harness import artifact, repository, siblings, tracing, variants
from ..harness.artifact import Build
from ..harness.claim import NotRun, Observations, Violation, claim, expect, need
from ..harness.deploy import Deploy
from ..harness.rehearsal import Rehearsal
from ..harness.workspace import Workspace


@claim(
    "I.1",
    "The artifact is one commit: what is built and installed is what the commit holds",
    threshold="0 files that are not the commit's",
    fast=True,
    seconds=3,
)
def the_artifact_holds_one_commit(workspace: Workspace, observe: Observations, tmp_path: Path) -> None:
    number, problems = artifact.installed_strangers(
        workspace, repository.tree(workspace.source), repository.head(workspace.source)
    )
    expect(not problems, "to be installed only what the commit holds", "; ".join(problems))
    if number:
        observe.note(f"{number} installed files are the commit's")
    if workspace.driver == "image":
        number, problems = artifact.image_strangers(workspace)
        expect(not problems, "the image to hold only what its commit holds", "; ".join(problems[:5]))
        observe.note(f"{number} files in the image are its commit's")

    command = need(workspace.contract.code.build, "[code] build")
    clone = repository.clone(workspace, tmp_path / "clone")
    artifact.diverge(clone, repository.tree(clone))
    commit = repository.tree(clone)
    clean = _build(command, Rehearsal(tmp_path / "clean", clone))
    _expect_the_commit(clean, commit, "a clean work tree")
    if clean.revision:
        observe.expect(clean.revision == repository.head(clone), "the image to tell its commit", clean.revision)

    artifact.plant(clone, {path: entry for path, entry in commit.items() if path in clean.files})
    rehearsal = Rehearsal(tmp_path / "changed", clone)
    done = rehearsal.run(command)
    if done.code == 0 or rehearsal.calls("build"):
        changed = _build(command, rehearsal, run=False)
        _expect_the_commit(changed, commit, "a work tree with changes")
        observe.note(f"0 of {len(changed.files)} files in the build are not the commit's, while 8 others lay beside")
    else:
        observe.note(f"`{command}` refuses to build from a work tree with changes")


def _build(command: str, rehearsal: Rehearsal, *, run: bool = True) -> Build:
    """The one build that a command asks a container engine for."""
    if run:
        rehearsal.succeed(command)
    builds = [Build(call) for call in rehearsal.calls("build")]
    if not builds:
        raise NotRun(f"`{command}` asks no container engine for a build, so what it takes cannot be seen")
    expect(len({build.digest for build in builds}) == 1, f"`{command}` to build one image", f"{len(builds)} images")
    if builds[0].remote:
        raise NotRun(f"`{command}` builds from {builds[0].remote}, which cannot be seen here")
    return builds[0]


def _expect_the_commit(build: Build, commit: dict[str, repository.Entry], where: str) -> None:
    problems = list(build.strangers(commit))
    expect(not problems, f"a build in {where} to take only what the commit holds", "; ".join(problems[:5]))


@claim(
    "I.2",
    "Many deploys, one artifact: every configuration runs the same image",
    threshold="1 digest",
    seconds=3,
)
def every_deploy_runs_the_same_artifact(workspace: Workspace, observe: Observations, tmp_path: Path) -> None:
    problems = variants.in_files(workspace)
    expect(not problems, "one way to build the service for all deploys", "; ".join(problems))

    command = need(workspace.contract.code.build, "[code] build")
    clone = repository.clone(workspace, tmp_path / "clone")
    digests: dict[str, str] = {}
    for deploy, given in variants.configurations(workspace).items():
        arguments = variants.arguments(workspace, command, deploy)
        rehearsal = _rehearsed(tmp_path / deploy, clone, command + arguments, given)
        build = _build(command, rehearsal, run=False)
        digests[deploy] = build.digest
    different = [name for name, digest in digests.items() if digest != digests["nowhere"]]
    expect(not different, f"`{command}` to build the same whatever deploy it is for", f"another for {different}")
    observe.measure(f"digests for {len(digests)} configurations", len(set(digests.values())), "==", 1)


def _rehearsed(folder: Path, clone: Path, command: str, given: dict[str, str]) -> Rehearsal:
    rehearsal = Rehearsal(folder, clone)
    rehearsal.succeed(command, given)
    return rehearsal


@claim(
    "I.3",
    "No sibling code: a clone alone, in an empty place, builds and boots",
    threshold="0 files from beside the clone",
    seconds=8,
)
def a_clone_alone_builds_and_boots(workspace: Workspace, deploy: Deploy, observe: Observations, tmp_path: Path) -> None:
    if workspace.installed == "in place":
        raise Violation(f"a clone alone does not install: {workspace.trouble}")
    problems = siblings.in_files(workspace.source)
    expect(not problems, "no reference to what lies outside of the repository", "; ".join(problems))
    if workspace.driver == "image":
        raise NotRun("which files are opened is traced only in processes of this machine: run it without IMAGE")

    if command := workspace.contract.code.build:
        clone = repository.clone(workspace, tmp_path / "alone")
        trace = tracing.prepare(deploy, siblings.LOOKS)
        build = _build_traced(command, Rehearsal(tmp_path / "rehearsal", clone), trace)
        seen = siblings.looked_at(trace, clone)
        observe.expect(not seen, f"`{command}` to look at nothing beside the clone", seen)
        absent = siblings.absent(build)
        observe.expect(not absent, "all that the image is made of to be in the clone", absent)

    started = siblings.started_and_ended(deploy, siblings.OPENS)
    for process, trace in started:
        foreign = siblings.foreign_code(trace, workspace, deploy.folder)
        expect(not foreign, f"{process.type} to load only code that came with the clone", foreign)
    observe.note(f"{', '.join(process.type for process, _ in started)} boot from a clone and its packages alone")


def _build_traced(command: str, rehearsal: Rehearsal, trace: tracing.Trace) -> Build:
    done = rehearsal.succeed(command, prefix=trace.prefix)
    trace.wait(done.pid)
    return _build(command, rehearsal, run=False)
