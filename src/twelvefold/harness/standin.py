"""A stand-in for a container engine: it writes down what it is asked for, builds nothing and starts nothing.

`python standin.py FOLDER docker build …` does as `docker build …` would, as far as anybody can see who calls it: it
takes the context, names an image by a digest of all that the build was given, resolves a compose file, answers
questions about images. What it was asked for is in FOLDER/calls.jsonl, one JSON object a line.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar")
# Options without a value; every other one takes the next word, unless it has an `=`.
FLAGS = {
    *("--pull", "--push", "--load", "--no-cache", "--quiet", "--rm", "--force-rm", "--compress", "--squash", "--check"),
    *("--detach", "--interactive", "--tty", "--no-TTY", "--no-deps", "--build", "--wait", "--no-recreate", "--init"),
    *("--force-recreate", "--remove-orphans", "--no-build", "--read-only", "--privileged", "--publish-all", "--debug"),
    *(
        "--no-interpolate",
        "--no-normalize",
        "--services",
        "--images",
        "--hash",
        "--volumes",
        "--abort-on-container-exit",
    ),
    *("-q", "-d", "-i", "-t", "-T", "-D", "-P", "-V", "-it", "-ti"),
}
SHORT = {"-f": "--file", "-t": "--tag", "-o": "--output", "-p": "--project-name", "-H": "--host", "-c": "--context"}
VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)(?:(:?[-?+])([^}]*))?\})")


def main(folder: Path, program: str, words: list[str]) -> int:
    """Does what the command line says; returns the exit code."""
    state = State(folder)
    with state.locked():
        before, words = options(words, stop=True)
        if program.endswith("-compose"):
            return compose(state, before, words)
        while words[:1] in (["buildx"], ["image"], ["builder"], ["container"]) and len(words) > 1:
            words = words[1:]
        if not words:
            return 0
        command, rest = words[0], words[1:]
        known = {
            **dict.fromkeys(("build", "bud"), build),
            "inspect": inspect,
            **{"tag": tag, "push": push, "pull": pull, "run": run, "create": run, "commit": commit, "import": commit},
            "imagetools": imagetools,
        }
        if command == "compose":
            return compose(state, *options(rest, stop=True))
        if command in known:
            return known[command](state, rest)
        state.call(command, words=rest)
        return 0


class State:
    """What the stand-in remembers between two calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "images.json"
        self.images: dict[str, dict[str, Any]] = {}
        """What is known of each image, by its id."""
        self.names: dict[str, str] = {}
        """The id that each name stands for."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Reads, and in the end writes, what is remembered, while no other call does."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                self.images, self.names = json.loads(self._file.read_text())
            yield
            self._file.write_text(json.dumps([self.images, self.names]))

    def call(self, kind: str, **about: Any) -> None:
        """Writes down that something was asked for."""
        with (self.folder / "calls.jsonl").open("a") as file:
            file.write(json.dumps({"kind": kind, "folder": str(Path.cwd()), **about}) + "\n")

    def add(self, digest: str, names: Sequence[str], labels: Mapping[str, str]) -> None:
        """Remembers an image."""
        self.images.setdefault(digest, {"labels": dict(labels), "pushed": []})
        self.names |= {full(name): digest for name in names}

    def find(self, name: str) -> str | None:
        """The id of an image, by whatever name."""
        reference = name.partition("@")[2] or name
        found = [one for one in self.images if one == reference or one.removeprefix("sha256:").startswith(reference)]
        return found[0] if found and len(reference) > 11 else self.names.get(full(name))


def full(name: str) -> str:
    """A name with its tag."""
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def options(words: Sequence[str], *, stop: bool = False) -> tuple[dict[str, list[str]], list[str]]:
    """The options and the other words; with `stop`, options end at the first other word."""
    found: dict[str, list[str]] = {}
    left: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return found, left + rest
        if not word.startswith("-") or word == "-":
            left.append(word)
            if stop:
                return found, left + rest
            continue
        name, given, value = word.partition("=")
        if not given and word[:2] in SHORT and not word.startswith("--") and len(word) > 2 and word not in FLAGS:
            name, given, value = word[:2], "=", word[2:]
        flag = name in FLAGS and not (name == "-t" and rest and not rest[0].startswith("-"))
        found.setdefault(SHORT.get(name, name), []).append(value if given else "" if flag or not rest else rest.pop(0))
    return found, left


# Building


def build(state: State, words: list[str], origin: str = "build") -> int:
    """Takes the context of a build, and names an image by all that it was given."""
    given, places = options(words)
    place = places[-1] if places else "."
    dockerfile = given.get("--file", [""])[-1]
    files, stored, text = context(state, place, dockerfile)
    arguments = {name: value for name, _, value in (one.partition("=") for one in given.get("--build-arg", []))}
    arguments = {name: value or os.environ.get(name, "") for name, value in arguments.items()}
    about = {
        "files": files,
        "dockerfile": text,
        "arguments": arguments,
        "target": given.get("--target", [""])[-1],
        "contexts": given.get("--build-context", []),
        "place": place if "://" in place else "",
    }
    digest = f"sha256:{hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()}"
    labels = labels_in(text, arguments) | dict(one.partition("=")[::2] for one in given.get("--label", []))
    state.add(digest, given.get("--tag", []), labels)
    told = {"digest": digest, "labels": labels, "names": given.get("--tag", []), "archives": stored}
    state.call("build", origin=origin, words=words, **told, **about)
    if "--push" in given or any("push=true" in one for one in given.get("--output", [])):
        state.call("push", names=given.get("--tag", []) or given.get("--output", []), digest=digest)
    for name, content in (
        ("--iidfile", digest),
        ("--metadata-file", json.dumps({"containerimage.digest": digest, "containerimage.config.digest": digest})),
    ):
        for file in given.get(name, []):
            Path(file).write_text(content)
    sys.stdout.write(f"{digest}\n")
    return 0


def context(state: State, place: str, dockerfile: str) -> tuple[dict[str, str], dict[str, str], str]:
    """The files of a context, each with git's name for its content; the kept archives among them; the Dockerfile."""
    files: dict[str, str] = {}
    kept: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    own = sys.stdin.buffer.read() if "-" in (place, dockerfile) else b""
    if place != "-":
        source = entries(Path(place), dockerfile) if "://" not in place else iter(())
    elif own[:512].strip(b"\0") and not tarred(own):
        return {}, {}, own.decode(errors="replace")
    else:
        source = members(own)
    for name, data in source:
        files[name] = blob(data)
        if name.endswith(ARCHIVES):
            kept[name] = str(state.folder / files[name])
            (state.folder / files[name]).write_bytes(data)
        if "docker" in name.lower() or "container" in name.lower() or name == dockerfile:
            texts[name] = data
    if dockerfile == "-":
        text = own
    elif dockerfile and place != "-":
        text = Path(dockerfile).read_bytes() if Path(dockerfile).is_file() else b""
    else:
        text = texts.get(os.path.normpath(dockerfile or "Dockerfile"), texts.get("Containerfile", b""))
        if not text and place != "-" and "://" not in place:  # an ignore file may leave it out of the context
            text = (Path(place) / "Dockerfile").read_bytes() if (Path(place) / "Dockerfile").is_file() else b""
    return files, kept, text.decode(errors="replace")


