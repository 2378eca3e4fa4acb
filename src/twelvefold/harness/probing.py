"""An environment like the service's own, whose interpreter loads a module of the experiment's before anything else.

Nothing is changed in the service, nor in the variables that it is given.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from .claim import NotRun
from .deploy import Deploy
from .own_code import site_packages
from .processes import ProcessDriver
from .workspace import Workspace

INSIDE = Path(__file__).parent / "inside"


def probed(deploy: Deploy, probe: str, **arguments: object) -> Deploy:
    """The same deploy, whose programs all begin with `probe.start(**arguments)`; raises NotRun where that cannot be."""
    workspace = deploy.workspace
    if workspace.driver != "process":
        raise NotRun("what happens inside an interpreter is seen in processes only: prove without IMAGE")
    if not site_packages(workspace):
        raise NotRun("only the inside of Python code can be seen, and no Python environment is installed")
    statement = f"import {probe}; {probe}.start(**{_literal(arguments)})"
    folder = deploy.folder / f"{probe}-{crc32(statement.encode()):08x}"
    if not folder.exists():
        _make(workspace, folder, statement)
    return replace(deploy, driver=ProcessDriver(os.pathsep.join((str(folder / "bin"), workspace.search_path))))


def _make(workspace: Workspace, folder: Path, statement: str) -> None:
    """Makes an environment that has all packages of the service's, and the probe."""
    origin = workspace.environment
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_bytes((origin / "pyvenv.cfg").read_bytes())
    for program in (origin / "bin").iterdir():
        _take(program, folder / "bin" / program.name, str(origin), str(folder))
    for site in site_packages(workspace):
        new = folder / site.relative_to(origin)
        new.mkdir(parents=True)
        packages = f"import site; site.addsitedir({_literal(str(site))})"
        (new / "a_probe.pth").write_text(f"{INSIDE}\n{statement}\n{packages}\n")


def _take(program: Path, new: Path, old_place: str, new_place: str) -> None:
    """Takes a program over; a script names its interpreter, which is to be the new one."""
    if program.is_symlink() or not program.is_file():
        new.symlink_to(os.readlink(program) if program.is_symlink() else program)
        return
    text = program.read_bytes()
    if text.startswith(b"#!"):
        new.write_bytes(text.replace(old_place.encode(), new_place.encode()))
        new.chmod(0o755)
    else:
        new.symlink_to(program)


def _literal(value: object) -> str:
    """The value as Python text: it is made of words, lists and mappings alone."""
    return repr(json.loads(json.dumps(value)))
