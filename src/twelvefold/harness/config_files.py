"""Files from which a process takes its configuration, though no variable names them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from .siblings import interpreters, paths
from .tracing import Trace
from .workspace import Workspace

CONFIGURATION = re.compile(r"(?:^|/)(?:\.env[^/]*|[^/]+\.(?:env|ini|toml|ya?ml|json|cfg|conf|properties|xml))$")
SYSTEM = ("/usr/", "/lib/", "/lib64/", "/proc/", "/sys/", "/dev/", "/nix/", "/snap/")
# What the C library, drivers, interpreters and SDKs look for by themselves.
OF_LIBRARIES = re.compile(
    r"^/etc/(?:nsswitch|resolv|host|gai|krb5|malloc|ld\.so|odbc\w*|freetds|ssl/.*|pki/.*|ca-certificates|fonts/.*)\.\w+$"
    r"|/\.?pg_service\.conf$|/(?:pyvenv\.cfg|pyproject\.toml|setup\.cfg|tox\.ini|package\.json|tsconfig\.json)$"
    r"|/\.(?:aws|azure|config|docker|kube|postgresql)/"
)


def looked_for(trace: Trace, workspace: Workspace, folder: Path, variables: Mapping[str, str]) -> list[str]:
    """The files of configuration that came neither with the code nor with the system, and that no variable names.

    Whether they are there does not matter: a process that looks for one takes it where there is one. `folder` is the
    deploy's, below which each process starts in a folder of its own.
    """
    given = [value.rstrip("/") for value in variables.values() if value.startswith("/")]
    given = [place for place in given if not _below(str(folder), place)]  # a folder for temporary files names none
    own = [str(root) for root in (workspace.environment, workspace.source, *interpreters(workspace))]
    found = set()
    for path in paths(trace, folder / "process"):
        known = path.startswith(SYSTEM) or OF_LIBRARIES.search(path) or any(_below(path, root) for root in own + given)
        if CONFIGURATION.search(path) and not known and not _came_along(path, workspace, folder):
            found.add(path)
    return sorted(_told(found, folder))


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _came_along(path: str, workspace: Workspace, folder: Path) -> bool:
    """Whether a file of the folder in which a process starts is one of the repository's."""
    _, started, name = path.partition(f"{folder}/process")
    return bool(started) and (workspace.source / name.partition("/")[2]).is_file()


def _told(found: set[str], folder: Path) -> Iterator[str]:
    """The paths, with those of the folder in which a process starts as they are written in code."""
    return (re.sub(rf"^{re.escape(str(folder))}/process[^/]*/", "", path) for path in found)
