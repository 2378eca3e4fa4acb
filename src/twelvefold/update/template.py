"""Finds a template's versions, and what its changelog says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .git import GitError, Refusal, git, say, succeeds

RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
BEFORE_A_RELEASE = re.compile(r"[-_.]?(?:a|alpha|b|beta|c|rc|pre|preview|dev)", re.IGNORECASE)
SECTION = re.compile(r"^## \[?v?(\d+\.\d+\.\d+)\b.*\n", re.MULTILINE)
HOST = re.compile(r"[^/\\:]{2,}:(?!:).")  # as in git@host:path; one letter is a drive
# A password may hold any sign, a slash too; a number behind the colon, and then a slash, is a port.
PASSWORD = re.compile(r"://(?:[^/\s:]*:(?!\d{1,5}/)\S*|[^/\s]+)@")
# What quotes an address in a message, or ends it there, is no part of the query.
QUERY = re.compile(r"(://[^\s?]+)\?[^\s#]*?(?=['\"/:,;.)]*(?:[\s#]|$))")
SHORT = {"gh": "https://github.com/", "gl": "https://gitlab.com/"}

Numbers = tuple[int, int, int]


@dataclass(frozen=True)
class Template:
    """A template's address as a service records it, and a repository of it on this machine."""

    source: str
    repository: Path

    @property
    def shown(self) -> str:
        """The address as everybody may see it."""
        return without_password(self.source)

    @property
    def named(self) -> dict[str, str]:
        """The variable that leads git there, which may be told to find no bare repository by itself."""
        return {"GIT_DIR": str(self.repository)}

    def git(self, *arguments: str) -> bytes:
        """What a git command prints there. Raises GitError."""
        return git(self.repository, *arguments, env=self.named)

    def say(self, *arguments: str) -> str:
        """The same as one text, without the last newline."""
        return say(self.repository, *arguments, env=self.named)


@dataclass(frozen=True)
class Version:
    """A commit of a template, by its full name and as `git describe` names it."""

    commit: str
    name: str

    @property
    def numbers(self) -> Numbers | None:
        """The release that it is or comes after; a pre-release comes after the patch before its own."""
        found = RELEASE.match(self.name)
        if found is None:
            return None
        is_before = BEFORE_A_RELEASE.match(self.name, found.end()) is not None
        return int(found[1]), int(found[2]), int(found[3]) - is_before

    @property
    def said(self) -> str:
        """The version as people say it, such as `0.3.0`."""
        return self.name.removeprefix("v")


@dataclass(frozen=True)
class Section:
    """What the changelog says of one version."""

    version: str
    text: str


def address(source: str) -> str:
    """The address for git of what Copier records: it knows `gh:`, `gl:` and a prefix `git+`."""
    prefix, _, rest = source.partition(":")
    if prefix in SHORT:
        source = SHORT[prefix] + rest.lstrip("/")
    url = source.removeprefix("git+")
    web = url.startswith(tuple(SHORT.values())) and not url.endswith(".git")
    return f"{url}.git" if web else url


def is_relative(source: str) -> bool:
    """Whether a source is a path that means another folder wherever a command is started."""
    url = address(source)
    remote = "://" in url or HOST.match(url)
    return not remote and not url.startswith("~") and not Path(url).is_absolute()


def without_password(text: str) -> str:
    """A text whose addresses hold no name, no password, and no query, which could be a token."""
    return QUERY.sub(r"\1", PASSWORD.sub("://", text))


def holds_a_secret(source: str) -> bool:
    """Whether an address has what nobody else may see; a name alone tells ssh who comes."""
    url = re.sub(r"^ssh://[^/\s:@]+@", "ssh://", address(source))
    return without_password(url) != url


def released(source: str) -> Version | None:
    """The newest release that a template shows, whose history is not looked at. Raises Refusal."""
    try:
        output = say(Path(), "ls-remote", "--tags", "--", place_of_tags(source))
    except GitError as error:
        raise Refusal(f"The template at {without_password(source)} cannot be read: {last_line(error)}") from error
    return max(releases_in(output), key=lambda version: version.numbers or (0, 0, 0), default=None)


def place_of_tags(source: str) -> str:
    """Where `git ls-remote` finds a template: its address, or the whole path of a folder of this machine."""
    url = address(source)
    local = Path(url).expanduser()
    return str(local.absolute()) if local.is_dir() else url


def releases_in(output: str) -> list[Version]:
    """The releases that `git ls-remote --tags` lists."""
    # A tag with a message is listed twice; the second line, with ^{}, has its commit.
    lines = (line.partition("\trefs/tags/") for line in output.splitlines())
    commits = {name.removesuffix("^{}"): commit for commit, _, name in lines}
    return [Version(commit, name) for name, commit in commits.items() if RELEASE.fullmatch(name)]


