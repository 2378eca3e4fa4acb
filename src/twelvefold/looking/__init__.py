"""What a service's files tell of it, without running anything: commands, variables, addresses, backing services."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import code
from .backing import Backing, backing_services, named_variables, needed_packages, not_installable
from .code import Variable
from .commands import (
    Compose,
    Dockerfile,
    build,
    not_understood,
    processes,
    read_compose,
    read_dockerfile,
    read_procfile,
)
from .reading import Said, Unreadable, Values, at, first_of, json_of, mapping, toml_of, yaml_of

__all__ = ["SECRET", "Service", "Unreadable", "look", "not_installable"]

EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", "example.env")
DOCUMENTS = tuple(f"{folder}openapi.{kind}" for folder in ("", "docs/") for kind in ("json", "yaml", "yml"))
SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|PRIVATE|CREDENTIAL|API_?KEY|DSN$")
OF_THE_IMAGE = re.compile(r"(PORT|PATH|HOME)$|PYTHON|PIP_|UV_|LANG|LC_|NPM_|DEBIAN_")


@dataclass(frozen=True)
class Service:
    """All that was found."""

    name: Said
    procfile: dict[str, str]
    """The process types of the Procfile."""
    not_understood: list[str]
    """The lines of the Procfile that name none."""
    processes: dict[str, Said]
    """The process types of other files."""
    packages: list[str]
    """The import names of its own Python packages and modules."""
    folders: list[str]
    """Where its own code lies."""
    settings: list[str]
    """Files whose name says that they read the environment."""
    variables: dict[str, Variable]
    """What the code reads."""
    backing: list[Backing]
    addresses: dict[str, str]
    """The paths of health checks and the like, each with where it was found."""
    given: dict[str, Said]
    """What the compose file or the Dockerfile gives to its processes, beside addresses and secrets."""
    build: Said | None
    """The command that builds the image."""
    example: str
    """The file that lists the variables; empty if there is none."""
    document_file: str
    """The file of the OpenAPI document; empty if there is none."""
    document: Values
    files: list[str]
    """The files that told something."""

    @property
    def commands(self) -> dict[str, str]:
        """The command of each process type."""
        return self.procfile or {name: said.value for name, said in self.processes.items()}


def look(path: Path) -> Service:
    """Looks at the service in a folder; raises Unreadable."""
    compose, dockerfile = read_compose(path), read_dockerfile(path)
    texts = code.sources(path)
    read = code.variables(texts)
    example, document_file = first_of(path, EXAMPLES), first_of(path, DOCUMENTS)
    document = yaml_of(path / document_file) if document_file else {}
    needs = needed_packages(path)
    named = named_variables(compose, {name: one.files[0] for name, one in read.items()}, path, example, needs)
    return Service(
        name=_name(path),
        procfile=read_procfile(path),
        not_understood=not_understood(path),
        processes=processes(path, compose, dockerfile),
        packages=code.packages(texts),
        folders=code.folders(texts),
        settings=code.settings(texts),
        variables=read,
        backing=backing_services(compose, named, needs),
        addresses=_addresses(texts, document, document_file, needs),
        given=_given(compose, dockerfile),
        build=build(path),
        example=example,
        document_file=document_file,
        document=document,
        files=_files(path, compose.file, example, document_file),
    )


def _name(path: Path) -> Said:
    project = toml_of(path / "pyproject.toml")
    candidates = (
        (at(project, "project", "name"), "pyproject.toml"),
        (at(project, "tool", "poetry", "name"), "pyproject.toml"),
        (json_of(path / "package.json").get("name"), "package.json"),
        (path.resolve().name, "the folder's name"),
    )
    for value, where in candidates:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(value or "").rpartition("/")[2]).strip("._-")
        if name:
            return Said(name, where)
    return Said("service", "no name was found")


def _addresses(texts: dict[str, str], document: Values, document_file: str, needs: set[str]) -> dict[str, str]:
    """Those of the code, of the document, and of a framework that serves its document by itself."""
    described = code.addresses({document_file: "".join(f"'{path}'" for path in mapping(document.get("paths")))})
    by_itself = {"/openapi.json": "the package fastapi"} if "fastapi" in needs else {}
    return by_itself | described | code.addresses(texts)


def _given(compose: Compose, dockerfile: Dockerfile) -> dict[str, Said]:
    found = {name: Said(value, "Dockerfile") for name, value in dockerfile.variables.items()}
    found |= {name: Said(value, compose.file) for name, value in compose.variables.items()}
    return {
        name: said
        for name, said in sorted(found.items())
        if said.value
        and not re.search(r"\$|://", said.value)
        and not SECRET.search(name)
        and not OF_THE_IMAGE.match(name)
    }


def _files(path: Path, *found: str) -> list[str]:
    others = ("Procfile", "Dockerfile", "pyproject.toml", "requirements.txt", "package.json")
    return [*filter(None, found), *(name for name in others if (path / name).is_file())]
