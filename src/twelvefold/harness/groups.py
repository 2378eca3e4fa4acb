"""Groups of settings under one name, such as `production`: which variables choose them, and code that asks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .own_code import NOT_ITS_OWN, TESTS
from .workspace import Workspace

NAMES = """
    ENV ENVIRONMENT STAGE PROFILE APP_ENV APP_ENVIRONMENT APP_STAGE APP_MODE APP_PROFILE DEPLOY_ENV DEPLOYMENT_ENV
    DEPLOYMENT_ENVIRONMENT DEPLOYMENT_STAGE RUNTIME_ENV SERVICE_ENV PYTHON_ENV FLASK_ENV DJANGO_ENV FASTAPI_ENV
    QUART_ENV STARLETTE_ENV NODE_ENV RAILS_ENV RACK_ENV GO_ENV GIN_MODE ASPNETCORE_ENVIRONMENT DOTNET_ENVIRONMENT
    SPRING_PROFILES_ACTIVE DJANGO_CONFIGURATION ENV_FOR_DYNACONF
""".split()
SWITCHES = """
    DEBUG APP_DEBUG FLASK_DEBUG DJANGO_DEBUG TESTING TEST CI DEV DEV_MODE DEVELOPMENT PROD PRODUCTION
    IS_PRODUCTION LOCAL
""".split()
ONE_OF_THEM = re.compile(r"(\w*_)?(ENV|ENVIRONMENT|STAGE)")
VALUES = "production development test".split()
WORDS = "production|prod|development|dev|staging|stage|testing|test|local|live|qa|preprod|preview"
STRONG = "production|prod|development|staging|preprod"  # these hardly stand for anything else
A_WORD = re.compile(rf"[\"']({WORDS})[\"']", re.IGNORECASE)
A_NAME = re.compile(r"[\"'](?:\$\{?)?([A-Z][A-Z0-9_]*)\}?[\"']|\benv\.([A-Z][A-Z0-9_]*)")
# Names that speak of nothing else, and those that may: payments have a mode, and deals have stages.
FOR_IT, OFTEN_FOR_IT = r"\w*(?:env(?!elope|oy)|deployment)\w*", r"\w*(?:stage|profile|mode)\w*"
OF_SETTINGS = r"\b(?:settings|config|conf|cfg)\w*\b"
OF_THE_HOST = r"\b(?:gethostname|getfqdn|hostname|nodename|platform\.node)\b"
STRONG_TEXT = rf"[\"'](?:{STRONG})[-_.]?[\"']"
BEFORE_A_TEXT = r"(?:[!=]==?|\bcase\b|\bin\s*[\[({]|\b(?:starts|ends)with\(\(?)\s*"
COMPARED = rf"(?:{BEFORE_A_TEXT}(?:[\"'][^\"']*[\"'],\s*)*{STRONG_TEXT}|{STRONG_TEXT}\s*(?:[!=]=|(?:not\s+)?in\b))"
CHOICE = re.compile(
    rf"\b{FOR_IT}\W.{{0,60}}[\"']({WORDS})[\"']|[\"']({WORDS})[\"'].{{0,60}}\W\w*(env|environment|deployment)\b"
    rf"|{OF_SETTINGS}.{{0,20}}\b{OFTEN_FOR_IT}\W.{{0,60}}[\"']({WORDS})[\"']"
    rf"|{OF_SETTINGS}.*{COMPARED}|{COMPARED}.*{OF_SETTINGS}"
    # The machine on which it runs is none of its business.
    rf"|{OF_THE_HOST}.*{COMPARED}|{COMPARED}.*{OF_THE_HOST}"
    rf"|\b(?:gethostname|getfqdn|platform\.node)\(\)(?:\.lower\(\))?\s*(?:[!=]=\s*|\.(?:starts|ends)with\(\s*\(?)[\"']",
    re.IGNORECASE,
)
# Files that are there on one platform only, and to ask for which is to ask for it.
OF_A_PLATFORM = re.compile(r"[\"'][^\"']*(?:/\.dockerenv|/\.containerenv|/secrets/kubernetes\.io)")
ASKS_FOR_A_FILE = re.compile(r"exists|is_?(?:file|dir)|\baccess|\b[lf]?stat|-[edf] ", re.IGNORECASE)
COMPARES = re.compile(r"[!=]=|\bin\b|\bcase\b|\bis\b|\bmatch\b|\.get\(|\[|startswith|\.lower\(|\bequals\b")
CODE = ".py .js .mjs .cjs .ts .rb .go .java .kt .php .rs .ex .cs .sh".split()
MOST_BYTES = 500_000


@dataclass(frozen=True)
class Line:
    """A line of the service's own code."""

    place: str
    text: str


def lines(workspace: Workspace) -> list[Line]:
    """Every line of the service's own code, in whatever language, without its tests."""
    found = []
    for folder in workspace.contract.code.folders:
        for path in sorted((workspace.source / folder).rglob("*")):
            name = path.relative_to(workspace.source).as_posix()
            if path.suffix not in CODE or NOT_ITS_OWN.search(name) or TESTS.search(name):
                continue
            if path.is_file() and path.stat().st_size <= MOST_BYTES:
                text = path.read_text("utf-8", errors="replace")
                found += [Line(f"{name}:{number}", line) for number, line in enumerate(text.splitlines(), 1)]
    return found


def choices(code: Iterable[Line], declared: Iterable[str]) -> list[Line]:
    """Where the code asks which group it is in: by a name of one, or by a setting that is declared for it."""
    names = [name.lower() for name in declared if is_for_groups(name)]
    setting = re.compile(rf"\w\.(?:{'|'.join(names)})\b" if names else r"(?!)")

    def chooses(text: str) -> bool:
        if OF_A_PLATFORM.search(text) and ASKS_FOR_A_FILE.search(text):
            return True
        return bool((CHOICE.search(text) or setting.search(text)) and COMPARES.search(text))

    return [line for line in code if chooses(line.text)]


def is_for_groups(name: str) -> bool:
    """Whether a variable of this name tells which group it is."""
    return name in NAMES or bool(ONE_OF_THEM.fullmatch(name))


def variables(workspace: Workspace, code: Iterable[Line], declared: Iterable[str]) -> list[str]:
    """Every variable that may choose a group, in general and in this service."""
    own = {re.sub(r"\W", "_", name).upper() for name in (workspace.contract.name, *workspace.contract.code.packages)}
    mentioned = {match[1] or match[2] for line in code for match in A_NAME.finditer(line.text)}
    found = {name for name in {*mentioned, *declared} if is_for_groups(name)}
    return sorted({*NAMES, *(f"{name}_ENV" for name in own), *(f"{name}_ENVIRONMENT" for name in own), *found})


def switches(declared: Iterable[str]) -> list[str]:
    """Every variable that may switch a group on; one for debugging that is declared is a setting like others."""
    return sorted(set(SWITCHES) - {name for name in declared if "DEBUG" in name})


def words(code: Iterable[Line]) -> set[str]:
    """The names of groups that stand in this service's code."""
    return {match[1] for line in code for match in A_WORD.finditer(line.text)}


def values(code: Iterable[Line]) -> list[str]:
    """What such a variable may be, in general and in this service."""
    return [*VALUES, *sorted(words(code) - set(VALUES))]
