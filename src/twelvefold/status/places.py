"""Which services are meant: folders of this machine, and addresses of repositories."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..update.git import Refusal
from ..update.template import SHORT, address, without_password

URL = re.compile(r"(?:git\+)?(?:https?|ssh|git|file)://[^\s/]*/\S+", re.IGNORECASE)
SCP = re.compile(r"(?:[\w.+-]+@)?[\w.-]{2,}:(?!//)[^\s:]\S*")  # one letter and a colon is a drive, or a mistake
COMMENT = re.compile(r"(?:^|\s)#.*")


@dataclass(frozen=True)
class Place:
    """Where a service lies: a folder, or the address of a repository, and in it the service's folder."""

    said: str
    folder: Path | None = None
    url: str = ""
    inside: str = ""
    name: str = ""

    @property
    def shown(self) -> str:
        """The place without a password or a query."""
        return without_password(self.said)

    @property
    def parts(self) -> list[str]:
        """The parts of the place, without what every address has."""
        path = str(self.folder.resolve()) if self.folder else f"{without_password(self.url)}/{self.inside}"
        return [part.removesuffix(".git") for part in re.split(r"[/:]+", path) if part]


def read_places(texts: Sequence[str], lists: Sequence[Path]) -> list[Place]:
    """The places of the command line and of files, each once, with names of their own. Raises Refusal."""
    places = [_place(text, Path(), text) for text in texts]
    for path in lists:
        places += _listed(path)
    if not places:
        raise Refusal("Name a service: its folder, the address of its repository, or a list of them with --from.")
    return _named(list(dict.fromkeys(places)))


def _listed(path: Path) -> Iterable[Place]:
    """The places in a file, one a line; a folder is meant as seen from the file."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}.") from None
    for number, line in enumerate(lines, 1):
        if text := COMMENT.sub("", line).strip():
            yield _gone(text, path.parent) or _place(text, path.parent, f"{path}, line {number}: {text}")


def _gone(text: str, base: Path) -> Place | None:
    """A folder that a list names and that is not there, so that the others are shown all the same."""
    if ":" in text or not text.isprintable():
        return None  # an address, or a mistake
    try:
        folder = base / Path(text).expanduser()
        return None if folder.is_dir() else Place(text, folder)
    except (OSError, RuntimeError):
        return None


def _place(text: str, base: Path, what: str) -> Place:
    try:
        folder = base / Path(text).expanduser()
        if folder.is_dir():
            return Place(text, url=str(folder.resolve())) if _is_bare(folder) else Place(text, folder)
    except (OSError, RuntimeError, ValueError):
        pass  # too long for a name, of an unknown user, or with a zero in it: no path, at least
    url, _, inside = text.partition("#")
    short = url.partition(":")[0] in SHORT
    if not (short or URL.fullmatch(url) or SCP.fullmatch(url)) or not inside.isprintable():
        raise Refusal(f"{without_password(what)} is no folder, and no address of a repository.")
    if ".." in inside.split("/"):
        raise Refusal(f"{without_password(what)} leads out of the repository: name a folder in it behind the #.")
    return Place(text, url=address(url), inside=inside.strip("/"))


def _is_bare(folder: Path) -> bool:
    """Whether a folder is a repository without a work tree, which is looked at as if it were a server's."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


def _named(places: list[Place]) -> list[Place]:
    """Gives each place the last part of its path as its name, and more of it where another one has the same."""
    parts = [place.parts for place in places]
    lengths = [1] * len(places)
    while True:
        names = ["/".join(one[-length:]) for one, length in zip(parts, lengths, strict=True)]
        count = Counter(names)
        longer = [
            length + (count[name] > 1 and length < len(one))
            for name, length, one in zip(names, lengths, parts, strict=True)
        ]
        if longer == lengths:
            break
        lengths = longer
    return [
        Place(place.said, place.folder, place.url, place.inside, name if count[name] == 1 else place.shown)
        for place, name in zip(places, names, strict=True)
    ]