def tarred(data: bytes) -> bool:
    """Whether it is an archive."""
    try:
        with tarfile.open(fileobj=BytesIO(data)):
            return True
    except tarfile.TarError:
        return False


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of an archive."""
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        for member in archive:
            file: Any = archive.extractfile(member) if member.isfile() else None
            if member.isfile() or member.issym():
                yield os.path.normpath(member.name), file.read() if file else member.linkname.encode()


def entries(root: Path, dockerfile: str) -> Iterator[tuple[str, bytes]]:
    """The files of a folder, but for those that its ignore file names."""
    own = Path(f"{dockerfile or root / 'Dockerfile'}.dockerignore")
    ignore = next((one for one in (own, root / ".dockerignore", root / ".containerignore") if one.is_file()), None)
    rules = ignore_rules(ignore.read_text(errors="replace")) if ignore else []
    for folder, folders, names in os.walk(root):
        folders[:] = [one for one in folders if one != ".git" or Path(folder) != root]
        for name in (*names, *(one for one in folders if Path(folder, one).is_symlink())):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if not ignored(relative, rules):
                yield relative, os.readlink(path).encode() if path.is_symlink() else path.read_bytes()


def ignore_rules(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """The lines of a .dockerignore: whether each lets in again, and what it matches."""
    rules = []
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        again = pattern.startswith("!")
        pattern = os.path.normpath(pattern.removeprefix("!").strip()).lstrip("/")
        parts = re.split(r"(\*\*/?|\*|\?)", pattern)
        words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        body = "".join(words.get(part, re.escape(part)) for part in parts)
        rules.append((again, re.compile(".*" if pattern == "." else f"{body}(?:/.*)?")))
    return rules


def ignored(path: str, rules: Sequence[tuple[bool, re.Pattern[str]]]) -> bool:
    """Whether the last rule that matches leaves the file out."""
    out = False
    for again, pattern in rules:
        if pattern.fullmatch(path):
            out = not again
    return out


def blob(data: bytes) -> str:
    """Git's name for a content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def labels_in(dockerfile: str, arguments: Mapping[str, str]) -> dict[str, str]:
    """The labels that a Dockerfile gives, with the values of its arguments."""
    text = re.sub(r"\\\n", " ", dockerfile)
    defaults = dict(re.findall(r'^\s*ARG\s+(\w+)="?([^"\s]*)"?', text, re.MULTILINE))
    found: dict[str, str] = {}
    for line in re.findall(r"^\s*LABEL\s+(.*)$", text, re.MULTILINE):
        for name, quoted, plain in re.findall(r'"?([\w.-]+)"?=(?:"([^"]*)"|(\S+))', line):
            found[name] = interpolated(quoted or plain, {**defaults, **arguments})
    return found


