"""`twelvefold init`: drafts a `factors.toml` by looking at a service, for its team to complete."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from .described import NAMES
from .harness.contract import FILE
from .looking import SECRET, Service, Unreadable, look
from .looking.openapi import created_thing

DRAFTED, NOTHING_DONE = 0, 2
QUESTION = "# ? "
BARE = re.compile(r"[A-Za-z0-9_-]+")
PUBLIC_URL = re.compile(r"^(PUBLIC|BASE|SITE|EXTERNAL|ROOT|APP)_(URL|URI)$")
SHELL = re.compile(r"[;&|<>`]|\$\(|^\s*\w+=")  # what only a shell understands; variables are understood without
PORTS = re.compile(r"(^|_)PORT$")

HEAD = """\
# Where `twelvefold prove` has to look. It says nothing about what the experiments will see there.
# Drafted by `twelvefold init` from what lies in this folder: a comment tells where each value was found.
# A line that begins with "# ?" asks for what was not found; what stays unanswered makes the claims that need it
# "not run"."""


def init(path: Path) -> int:
    """Writes the draft for the service in a folder and says what to do next; returns the exit code."""
    file = path / FILE
    try:
        if os.path.lexists(file):
            raise FileExistsError
        service = _looked_at(path)
        text = _text(service)
        _write(file, text.encode("utf-8", "replace"))
    except FileExistsError:
        return _refused(f"{file} exists and stays as it is: move it away to have a new one drafted.")
    except (Unreadable, OSError) as error:
        return _refused(str(error))
    print(_told(file, service, text))
    return DRAFTED


def draft(path: Path) -> str:
    """The text of a `factors.toml` for the service in a folder; raises Unreadable."""
    return _text(_looked_at(path))


def _looked_at(path: Path) -> Service:
    if not path.is_dir():
        raise Unreadable(f"{path} is no folder: name the folder of a service.")
    return look(path)


def _text(service: Service) -> str:
    sections = (
        [HEAD, _entry("name", service.name.value, service.name.where)],
        _processes(service),
        _code(service),
        _config(service),
        _web(service),
        _thing(service),
        _jobs(service),
        _clock(service),
        _admin(service),
        _resources(service),
    )
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _write(file: Path, data: bytes) -> None:
    """Writes a file that must not exist yet, whole or not at all."""
    with file.open("xb", buffering=0) as opened:
        try:
            opened.write(data)
        except OSError:
            file.unlink()
            raise


