"""What a service can be told: the names of its variables, values that cannot be right, secrets nobody may see."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .claim import NotRun
from .contract import Contract, Web
from .deploy import Deploy
from .workspace import Workspace

LETTERS = string.ascii_letters + string.digits
LINE = re.compile(r"\s*#?\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=")
# A default that is a number; 0 and 1 may be those of a switch.
NUMBER = re.compile(r"\s*#?\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*([\"']?)(?![01]\2\s*$)\d+(?:\.\d+)?\2\s*$")
WORD = re.compile(r"\s*#?\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*[\"']?([A-Za-z][\w-]*)?[\"']?\s*$")
SWITCH = "true false yes no on off".split()
NO_URL, NO_NUMBER = "no address", "many"
SWITCHES = {"true": "false", "false": "true", "yes": "no", "no": "yes", "on": "off", "off": "on"}
NO_PASSWORD = "memcached", "memory"  # schemes of caches that know none


def declared(workspace: Workspace) -> set[str]:
    """Every variable that is declared, in each form in which it may be given; raises NotRun where nothing says so."""
    config = workspace.contract.config
    if not config.example:
        raise NotRun("factors.toml has no [config] example")
    file = workspace.source / config.example
    if not file.is_file():
        raise NotRun(f"there is no {config.example}, which factors.toml names as [config] example")
    lines = file.read_text("utf-8").splitlines()
    names = {match[1] for line in lines if (match := LINE.match(line))} | set(config.required)
    return names | {f"{name}{config.file_suffix}" for name in names if config.file_suffix}


def much_logged(workspace: Workspace) -> dict[str, str]:
    """The variable with which a process logs all that it can, if it is declared: who looks for a fault sets it."""
    with suppress(NotRun):
        return {"LOG_LEVEL": "debug"} if "LOG_LEVEL" in declared(workspace) else {}
    return {}


def switched(workspace: Workspace) -> dict[str, str]:
    """The declared switches the other way round, and the log as wordy as it gets, where the example tells the defaults.

    What the experiments give every process themselves stays as it is.
    """
    config = workspace.contract.config
    file = workspace.source / (config.example or "")
    found = much_logged(workspace)
    for line in file.read_text("utf-8").splitlines() if file.is_file() else []:
        if (match := LINE.match(line)) and match[1] not in {*config.required, *config.given}:
            value = line[match.end() :].strip()
            if other := SWITCHES.get(value.lower(), ""):
                found[match[1]] = other.upper() if value.isupper() else other
    return found


def canary() -> str:
    """A secret that stands nowhere else, so that whoever sees a part of it has seen the secret."""
    return "".join(secrets.choice(LETTERS) for _ in range(32))


def with_password(url: str, password: str, user: str = "") -> str:
    """The URL with another password, and another user if one is given."""
    parts = urlsplit(url)
    name = user or parts.username or ""
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{name}:{password}@{host}").geturl()


def secrets_of(deploy: Deploy) -> dict[str, tuple[str, str]]:
    """For each secret variable a value of the right form, and the part of it that is secret."""
    found = {}
    config = deploy.contract.config
    for name in config.secrets:
        secret = canary()
        resource = next((one for one in deploy.contract.resources.values() if one.url == name), None)
        if name in config.secret_forms:
            found[name] = config.secret_forms[name].replace("{secret}", secret), secret
        elif resource and resource.kind == "postgres" and deploy.database:
            found[name] = with_password(deploy.database.url, secret), secret
        elif resource and resource.kind == "cache":
            scheme = (resource.schemes or ["redis"])[0]
            if scheme not in NO_PASSWORD:
                found[name] = f"{scheme}://:{secret}@127.0.0.1:1/0", secret
        elif not resource:
            found[name] = secret, secret
    return found


@dataclass(frozen=True)
class Trial:
    """A configuration with which nothing may run."""

    what: str
    variables: dict[str, str | None]
    bad: frozenset[str]
    """The variables that are wrong."""
    secrets: tuple[str, ...] = ()
    """What stands in some of them, and in no message."""


def trials(deploy: Deploy, process: str, asked_for: Callable[[], Iterable[str]] = tuple) -> Iterator[Trial]:
    """Every way in which the variables of a process type are tried; those of web alone are tried with web alone.

    `asked_for` tells which variables the process type has asked for in the first trial.
    """
    config, web = deploy.contract.config, deploy.contract.web
    required = frozenset(config.required)
    is_web = web is not None and process == web.process
    optional = {name: value for name, value in config.malformed.items() if name not in required}
    if web and not is_web:
        optional = {name: value for name, value in optional.items() if name not in _of_web(web)}
    secret = secrets_of(deploy)

    if required:
        yield Trial("nothing that is required", dict.fromkeys(required), required)
        empty: dict[str, str | None] = dict.fromkeys(required, "")
        yield Trial("empty and malformed variables", {**empty, **optional}, required | set(optional))
    wrong, told = {}, []
    for name in required & set(config.malformed):
        hidden = canary()
        wrong[name] = _malformed(deploy, name, hidden, forgotten_host=not is_web)
        told.append(hidden)
    own = set(asked_for()) - set(config.malformed) - (_of_web(web) if web and not is_web else set())
    wrong |= {name: value for name, value in impossible(deploy.workspace).items() if name in own} | optional
    if wrong:
        yield Trial("malformed variables", dict(wrong), frozenset(wrong), tuple(told))
    if is_web and optional:
        values = {name: value for name, (value, _) in secret.items() if name not in optional}
        hidden_ones = tuple(hidden for _, hidden in secret.values())
        yield Trial("malformed variables beside secrets", {**values, **optional}, frozenset(optional), hidden_ones)
    if is_web and config.file_suffix and required:
        name, missing = sorted(required)[0], str(deploy.folder / "no-such-file")
        given = {name: None, f"{name}{config.file_suffix}": missing}
        yield Trial("a file that is not there", given, frozenset({name}))


def impossible(workspace: Workspace) -> dict[str, str]:
    """A value that cannot be right for each variable whose kind shows: an address, or a number by its default."""
    numbers = [match[1] for line in _example(workspace) if (match := NUMBER.match(line))]
    return dict.fromkeys(numbers, NO_NUMBER) | dict.fromkeys(_addresses(workspace.contract), NO_URL)


def free(workspace: Workspace) -> set[str]:
    """The declared variables that may take any word, as far as that shows: they have none by default, or another."""
    contract, config = workspace.contract, workspace.contract.config
    found = [match for line in _example(workspace) if (match := WORD.match(line))]
    taken: set[str | None] = {*_addresses(contract), *config.required, *config.malformed, *config.given}
    taken |= {*config.secrets, *(_of_web(contract.web) if contract.web else ())}
    return {match[1] for match in found if (match[2] or "").lower() not in SWITCH} - taken


def _addresses(contract: Contract) -> list[str]:
    """The variables that hold the address of something."""
    telemetry, web = contract.telemetry, contract.web
    found = [resource.url for resource in contract.resources.values()]
    found += [telemetry.endpoint] if telemetry else []
    return [*found, web.public_url] if web and web.public_url else found


def _example(workspace: Workspace) -> list[str]:
    file = workspace.source / (workspace.contract.config.example or "")
    return file.read_text("utf-8").splitlines() if file.is_file() else []


def _of_web(web: Web) -> set[str | None]:
    return {web.port, web.host, web.public_url, web.drain, web.grace}


def _malformed(deploy: Deploy, name: str, secret: str, *, forgotten_host: bool) -> str:
    """The value that cannot be right, with a secret in it where it has a place for one."""
    value = deploy.contract.config.malformed[name]
    resource = next((one for one in deploy.contract.resources.values() if one.url == name), None)
    if forgotten_host and resource and resource.kind == "postgres":
        return f"postgresql://app:{secret}/app"  # so the password is read as the port
    return with_password(value, secret, user="app") if "://" in value else value


def named(text: str, variables: frozenset[str], suffix: str | None) -> set[str]:
    """Which of the variables a text names."""
    ends = f"(?:{re.escape(suffix)})?" if suffix else ""
    return {name for name in variables if re.search(rf"(?<![A-Za-z0-9_]){name}{ends}(?![A-Za-z0-9_])", text)}


def files_since(places: dict[Path, int], began: float) -> Iterator[Path]:
    """The regular files that were written since a time (as `time.time`) below these folders, so many levels deep."""
    for place, levels in places.items():
        yield from _files(place, levels, began)


def _files(folder: Path, levels: int, began: float) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_symlink():
                continue
            if entry.is_dir() and levels > 1:
                yield from _files(entry, levels - 1, began)
            elif entry.is_file() and entry.stat().st_mtime >= began - 1:
                yield entry
        except OSError:  # it was there a moment ago
            continue