# Images that there are


def inspect(state: State, words: list[str]) -> int:
    """Tells about images."""
    given, names = options(words)
    found = [(name, state.find(name)) for name in names]
    state.call("inspect", names=names)
    about = [
        {
            "Id": digest,
            "RepoTags": [one for one, other in state.names.items() if other == digest],
            "RepoDigests": state.images[digest]["pushed"],
            "Config": {"Labels": state.images[digest]["labels"]},
        }
        for _, digest in found
        if digest
    ]
    if len(about) < len(names):
        missing = next(name for name, digest in found if digest is None)
        sys.stderr.write(f"Error: No such image: {missing}\n")
        return 1
    wanted = given.get("--format", [""])[-1]
    if not wanted or wanted == "json":
        sys.stdout.write(json.dumps(about) + "\n")
        return 0
    for one in about:
        revision = re.search(r'index \.Config\.Labels "([^"]+)"', wanted)
        pushed = [*one["RepoDigests"], one["Id"]]
        told = one["Config"]["Labels"].get(revision[1], "") if revision else None
        sys.stdout.write(f"{told if told is not None else pushed[0] if 'RepoDigests' in wanted else one['Id']}\n")
    return 0


def tag(state: State, words: list[str]) -> int:
    """Gives an image another name."""
    _, names = options(words)
    digest = state.find(names[0]) if names else None
    state.call("tag", names=names, digest=digest)
    if digest is None:
        sys.stderr.write(f"Error: No such image: {' '.join(names)}\n")
        return 1
    state.names[full(names[-1])] = digest
    return 0


def push(state: State, words: list[str]) -> int:
    """Takes note that an image goes to a registry."""
    _, names = options(words)
    for name in names:
        digest = state.find(name)
        state.call("push", names=[name], digest=digest)
        if digest is None:
            return 1
        state.images[digest]["pushed"].append(f"{full(name).rpartition(':')[0]}@{digest}")
        sys.stdout.write(f"latest: digest: {digest} size: 1\n")
    return 0


def pull(state: State, words: list[str]) -> int:
    """Takes note that an image comes from a registry."""
    _, names = options(words)
    state.call("pull", names=names)
    return 0


def run(state: State, words: list[str]) -> int:
    """Takes note of which image is started."""
    name = next((word for word in words if not word.startswith("-") and state.find(word)), "")
    state.call("run", words=words, digest=state.find(name) if name else None)
    return 0


def commit(state: State, words: list[str]) -> int:
    """Makes an image of something that no build made."""
    digest = f"sha256:{hashlib.sha256(repr(words).encode()).hexdigest()}"
    state.add(digest, words[-1:], {})
    state.call("commit", words=words, digest=digest)
    return 0


def imagetools(state: State, words: list[str]) -> int:
    """Gives a name to an image that is in a registry."""
    given, names = options(words[1:])
    if words[:1] == ["create"]:
        state.call("tag", names=given.get("--tag", []), digest=state.find(names[-1]) if names else None)
        return 0
    return 1


# Compose


