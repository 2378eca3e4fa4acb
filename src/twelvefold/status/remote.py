"""Looks at a service on a server, of which it fetches a few files and their last changes, in one connection.

Not by `git archive --remote`, which most servers refuse, and not in two steps, trees first and then files: a second
connection costs more than the files at the top of a repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

from ..update.git import GitError
from ..update.service import ANSWERS_FILE
from ..update.template import last_line
from .found import PAGE, PAGE_FILE, Found, Proof
from .git import Servers, TooSlow
from .objects import Objects
from .places import Place

DEPTH = 20  # commits in which the page's last change is looked for
SMALL = "blob:limit=128k"  # the page and the answers are; a lock file need not be sent
# From the least that is sent to what any server can do. One that knows no filters ignores them, others refuse some.
WAYS: tuple[tuple[str, ...], ...] = (
    # the files at the top, and the names of the folders there
    (f"--depth={DEPTH}", f"--filter=combine:tree:2+{SMALL}"),
    (f"--depth={DEPTH}", f"--filter={SMALL}"),
    (f"--depth={DEPTH}",),
    # a web server that knows nothing of git
    (),
)
# A remote that has promised to have the rest: git then neither looks for that nor writes settings.
PROMISED = {"promisor": "true", "partialCloneFilter": SMALL}
REFUSED_A_WAY = re.compile(r"filter|shallow", re.IGNORECASE)
ASKED_FOR_A_PASSWORD = re.compile(
    r"could not read (Username|Password)|Authentication failed|Permission denied|requested URL returned error: 40[13]"
)
BY_SSH = re.compile(r"Could not read from remote repository")
OTHER_NAMES = re.compile(r"mismatched algorithms")
HAS_NO_COMMIT = re.compile(r"couldn't find remote ref HEAD")
# In a temporary repository, which need not outlive a crash of the machine.
QUICKLY = ("-c", "core.fsync=none", "-c", "pack.threads=1", "-c", "fetch.recurseSubmodules=false")


@dataclass
class Remotes:
    """Fetches from servers into repositories of its own, and remembers in which way each server can be asked.

    There are some repositories and not one, since git looks at every pack of a repository that it fetches into.
    """

    servers: Servers
    objects: Objects
    free: SimpleQueue[Path]
    _first_way: dict[str, int] = field(default_factory=dict)

    def look(self, place: Place) -> Found:
        """What there is of a service, or why it cannot be reached."""
        try:
            commit = self._fetch(place)
        except TooSlow as error:
            return Found(unreachable=str(error))
        except GitError as error:
            return Found(unreachable=_reason(error))
        inside = f"{place.inside}/" if place.inside else ""
        answers, page = self.objects.contents(f"{commit}:{inside}{name}" for name in (ANSWERS_FILE, PAGE_FILE))
        proof = None if page is None else self._last_change(commit, f"{inside}{PAGE_FILE}")
        return Found(answers, page, proof)

    def _fetch(self, place: Place) -> str:
        """Fetches a repository's HEAD; returns its commit. Raises GitError."""
        server = urlsplit(place.url).netloc or place.url.partition(":")[0]
        first = max(self._first_way.get(server, 0), 1 if place.inside else 0)
        for number in range(first, len(WAYS)):
            try:
                commit = self._fetch_by(WAYS[number], place.url)
            except GitError as error:
                if not REFUSED_A_WAY.search(str(error)) or number + 1 == len(WAYS):
                    raise
            else:
                if not place.inside:
                    self._first_way[server] = number
                return commit
        raise AssertionError("the last way either works or fails")

    def _fetch_by(self, way: tuple[str, ...], url: str) -> str:
        remote = {"url": url, **(PROMISED if any(option.startswith("--filter") for option in way) else {})}
        settings = [part for name, value in remote.items() for part in ("-c", f"remote.service.{name}={value}")]
        fetch = ["fetch", "--quiet", "--no-tags", "--no-auto-maintenance", "--update-shallow", *way, "service", "HEAD"]
        with self._repository() as folder:
            self.servers.ask(folder, *QUICKLY, *settings, *fetch, env={"GIT_DIR": str(folder)})
            return (folder / "FETCH_HEAD").read_text("utf-8").split()[0]

    @contextmanager
    def _repository(self) -> Iterator[Path]:
        """One of the repositories for itself, as if nothing had been fetched into it."""
        folder = self.free.get()
        try:
            for name in ("FETCH_HEAD", "shallow"):
                (folder / name).unlink(missing_ok=True)
            yield folder
        finally:
            self.free.put(folder)

    def _last_change(self, commit: str, path: str) -> Proof | None:
        """When the page got its content, on the line of first parents; at least that, where the history ends."""
        line = [f"{commit}~{back}" for back in range(DEPTH)]
        pages = self.objects.names(f"{one}:{path}" for one in line)
        same = next((back for back, page in enumerate(pages) if page != pages[0]), DEPTH)
        changed, before = line[same - 1], f"{commit}~{same}"
        (content,), (known,) = self.objects.contents([changed]), self.objects.names([before])
        header = (content or b"").partition(b"\n\n")[0]
        committed = re.search(rb"^committer .* (\d+) [+-]\d{4}$", header, re.MULTILINE)
        if committed is None:
            return None
        try:
            date = datetime.fromtimestamp(int(committed[1]), UTC)
        except (ValueError, OverflowError, OSError):  # a date that no calendar has
            return None
        at_least = known is None and b"\nparent " in header
        return Proof(date, PAGE, at_least or same == DEPTH)


@contextmanager
def remotes(scratch: Path, servers: Servers, at_once: int) -> Iterator[Remotes]:
    """Remotes that fetch into a folder, as long as the block lasts."""
    folders = [make_repository(scratch / f"fetched-{number}") for number in range(at_once)]
    free: SimpleQueue[Path] = SimpleQueue()
    for folder in folders:
        free.put(folder)
    with Objects(make_repository(scratch / "all"), [folder / "objects" for folder in folders]) as objects:
        yield Remotes(servers, objects, free)


def make_repository(folder: Path) -> Path:
    """Makes an empty repository, as git init does, without starting it."""
    for part in ("objects", "refs"):
        (folder / part).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n", "utf-8")
    return folder


def _reason(error: GitError) -> str:
    text = str(error)
    if ASKED_FOR_A_PASSWORD.search(text):
        return f"it asks for a password or a key: {last_line(error)}"
    if OTHER_NAMES.search(text):
        return "its objects have SHA-256 names, which status cannot read yet"
    if HAS_NO_COMMIT.search(text):
        return "it has no commit yet"
    # What ssh says comes before git's own sentence, which is the same for everything.
    return text.partition("\n")[0] if BY_SSH.search(text) else last_line(error)