def open_template(source: str, scratch: Path) -> Template:
    """The template with its whole history: itself where it is a folder, else a clone. Raises Refusal."""
    url = address(source)
    local = Path(url).expanduser()
    try:
        if local.is_dir():
            repository = Path(say(local, "rev-parse", "--absolute-git-dir"))
        else:
            repository = scratch / "template.git"
            git(scratch, "clone", "--quiet", "--bare", "--", url, str(repository))
        template = Template(source, repository)
        shallow = template.say("rev-parse", "--is-shallow-repository") == "true"
    except GitError as error:
        raise Refusal(f"The template at {without_password(source)} cannot be read: {last_line(error)}") from error
    if shallow:
        raise Refusal(
            f"The template at {template.shown} is a shallow clone, which lacks versions: git fetch --unshallow there."
        )
    return template


def recorded_version(template: Template, name: str) -> Version:
    """The version that a service has. Raises Refusal when the template does not know it, or by a name that moves."""
    if (commit := _commit(template, name)) is None:
        raise Refusal(f"The template at {template.shown} does not know {name}, the version that the service has.")
    if not RELEASE.match(name) and _commit(template, f"refs/tags/{name}") == commit and _releases_at(template, commit):
        raise Refusal(
            f"The service has {name} as its version, a tag that moves from release to release: write the release "
            "with which it was made into _commit of .copier-answers.yml, and commit that."
        )
    return Version(commit, name)


def is_named(template: Template, name: str, version: Version) -> bool:
    """Whether a name leads to a version."""
    return _commit(template, name) == version.commit


def wanted_version(template: Template, name: str | None) -> Version:
    """The version that is asked for, or the newest release. Raises Refusal when there is none."""
    if name is None:
        return _newest_release(template)
    for tag in (f"v{name}", name):
        if (commit := _commit(template, f"refs/tags/{tag}")) is not None:
            return Version(commit, tag if RELEASE.match(tag) else _described(template, commit))
    if (commit := _commit(template, name)) is not None:
        return Version(commit, _described(template, commit))
    raise Refusal(f"The template at {template.shown} has no version {name}: its newest is {_newest_name(template)}.")


def releases_since(template: Template, version: Version) -> list[Version]:
    """The releases that come after a version and are no part of its history, the oldest first."""
    tags = _releases(template, f"--no-merged={version.commit}")
    first = version.numbers or (0, 0, 0)
    later = {numbers: tag for tag in tags if (numbers := _numbers(tag.removeprefix("v"))) > first}
    return [Version(_commit(template, f"refs/tags/{tag}") or "", tag) for tag in later.values()]


def is_older(template: Template, one: Version, other: Version) -> bool:
    """Whether a version comes before another one in the template's history, or on another branch by its number."""

    def leads(first: Version, second: Version) -> bool:
        ancestor = ("merge-base", "--is-ancestor", first.commit, second.commit)
        return succeeds(template.repository, *ancestor, env=template.named)

    if one.commit == other.commit or leads(other, one):
        return False
    return leads(one, other) or bool(one.numbers and other.numbers and one.numbers < other.numbers)


def changelog(template: Template, old: Version, new: Version) -> list[Section]:
    """What the new version's CHANGELOG.md says of the versions after the old one, the newest first."""
    try:
        text = template.git("show", f"{new.commit}:CHANGELOG.md").decode("utf-8", "replace")
    except GitError:
        return []
    parts = SECTION.split(text)
    sections = zip(parts[1::2], parts[2::2], strict=True)
    first = old.numbers or (0, 0, 0)
    return [Section(version, body.strip()) for version, body in sections if _numbers(version) > first]


def _numbers(version: str) -> Numbers:
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch


def _releases(template: Template, *only: str) -> list[str]:
    """The tags of releases, the oldest first. A tag need not be of a commit."""
    lines = template.say("for-each-ref", "--format=%(refname:strip=2) %(*objecttype)%(objecttype)", *only, "refs/tags")
    named = (line.split(" ", 1) for line in lines.splitlines())
    tags = (tag for tag, kind in named if RELEASE.fullmatch(tag) and kind in ("commit", "committag"))
    return sorted(tags, key=lambda tag: _numbers(tag.removeprefix("v")))


def _releases_at(template: Template, commit: str) -> list[str]:
    return _releases(template, f"--points-at={commit}")


def _newest_name(template: Template) -> str:
    return next(reversed(_releases(template)), "none")


def _newest_release(template: Template) -> Version:
    tags = _releases(template)
    if not tags:
        raise Refusal(f"The template at {template.shown} has no release, a tag such as v1.2.3: name a version by --to.")
    commit = _commit(template, f"refs/tags/{tags[-1]}")
    assert commit is not None, f"{tags[-1]} is listed and is no commit"
    return Version(commit, tags[-1])


def _commit(template: Template, name: str) -> str | None:
    try:
        return template.say("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitError:
        return None


def _described(template: Template, commit: str) -> str:
    """The name of the release that a commit is, or of the pre-release, and not that of a tag that moves."""
    before = [tag for tag in template.say("tag", "--points-at", commit).splitlines() if RELEASE.match(tag)]
    names = [*before, *_releases_at(template, commit)]
    return names[-1] if names else template.say("describe", "--tags", "--always", commit)


def last_line(error: GitError) -> str:
    """The line of an error that says most, without an address that could hold a password."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    fatal = [line for line in lines if "fatal:" in line] or lines
    return without_password(fatal[0].rpartition("fatal: ")[2])