def compose(state: State, given: Mapping[str, list[str]], words: list[str]) -> int:
    """Resolves the files, and does what is asked for as far as anybody can see."""
    if not words:
        return 0
    command, rest = words[0], words[1:]
    project = resolved(given)
    profiles = {*given.get("--profile", []), *os.environ.get("COMPOSE_PROFILES", "").split(",")}
    services: dict[str, dict[str, Any]] = project.get("services") or {}
    active = {
        name: one for name, one in services.items() if not one.get("profiles") or profiles & {*one["profiles"], "*"}
    }
    if command in ("config", "convert"):
        sys.stdout.write(json.dumps({**project, "services": active}) + "\n")
        return 0
    inner, names = options(rest, stop=command in ("run", "exec"))
    if command == "run":
        names = names[:1]
    chosen = {name: services[name] for name in names if name in services} or (active if command != "run" else {})
    for name, service in chosen.items():
        if command in ("build", "up", "run", "create") and builds(state, command, inner, service):
            own = service["build"]
            words = [word for key, value in own.get("args", {}).items() for word in ("--build-arg", f"{key}={value}")]
            words += ["--target", own["target"]] if own.get("target") else []
            folder = own.get("context", ".")
            words += ["--file", os.path.join(folder, own["dockerfile"])] if own.get("dockerfile") else []
            words += ["--tag", service.get("image") or f"project-{name}", folder]
            build(state, words, f"compose {command}")
    images = {name: one.get("image") or f"project-{name}" for name, one in chosen.items()}
    digests = {name: state.find(image) for name, image in images.items()}
    state.call("compose", command=command, words=rest, images=images, digests=digests)
    return 0


def builds(state: State, command: str, given: Mapping[str, list[str]], service: Mapping[str, Any]) -> bool:
    """Whether the image of a service is built by this."""
    if not service.get("build") or "--no-build" in given:
        return False
    missing = not service.get("image") or state.find(str(service["image"])) is None
    return command == "build" or "--build" in given or service.get("pull_policy") == "build" or missing


def resolved(given: Mapping[str, list[str]]) -> dict[str, Any]:
    """What the compose files say together, with the values of the variables that they name."""
    folder = Path(given.get("--project-directory", ["."])[-1])
    names = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
    usual = [folder / name for name in names if (folder / name).is_file()][:1]
    beside = [one.with_name(f"{one.stem}.override{one.suffix}") for one in usual]
    named = given.get("--file", []) or [one for one in os.environ.get("COMPOSE_FILE", "").split(":") if one]
    files = [Path(one) for one in named] or [*usual, *(one for one in beside if one.is_file())]
    variables = {**dotenv(folder / ".env"), **os.environ}
    project: dict[str, Any] = {}
    for file in files:
        project = merged(project, filled(load(file), variables))
    for service in (project.get("services") or {}).values():
        tidy(service)
    return project


def load(file: Path) -> dict[str, Any]:
    """A compose file as it stands, whatever tags of its own it has."""

    class Loader(yaml.SafeLoader):
        pass

    def any_tag(loader: Loader, _: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return node.value

    Loader.add_multi_constructor("!", any_tag)
    found = yaml.load(file.read_text(errors="replace"), Loader)
    return found if isinstance(found, dict) else {}


def tidy(service: dict[str, Any]) -> None:
    """Gives the short forms of a service's entries their long form."""
    if isinstance(service.get("build"), str):
        service["build"] = {"context": service["build"]}
    for table, key in ((service, "environment"), (service.get("build") or {}, "args"), (service, "depends_on")):
        value = table.get(key)
        if isinstance(value, list):
            pairs = (str(one).partition("=") for one in value)
            table[key] = {name: given if sign else os.environ.get(name) for name, sign, given in pairs}


def merged(below: Any, above: Any) -> Any:
    """Two files, the second over the first."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: merged(below.get(key), above.get(key, below.get(key))) for key in {**below, **above}}
    return above


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """A value in which variables are replaced."""
    if isinstance(value, str):
        return interpolated(value, variables)
    if isinstance(value, dict):
        return {key: filled(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, variables) for one in value]
    return value


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """A text in which variables are replaced, as compose files and Dockerfiles name them."""

    def value(match: re.Match[str]) -> str:
        dollar, plain, name, sign, word = match.groups()
        if dollar:
            return "$"
        found = variables.get(plain or name)
        absent = found is None or (not found and (sign or "").startswith(":"))
        if (sign or "").endswith("-"):
            return interpolated(word, variables) if absent else str(found)
        if (sign or "").endswith("+"):
            return "" if absent else interpolated(word, variables)
        if (sign or "").endswith("?") and absent:
            sys.stderr.write(f"required variable {name} is missing a value: {word}\n")
            sys.exit(1)
        return found or ""

    return VARIABLE.sub(value, text)


def dotenv(file: Path) -> dict[str, str]:
    """The variables in a .env file."""
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
