"""What every experiment of a run starts from: the code as it lies in the project, committed, and installed elsewhere.

The project itself is only read. A run that is interrupted leaves nothing in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import contract, stock, subfolder
from .contract import Contract
from .tools import PreparationError, git, run

VARIABLE = "TWELVEFOLD_WORKSPACE"  # how the processes of one run find its workspace
SCHEMES = {"postgres": "postgresql", "cache": "redis", "other": "http"}


@dataclass(frozen=True)
class Workspace:
    """The folders and facts of one run, the same in all its processes."""

    id: str
    project: Path
    """The service as its team has it. Never written to."""
    folder: Path
    """Where the run keeps all that it makes."""
    commit: str
    """What is checked out in the project; empty when it is no repository."""
    changed: bool
    driver: str
    """`process` or `image`."""
    image: str
    """The image's digest or name, for the driver `image`."""
    installed: str
    """How the environment was made: `locked`, `unlocked`, `in place`, `configured` (it needs variables) or `none`."""
    trouble: str
    """What kept the first choice of `installed` from working."""

    @property
    def source(self) -> Path:
        """A clone of the project, whose last commit holds what lay in its work tree."""
        return self.folder / "source"

    @property
    def environment(self) -> Path:
        """Where the service is installed."""
        return self.folder / "environment"

    @property
    def contract(self) -> Contract:
        """What factors.toml says."""
        return contract.load(self.source)

    @property
    def search_path(self) -> str:
        """The PATH of the service's processes."""
        return os.pathsep.join((str(self.environment / "bin"), os.defpath.lstrip(":")))

    @property
    def is_package(self) -> bool:
        """Whether the service is installed as a package, and so is independent of its checkout."""
        return (self.source / "uv.lock").exists() or self.installed == "in place"


def load() -> Workspace:
    """The workspace of this run; raises KeyError outside of one."""
    values = json.loads((Path(os.environ[VARIABLE]) / "workspace.json").read_text())
    return Workspace(**{**values, "project": Path(values["project"]), "folder": Path(values["folder"])})


def prepare(project: Path, folder: Path, *, driver: str = "process", image: str = "") -> Workspace:
    """Clones and installs the service of a project; raises PreparationError or ContractError."""
    contract.load(project)
    source = folder / "source"
    commit, changed = _clone(project, source)
    installed, trouble = _install(project, source, folder / "environment")
    workspace = Workspace(folder.name, project, folder, commit, changed, driver, image, installed, trouble)
    values = {**asdict(workspace), "project": str(project), "folder": str(folder)}
    (folder / "workspace.json").write_text(json.dumps(values))
    os.environ[VARIABLE] = str(folder)
    return workspace


def earlier(workspace: Workspace, commit: str, folder: Path) -> Workspace:
    """The service as it was at another commit, installed in a folder that is made for it; raises PreparationError."""
    folder.mkdir(parents=True)
    git(folder, "clone", "--quiet", "--no-hardlinks", "--no-checkout", str(workspace.source), "source")
    git(folder / "source", "checkout", "--quiet", commit)
    shutil.copy2(workspace.source / contract.FILE, folder / "source")  # what is looked at stays the same
    installed, trouble = _install(folder / "source", folder / "source", folder / "environment", compiled=False)
    return replace(workspace, folder=folder, commit=commit, changed=False, installed=installed, trouble=trouble)


def placeholders(contract_: Contract) -> dict[str, str]:
    """For each required variable a value of the right form, behind which there is nothing."""
    urls = {
        one.url: f"{(one.schemes or [SCHEMES[one.kind]])[0]}://127.0.0.1:1/none" for one in contract_.resources.values()
    }
    return {name: urls.get(name, "1") for name in contract_.config.required}


def files_of(project: Path) -> list[str]:
    """What lies in a project, but for what git ignores."""
    listed = git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sorted({name for name in listed if name and os.path.lexists(project / name)})