def _refused(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return NOTHING_DONE


def _told(file: Path, service: Service, text: str) -> str:
    questions = sum(line.startswith(QUESTION) for line in text.splitlines())
    return "\n".join(
        (
            f"Drafted {file} from {', '.join(service.files) or 'the code'}.",
            f"  process types: {', '.join(service.commands) or 'none found'}",
            f"  backing services: {', '.join(one.name for one in service.backing) or 'none found'}",
            f"Next: answer its {questions} questions (lines that begin with {QUESTION!r}), then `twelvefold prove`.",
        )
    )


# The sections


def _processes(service: Service) -> list[str]:
    lines = [f"# Not understood in the Procfile: {_remark(line)}" for line in service.not_understood]
    if service.procfile:
        lines += ["# The Procfile's commands are taken from there; one that is named here replaces it."]
        lines += [f"#   {name}: {_remark(command)}" for name, command in service.procfile.items()]
        shell = {name: command for name, command in service.procfile.items() if SHELL.search(command)}
        lines += [_entry(name, _runnable(command), "it needs a shell") for name, command in shell.items()]
        lines += _other_commands(service)
    elif service.processes:
        lines += [_entry(name, _runnable(said.value), said.where) for name, said in service.processes.items()]
    else:
        lines += [_question("How is each process type started in production?"), '# web = "..."']
    if service.commands and "release" not in service.commands:
        lines += [_question("What prepares a release (migrations), if anything does?"), '# release = "..."']
    return ["[processes]", *lines]


def _runnable(command: str) -> str:
    """A command that can be run without a shell, by way of one if it has to be."""
    return shlex.join(["sh", "-c", command]) if SHELL.search(command) else command


def _other_commands(service: Service) -> list[str]:
    """What the compose file or the Dockerfile starts otherwise than the Procfile."""
    differ = {name: said for name, said in service.processes.items() if said.value != service.procfile.get(name)}
    return [
        f"# Started otherwise in {_remark(said.where)}: {name}: {_remark(said.value)}" for name, said in differ.items()
    ]


def _code(service: Service) -> list[str]:
    lines = ["[code]"]
    if service.packages:
        lines += [_entry("packages", service.packages)]
    lines += [_entry("folders", service.folders or ["."])]
    if service.settings:
        lines += [_entry("settings", service.settings, "by their names")]
    elif service.variables:
        readers = sorted({file for variable in service.variables.values() for file in variable.files})
        lines += [
            _question(f"Which files may read the environment? These do: {', '.join(readers)}"),
            '# settings = ["..."]',
        ]
    if service.build:
        lines += [_entry("build", service.build.value, service.build.where)]
    else:
        lines += [_question("Which command builds the image, if there is one?"), '# build = "docker build ."']
    return lines


def _config(service: Service) -> list[str]:
    lines = ["[config]"]
    if service.example:
        lines += [_entry("example", service.example)]
    else:
        lines += [_question("Which file lists every variable, one NAME= a line?"), '# example = ".env.example"']
    lines += [f"# Read by the code: {one.name} ({_remark(', '.join(one.files))})" for one in service.variables.values()]
    demanded = [name for name, variable in service.variables.items() if variable.demanded]
    if demanded:
        lines += [_entry("required", demanded, "the code fails without them")]
    else:
        urls = [one.url for one in service.backing if one.url]
        lines += [_question("Without which variables must nothing run?"), f"# {_entry('required', urls)}"]
    example = next((one.url for one in service.backing if one.url), "PORT")
    lines += [_question("Which values cannot be right?"), f'# malformed = {{ {example} = "nonsense" }}']
    if service.given:
        where = sorted({said.where for said in service.given.values()})
        given = {name: said.value for name, said in service.given.items()}
        lines += [_question(f"Does it need any of these, as in {' and '.join(where)}?"), f"# {_entry('given', given)}"]
    return lines + _secrets(service)


def _secrets(service: Service) -> list[str]:
    names = [one.url for one in service.backing if one.url]
    names += [name for name in service.variables if SECRET.search(name) and name not in names]
    if names:
        return [_entry("secrets", names, "by their names; a URL may hold a password")]
    return [_question("Which variables hold secrets?"), "# secrets = []"]


def _web(service: Service) -> list[str]:
    process = next((name for name in service.commands if NAMES["web"].search(name)), None)
    if process is None:
        return [_question("Is there an HTTP process type? Which one?"), "# [web]", '# process = "web"']
    return [
        "[web]",
        _entry("process", process),
        *_port(service, process),
        *_health(service),
        *_web_variables(service),
    ]


def _port(service: Service, process: str) -> list[str]:
    spoken = (*service.variables, *re.findall(r"\$\{?([A-Z_]+)", service.commands[process]))
    ports = [name for name in spoken if PORTS.search(name)]
    if not ports:
        return [_question("Which variable tells it the port?"), _entry("port", "PORT", "what platforms use")]
    return [_entry("port", "PORT" if "PORT" in ports else ports[0])]


def _health(service: Service) -> list[str]:
    def found(pattern: str) -> str | None:
        return next((one for one in service.addresses if re.search(pattern, one)), None)

    lines = []
    ready, live = found(r"ready|readiness"), found(r"/live|liveness") or found(r"health|ping|status")
    for key, address, question in (
        ("ready", ready, "Which path answers 200 while it can serve, and 503 while it cannot (no database, say)?"),
        ("live", live, "Which path answers 200 as long as the process lives?"),
        ("metrics", found(r"metrics"), "Which path tells its metrics, if there are any?"),
        ("contract", found(r"openapi\.json"), "Where does it serve its OpenAPI document, if it has one?"),
    ):
        if address:
            lines += [_entry(key, address, service.addresses[address])]
        else:
            example = live if key == "ready" and live else "/..."
            lines += [_question(question), f"# {_entry(key, example)}"]
    return lines + ([_entry("committed_contract", service.document_file)] if service.document_file else [])


def _web_variables(service: Service) -> list[str]:
    public = next((name for name in service.variables if PUBLIC_URL.search(name)), None)
    if public:
        lines = [_entry("public_url", public)]
    else:
        lines = [_question("Which variable holds the address that its clients use?"), '# public_url = "PUBLIC_URL"']
    lines += [_question("Which variables hold the seconds that it drains, and that a begun request may take?")]
    return [*lines, '# drain = "DRAIN_SECONDS"', '# grace = "GRACE_SECONDS"']


def _thing(service: Service) -> list[str]:
    if found := created_thing(service.document):
        lines = [_entry(key, value) for key, value in found.items()]
        return ["[thing]", f"# As {service.document_file} has it.", *lines, *_thing_in_database(service)]
    return [
        _question("How is one thing created over HTTP, and how is it read? Then take away the # of these lines."),
        "# [thing]",
        '# create = "POST /things"',
        '# body = { name = "{marker}" }  # {marker} and {email} stand for unique values',
        '# read = "GET /things/{id}"',
        '# delete = "DELETE /things/{id}"',
        '# id = "/id"  # where its identifier is in the answer, as a JSON pointer',
        '# marker = "/name"  # where {marker} is in the answer to `read`',
        *_thing_in_database(service),
    ]


def _thing_in_database(service: Service) -> list[str]:
    if not any(one.kind == "postgres" for one in service.backing):
        return []
    return [
        _question("Which table keeps it, and which SQL changes it behind the service's back?"),
        '# table = "things"',
        '# change = "UPDATE things SET name = %(marker)s WHERE id = %(id)s"',
    ]


def _jobs(service: Service) -> list[str]:
    process = next((name for name in service.commands if NAMES["jobs"].search(name)), None)
    asked = f"What does {process} do" if process else "Is anything done later, in any process,"
    return [
        _question(f"{asked} for a thing that was created? Then take away the # of these lines."),
        "# [jobs]",
        f"# {_entry('process', process or 'web')}",
        '# effect = "SELECT 1 FROM things WHERE id = %(id)s AND done"  # a row once the thing\'s job is done',
        '# table = "things"  # where it has its effect',
        '# waiting = "SELECT count(*) FROM jobs"  # how many jobs wait',
    ]


def _clock(service: Service) -> list[str]:
    process = next((name for name in service.commands if NAMES["clock"].search(name)), None)
    if process is None:
        return []
    return [
        "[clock]",
        _entry("process", process),
        _question("When is it due, as five fields of cron in UTC, and which SQL counts the jobs that it ever made?"),
        '# schedule = "0 * * * *"',
        '# jobs = "SELECT count(*) FROM jobs"',
    ]


def _admin(service: Service) -> list[str]:
    return [
        _question("Which one-offs are there (a command line each)?"),
        "# [admin]",
        '# succeeds = "..."  # one that only reads',
        '# fails = "..."  # one that cannot succeed',
        '# purge = "... {email}"  # the one that erases a person',
        '# others = ["..."]  # the others that work with the database',
    ]


def _resources(service: Service) -> list[str]:
    lines: list[str] = []
    for one in service.backing:
        table = [
            f"[resources.{_key(one.name)}]",
            _entry("kind", one.kind, one.where),
            _entry("url", one.url or f"{one.kind.upper()}_URL"),
            *([_entry("schemes", ["redis"])] if one.kind == "cache" else []),
        ]
        if not one.url:
            table = [_question(f"Which variable holds the URL of {one.name}?"), *(f"# {line}" for line in table)]
        lines += [*table, ""]
    question = _question("Does it use anything else over the network (database, cache, queue, mail, another service)?")
    return [*lines, question, "# [resources.NAME]", '# kind = "other"', '# url = "NAME_URL"']


# TOML


def _entry(key: str, value: object, where: str = "") -> str:
    return f"{_key(key)} = {_toml(value)}" + (f"  # {_remark(where)}" if where else "")


def _question(text: str) -> str:
    return f"{QUESTION}{_remark(text)}"


def _remark(text: str) -> str:
    """A text as one line of a comment."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _toml(name)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return f"{{ {', '.join(_entry(str(key), one) for key, one in value.items())} }}"
        case Iterable():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)
