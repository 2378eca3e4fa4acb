"""Whether what is built and installed is what a commit holds, and what gets into a build that is in no commit."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from . import containers, own_code, repository
from .claim import NotRun
from .dockerfile import Instruction, parse
from .repository import Entry
from .standin import blob
from .tools import git
from .workspace import Workspace

PLANTED = "planted by twelvefold"
CODE = (".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".go", ".java", ".php", ".ex", ".sql", ".html", ".sh")
# What in a Dockerfile makes the code another than the commit's.
CHANGES_CODE = re.compile(
    r"\b(?:sed\s+(?:\S+\s+)*?-\w*i|perl\s+-\w*i)[^\n;&|]*(?:\.(?:py|js|ts|rb|go|java|php|sql|html)\b|\b(?:src|app|lib)/)"
    r"|\bpatch\s+-|\bgit\s+(?:apply|am|clone|pull|checkout)\b"
    r"|(?:>|\btee\s+(?:-a\s+)?)\s*\S+\.(?:py|js|mjs|cjs|ts|rb|go|java|php|sql|html)\b"
)
MAKES_CODE = re.compile(r"<<[^\n]*\.(?:py|js|ts|rb|go|java|php|sql|html)\b|\bgit@|\.git(?:#|\s)|\bhttps?://")
OTHER_CONTEXT = re.compile(r"=(?!docker-image://|target:|oci-layout:)")


@dataclass(frozen=True)
class Build:
    """What a container engine was given to build an image of."""

    call: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """A name for all that it was given."""
        return str(self.call["digest"])

    @property
    def files(self) -> dict[str, str]:
        """The files of the context, each with git's name for its content."""
        return dict(self.call["files"])

    @property
    def dockerfile(self) -> str:
        """The text of the Dockerfile."""
        return str(self.call["dockerfile"])

    @property
    def target(self) -> str:
        """The stage that is asked for; empty for the last one."""
        return str(self.call["target"])

    @property
    def revision(self) -> str:
        """The commit that the image says to be of."""
        return str(self.call["labels"].get("org.opencontainers.image.revision", ""))

    @property
    def remote(self) -> str:
        """The address of a context that is fetched; empty for one of this machine."""
        return str(self.call["place"])

    def strangers(self, commit: Mapping[str, Entry]) -> Iterator[str]:
        """What it was given that the commit does not hold, a sentence each."""
        for path, content in self.files.items():
            if path in self.call["archives"]:
                yield from _strangers_within(path, Path(self.call["archives"][path]), commit)
            elif problem := _problem(path, content, commit):
                yield problem
        if self.dockerfile and blob(self.dockerfile.encode()) not in {entry.blob for entry in commit.values()}:
            yield "the Dockerfile that is used is not in the commit"
        for one in self._steps():
            if match := CHANGES_CODE.search(one.text):
                yield f"the Dockerfile changes or fetches code: {match[0].strip()}"
            if one.word != "RUN" and MAKES_CODE.search(one.rest) and "checksum" not in one.options:
                yield f"the Dockerfile makes or fetches files: {one.word} {one.rest}"
        for context in self.call["contexts"]:
            if OTHER_CONTEXT.search(context):
                yield f"another context is given, {context}, which is no commit"

    def _steps(self) -> list[Instruction]:
        stages = parse(self.dockerfile).used(self.target) if self.dockerfile else []
        return [one for stage in stages for one in stage.all("RUN", "COPY", "ADD")]


def installed_strangers(workspace: Workspace, commit: Mapping[str, Entry], of: str) -> tuple[int, list[str]]:
    """How many files of the service are installed; and how they differ from the commit's, a sentence each."""
    files = dict(_installed(workspace))
    problems = [problem for path, content in files.items() if (problem := _problem(path, content, commit, of))]
    return len(files), problems + _missing(workspace, files, commit)


def image_strangers(workspace: Workspace) -> tuple[int, list[str]]:
    """How many files of the service's packages the image has; and how they differ from its commit's, a sentence each.

    Its commit is the one that the image names; raises NotRun when the repository does not have that, nor the image any
    file of the packages.
    """
    asked = '{{index .Config.Labels "org.opencontainers.image.revision"}}'
    named = containers.told("image", "inspect", "--format", asked, workspace.image)
    commit = git(workspace.source, "rev-parse", "--verify", "--quiet", f"{named or 'HEAD'}^{{commit}}", check=False)
    if not commit:
        raise NotRun(f"the repository does not have {named}, of which the image says to be")
    held = repository.tree(workspace.source, commit.strip())
    files = dict(_in_image(workspace))
    if not files:
        raise NotRun("the image has no file of [code] packages where Python keeps packages")
    problems = [
        problem for path, content in files.items() if (problem := _problem(path, content, held, commit.strip()))
    ]
    return len(files), problems + _missing(workspace, files, held)


def _in_image(workspace: Workspace) -> Iterator[tuple[str, str]]:
    places = "|".join(("site-packages", *map(re.escape, workspace.contract.code.folders)))
    packages = "|".join(re.escape(name.replace(".", "/")) for name in workspace.contract.code.packages)
    own = re.compile(rf"(?:^|/)(?:{places})/((?:{packages})/.+)(?<!\.pyc)$")
    for path, data in containers.files(workspace, own.search):
        if match := own.search(path):
            yield match[1], blob(data)