def digest_of(workspace: Workspace) -> str:
    """A digest of what is installed: every file of the environment but bytecode."""
    total = hashlib.sha256()
    root = workspace.environment if workspace.environment.exists() else workspace.source
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not path.is_symlink() and ".git/" not in name and not name.endswith(".pyc"):
            total.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"


def _clone(project: Path, source: Path) -> tuple[str, bool]:
    """Clones the project, and commits what is not committed there; returns its commit, and whether it had changes."""
    top = git(project, "rev-parse", "--show-toplevel", check=False).strip()
    if not top:
        _copy_outside_git(project, source)
        return "", True
    commit = git(project, "rev-parse", "--verify", "--quiet", "HEAD", check=False).strip()
    if commit and Path(top).resolve() == project.resolve():
        git(project, "clone", "--quiet", "--no-hardlinks", str(project), str(source))
    elif not commit or not subfolder.take_out(project, source):
        source.mkdir()
        git(source, "init", "--quiet")
    kept = set(files_of(project))
    for name in git(source, "ls-files", "-z").split("\0"):
        if name and name not in kept:
            (source / name).unlink()
    for name in kept:
        _copy(project / name, source / name)
    changed = bool(git(source, "status", "--porcelain", "--untracked-files=all").strip())
    if changed:
        git(source, "add", "--all", "--force")
        git(source, "commit", "--quiet", "--no-verify", "--message", "What lies in the work tree")
    return commit, changed


def _copy_outside_git(project: Path, source: Path) -> None:
    shutil.copytree(project, source, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", "node_modules"))
    git(source, "init", "--quiet")
    git(source, "clean", "--quiet", "-d", "--force", "-X")
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--no-verify", "--message", "What lies in the folder")


def _copy(origin: Path, target: Path) -> None:
    if target.is_symlink() or (target.exists() and target.is_dir() != origin.is_dir()):
        target.unlink() if not target.is_dir() or target.is_symlink() else shutil.rmtree(target)
    if origin.is_dir() and not origin.is_symlink():  # a repository inside of this one
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # which an editor may just have taken away
        shutil.copy2(origin, target, follow_symlinks=False)


def _install(project: Path, source: Path, environment: Path, *, compiled: bool = True) -> tuple[str, str]:
    """Installs by the lock; else without it, else from the project's own place, so that one fault fails one claim.

    To compile all packages takes a while, which is worth it where many processes start.
    """
    if (source / "uv.lock").exists() or _is_uv_project(source):
        return _uv_sync(project, source, environment, compiled)
    if (source / "requirements.txt").exists():
        run(["uv", "venv", "--quiet", str(environment)], source, {})
        into = ["--python", str(environment / "bin" / "python")]  # UV_PYTHON would win over VIRTUAL_ENV
        run(["uv", "pip", "install", "--quiet", *into, "--requirement", "requirements.txt"], source, {})
        return "unlocked", ""
    return "none", ""


def _is_uv_project(source: Path) -> bool:
    file = source / "pyproject.toml"
    return file.exists() and "[project]" in file.read_text("utf-8")


def _uv_sync(project: Path, source: Path, environment: Path, compiled: bool) -> tuple[str, str]:
    trouble = ""
    for how, folder, options in (
        ("locked", source, ["--locked"]),
        ("unlocked", source, []),
        ("in place", project, ["--frozen"]),
        ("configured", source, ["--locked"]),
    ):
        words = ["uv", "sync", "--quiet", *options, "--no-dev", "--no-editable"]
        given = {"UV_PROJECT_ENVIRONMENT": str(environment), "UV_COMPILE_BYTECODE": str(int(compiled))}
        if how == "configured":
            given |= placeholders(contract.load(source))
        if compiled:
            stock.take(source, environment)
        try:
            run(words, folder, given)
        except PreparationError as error:
            trouble = trouble or str(error)
            shutil.rmtree(environment, ignore_errors=True)
        else:
            git(source, "checkout", "--quiet", "--", ".")  # an unlocked sync writes a lock
            if compiled and how == "locked":
                stock.keep(source, environment)
            return how, trouble
    raise PreparationError(trouble)
