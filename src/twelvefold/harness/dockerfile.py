"""What a Dockerfile says, stage by stage."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from .standin import interpolated

HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")


@dataclass(frozen=True)
class Instruction:
    """One instruction, with its continued lines and its here-documents."""

    word: str
    rest: str
    body: str = ""
    """The here-documents."""

    @property
    def text(self) -> str:
        """All that it says after its first word."""
        return f"{self.rest}\n{self.body}" if self.body else self.rest

    @property
    def options(self) -> dict[str, str]:
        """The `--name=value` at its beginning."""
        return dict(re.findall(r"--([\w-]+)=(\S+)", _options(self.rest)))

    @property
    def words(self) -> list[str]:
        """What follows the options, as words: of a list, or of a line."""
        rest = self.rest[len(_options(self.rest)) :].strip()
        if rest.startswith("["):
            try:
                return [str(word) for word in json.loads(rest)]
            except ValueError:
                pass
        try:
            return shlex.split(rest)
        except ValueError:
            return rest.split()


@dataclass
class Stage:
    """What begins with a FROM."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, *words: str) -> list[Instruction]:
        """Its instructions of some kinds."""
        return [one for one in self.instructions if one.word in words]

    def copied(self) -> list[str]:
        """What it takes from the build's context."""
        found: list[str] = []
        for one in self.all("COPY", "ADD"):
            if "from" not in one.options:
                found += [source for source in one.words[:-1] if not source.startswith("<<")]
        mounts = (_options(one.rest) for one in self.all("RUN"))
        for mount in re.findall(r"--mount=(\S+)", " ".join(mounts)):
            parts: dict[str, str] = dict(part.partition("=")[::2] for part in mount.split(","))
            if parts.get("type", "bind") == "bind" and "from" not in parts:
                found.append(parts.get("source") or parts.get("src") or ".")
        return found


@dataclass
class Dockerfile:
    """All stages of a file."""

    arguments: dict[str, str]
    """The arguments before the first stage, with their defaults."""
    stages: list[Stage]

    def used(self, target: str = "") -> list[Stage]:
        """The stages that the image is made of: the target, or the last one, and what these take from."""
        named = {stage.name.lower(): stage for stage in self.stages if stage.name}
        numbered = {str(number): stage for number, stage in enumerate(self.stages)}
        last = named.get(target.lower()) or numbered.get(target) or (self.stages[-1] if self.stages else None)
        found: list[Stage] = []
        open_ = [last] if last else []
        while open_:
            stage = open_.pop()
            if any(stage is other for other in found):
                continue
            found.append(stage)
            names = [stage.base, *(one.options.get("from", "") for one in stage.instructions)]
            names += re.findall(r"from=([\w.-]+)", " ".join(one.rest for one in stage.all("RUN")))
            open_ += [other for name in names if (other := named.get(name.lower(), numbered.get(name)))]
        return found

    @property
    def final(self) -> Stage:
        """The last stage."""
        return self.stages[-1]

    def line_of(self, stage: Stage) -> list[Stage]:
        """A stage, the one that it begins with, and so on."""
        named = {other.name.lower(): other for other in self.stages if other.name}
        found = [stage]
        while (before := named.get(found[-1].base.lower())) and not any(before is other for other in found):
            found.append(before)
        return found

    def base_of(self, stage: Stage) -> str:
        """The image that a stage begins with, through all stages before it."""
        return self.line_of(stage)[-1].base

    def command(self, target: str = "") -> tuple[list[str], list[str]]:
        """The entry point and the command of the image, each perhaps inherited from a stage before."""
        named = {other.name.lower(): other for other in self.stages if other.name}
        found: dict[str, list[str]] = {}
        for stage in self.line_of(named.get(target.lower()) or self.final):
            for word in ("ENTRYPOINT", "CMD"):
                if (given := stage.all(word)) and word not in found:
                    found[word] = given[-1].words
        return found.get("ENTRYPOINT", []), found.get("CMD", [])


def parse(text: str, given: Mapping[str, str] | None = None) -> Dockerfile:
    """Reads a Dockerfile; arguments in FROM have their defaults, or what is given."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for one in _instructions(text):
        if one.word == "FROM":
            words = [word for word in interpolated(one.rest, arguments).split() if not word.startswith("--")]
            name = words[2] if len(words) > 2 and words[1].lower() == "as" else ""
            stages.append(Stage(name, words[0] if words else ""))
        elif stages:
            stages[-1].instructions.append(one)
        elif one.word == "ARG":
            name, _, value = one.rest.partition("=")
            arguments[name.strip()] = (given or {}).get(name.strip(), value.strip().strip("\"'"))
    return Dockerfile(arguments, stages)


def _instructions(text: str) -> list[Instruction]:
    found = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        joined = line.rstrip()
        while joined.endswith("\\"):
            following = next(lines, "")
            if following.lstrip().startswith("#"):
                continue
            joined = f"{joined[:-1].rstrip()} {following.strip()}"
        word, _, rest = joined.strip().partition(" ")
        body: list[str] = []
        for end in HEREDOC.findall(rest) if word.upper() in ("RUN", "COPY", "ADD") else ():
            for inner in lines:
                if inner.strip() == end:
                    break
                body.append(inner)
        found.append(Instruction(word.upper(), rest.strip(), "\n".join(body)))
    return found


def _options(rest: str) -> str:
    match = re.match(r"(?:--[\w-]+(?:=\S+)?\s+)*", rest)
    return match[0] if match else ""