def own_distribution(workspace: Workspace) -> Distribution | None:
    """The service as it is installed, if it is a package."""
    name = re.sub(r"[-_.]+", "-", workspace.contract.name).lower()
    places = [str(site) for site in own_code.site_packages(workspace)]
    for found in distributions(path=places):
        if re.sub(r"[-_.]+", "-", found.metadata["Name"] or "").lower() == name:
            return found
    return None


def _installed(workspace: Workspace) -> Iterator[tuple[str, str]]:
    own = own_distribution(workspace)
    for path in (own.files if own else None) or ():
        place = Path(str(path.locate()))
        if ".dist-info" not in path.parts[0] and path.parts[0] != ".." and place.suffix != ".pyc" and place.is_file():
            yield path.as_posix(), blob(place.read_bytes())


def _missing(workspace: Workspace, files: Mapping[str, str], commit: Mapping[str, Entry]) -> list[str]:
    """The modules of the service's packages that are in the commit, and are not installed."""
    found = []
    for package in workspace.contract.code.packages if files else ():
        folder = package.replace(".", "/")
        for path in commit:
            within = re.search(rf"(?:^|/)({re.escape(folder)}/.*\.py)$", path)
            own = any(path.startswith(f"{root}/") for root in workspace.contract.code.folders)
            if own and within and within[1] not in files:
                found.append(f"{path} is in the commit, and not in what is installed")
    return found


def _problem(path: str, content: str, commit: Mapping[str, Entry], of: str = "") -> str:
    """What is wrong with a file; `of` is the id of the commit, which a file may hold."""
    entry = commit.get(path)
    same_name = [one for one in commit.values() if one.path.rpartition("/")[2] == path.rpartition("/")[2]]
    if entry and entry.blob == content:
        return ""
    if not entry and same_name:
        most = max(_shared(path, one.path) for one in same_name)
        if any(one.blob == content for one in same_name if _shared(path, one.path) == most):
            return ""
    if of and content in (blob(of.encode()), blob(f"{of}\n".encode())):
        return ""
    return f"{path} is not as in the commit" if entry or same_name else f"{path} is not in the commit"


def _shared(one: str, other: str) -> int:
    """How many parts of two paths agree, from the end."""
    count = 0
    for left, right in zip(reversed(one.split("/")), reversed(other.split("/")), strict=False):
        if left != right:
            break
        count += 1
    return count


def _strangers_within(path: str, archive: Path, commit: Mapping[str, Entry]) -> Iterator[str]:
    """What a package that was made before the build holds beside the commit's files."""
    entry = commit.get(path)
    if entry and entry.blob == archive.name:
        return
    for name, data in _members(path, archive):
        generated = ".dist-info/" in name or ".egg-info" in name or name.endswith(("PKG-INFO", "setup.cfg"))
        if not generated and (problem := _problem(name, blob(data), commit)):
            yield f"{path}: {problem}"


def _members(path: str, archive: Path) -> Iterator[tuple[str, bytes]]:
    if path.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as content:
            yield from ((one.filename, content.read(one)) for one in content.infolist() if not one.is_dir())
    else:
        with tarfile.open(archive) as content_:
            for member in content_:
                if file := content_.extractfile(member) if member.isfile() else None:
                    yield member.name.partition("/")[2], file.read()


# What lies in a work tree beside its commit


def diverge(clone: Path, files: Mapping[str, Entry]) -> None:
    """Makes a commit on a new branch, so that no other name than HEAD leads to what is checked out."""
    git(clone, "checkout", "--quiet", "-b", "twelvefold")
    for path in _code(files)[:1] or ["README.md"]:
        _append(clone / path)
    git(clone, "add", "--all", "--force")
    git(clone, "commit", "--quiet", "--no-verify", "--message", "Something that is on this branch only")


def plant(clone: Path, files: Mapping[str, Entry]) -> None:
    """Leaves in a work tree all kinds of things that are in no commit."""
    code = _code(files)
    for path in (*code[1:4], "README.md", "Dockerfile", "pyproject.toml", "requirements.txt"):
        if (clone / path).is_file():
            _append(clone / path)
    if len(code) > 2:
        git(clone, "add", code[2])
        git(clone, "update-index", "--skip-worktree", code[3] if len(code) > 3 else code[1])
    folder = (clone / code[-1]).parent if code else clone
    suffix = Path(code[-1]).suffix if code else ".txt"
    for name in ("twelvefold_untracked", "twelvefold_staged"):
        (folder / f"{name}{suffix}").write_text(f"# {PLANTED}\n" if suffix == ".py" else f"{PLANTED}\n")
    git(clone, "add", "--force", str(folder / f"twelvefold_staged{suffix}"))
    for name in (".env", "twelvefold.txt"):
        if not (clone / name).exists():
            (clone / name).write_text(f"PLANTED='{PLANTED}'\n")


def _code(files: Mapping[str, Entry]) -> list[str]:
    usual = [path for path in files if path.endswith(CODE) and files[path].mode != repository.LINK]
    return sorted(usual, key=lambda path: (path.endswith("__init__.py"), "test" in path, path))


def _append(file: Path) -> None:
    with file.open("a") as text:
        text.write(f"\n# {PLANTED}\n" if file.suffix not in CODE[1:] else f"\n{PLANTED}\n")
