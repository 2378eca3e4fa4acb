"""Whether a secret can be seen somewhere: one that was planted, or one that somebody has committed."""

from __future__ import annotations

import base64
import re
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import log2
from pathlib import Path

from .processes import Process
from .tools import git
from .workspace import Workspace

WINDOW = 8  # so many characters of a secret give it away
ENCODED_WINDOW = 12  # and so many where it is encoded: eight digits of a number are everywhere
MOST_BYTES = 5_000_000

KEYS = {
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}\b",
    "a token of GitLab": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a token of Slack": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/\w+",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a key of Stripe": r"\b[rs]k_live_[0-9A-Za-z]{16,}\b",
    "a key of SendGrid": r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    "a key of OpenAI or Anthropic": r"\bsk-(?:proj-|ant-)[\w-]{20,}",
    "a token of a package registry": r"\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgE[\w-]{40,}",
    "a token of Telegram": r"\b\d{8,10}:AA[\w-]{33}\b",
    "a JSON web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
}
TOLD_ABOUT = {"a JSON web token"}  # documentation is full of them
URL = re.compile(r"\b[a-z][a-z0-9+.-]*://([^\s:/@'\"<>]*):([^\s/@'\"<>]+)@([^\s/'\"<>]+)")
KEY_OF = "api|access|private|auth|signing|signature|encryption|hmac|session|cookie|jwt|salt|master|account"
SECRET = (
    r"passwo?r?d|passwd|pwd|passphrase|(?<=[_-])pass(?![a-z])|secret|token|credentials?|fernet"
    rf"|(?P<keyed>(?:{KEY_OF})[_-]?key)"
)
ASSIGNED = re.compile(
    rf"(?i)\b(?P<name>\w*(?:{SECRET})\w*)[\"']?\s*"
    r"(?:[:=]|:=|=>)\s*[bruf]?(?:(?P<quote>[\"'])(?P<quoted>[^\"'\s]{8,})(?P=quote)|(?P<bare>[^\s\"'#,;)(\]}]{8,})\s*$)"
)
# What is called after a secret, and is none: the name of a field, and how a client asks for the next page.
ABOUT = re.compile(
    r"(?i)(?:name|url|uri|type|header|alg|algorithm|hasher|field|path|file|id|prefix|pattern|format|param|scope|version|issuer|policy"
    r"|params|arn|ref|audience|host|port|ttl|length|limit|provider|backend|kind|rules?|regex|seconds|minutes|days)$"
    r"|(?:page|next|cursor|continuation|sync|csrf|design)\w*token"
)
AN_IDENTIFIER = re.compile(r"[A-Za-z_-]+[0-9]{0,2}")  # such as the key under which a session is kept
# Within a text: the query of a URL, or what libpq is told.
WITHIN = re.compile(rf"(?i)(?:^|[?&;,\s])(?P<name>\w*(?:{SECRET}|sig|signature))=(?P<value>[^&;,\s]{{8,}})")
A_TEXT = re.compile(r"\"([^\"]*)\"|'([^']*)'")
BEARER = re.compile(r"\b(?:Bearer|Token|ApiKey)\s+(?!eyJ)([\w+/=.~-]{16,})")
BASIC = re.compile(r"\bBasic\s+([A-Za-z0-9+/]{8,}={0,2})")
USER_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://([^\s:/@'\"<>]{16,})@([^\s/'\"<>]+)")
LOGIN = re.compile(r"(?i)(?:login|auth|authenticate)\s*=?\s*\(\s*[\"'][^\"']+[\"']\s*,\s*[\"']([^\"'\s]{8,})[\"']")
COMMITTED = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!(?:example|sample|template|dist|defaults?|test)\b)[^/]+)?|\.?pgpass|\.netrc|\.htpasswd"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)|[^/]+\.(?:pfx|p12|jks|keystore)|\.aws/credentials|\.docker/config\.json)$"
)
LOCKS = re.compile(r"(?:^|/)(?:[^/]*\.lock|[^/]*-lock\.(?:json|yaml)|go\.sum|requirements[^/]*\.txt)$")
CODE = re.compile(r"\.(?:py|jinja|js|mjs|cjs|ts|tsx|rb|go|java|kt|php|rs|ex|cs|c|h|md|rst|html|sql)$")
# There a made-up secret is more likely than a real one.
TALK = re.compile(r"(?:^|/)(?:tests?|docs?|examples?|fixtures?|spec)/|(?:^|/)test_|_test\.|\.(?:md|rst)$|its message")
STANDS_FOR = re.compile(
    r"^arn:|\$[{(A-Z_]|[{}<>*\\…]|%[sd(]|\.\.\.|^(.)\1*$|example|sample|change.?(?:me|it)|dummy|fake|placeholder|redact|replace|to.?do|xxx"
    r"|\byour|^(?:my.?)?(?:pass|passwd|password|pwd|pw|secret|token|key|user|app|admin|root|guest|postgres|test|dev|local)\d?$"
    r"|^test[-_.]|[-_.]test$",
    re.IGNORECASE,
)
HERE = re.compile(
    r"(?:localhost|127\.0\.0\.1|\[?::1\]?|host)(?::|$)|\bexample\.(?:com|org|net)\b|\.(?:test|invalid|example)\b"
)
# What people type: curl's user, a login, a statement that makes a role.
TYPED = re.compile(
    r"(?i)\bcurl\b.*?\s(?:-u|--user)[ =]?[\"']?[^\s:\"']+:([^\s\"']{8,})"
    r"|\b(?:docker|podman|helm registry)\s+login\b.*?\s(?:-p|--password)[ =][\"']?([^\s\"']{8,})"
    r"|\bsshpass\s+-p\s*[\"']?([^\s\"']{8,})|\bpassword\s+'([^'\s]{8,})'"
)
MOST_CHARACTERS = 20_000  # of a line


@dataclass(frozen=True, order=True)
class Find:
    """Something in the repository that looks like a secret. It is not shown."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.what} in {self.place}"


class Canaries:
    """Secrets that were planted, by the name of their variable."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._parts = {name: set(_parts(secret)) for name, secret in secrets.items()}

    def seen_in(self, text: str) -> list[str]:
        """The variables of which the text shows a part."""
        return sorted(name for name, parts in self._parts.items() if any(part in text for part in parts))

    def in_file(self, file: Path) -> list[str]:
        """The variables of which the file shows a part."""
        try:
            if file.stat().st_size > MOST_BYTES:
                return []
            return self.seen_in(file.read_bytes().decode("latin-1"))
        except OSError:
            return []

    def in_command_lines(self, processes: Iterable[Process]) -> list[str]:
        """Where the process list of the machine shows some, in words."""
        found = []
        for process in processes:
            for pid in process.family():
                try:
                    line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                except OSError:  # it has ended
                    continue
                found += [f"{name} in the command line of {process.type}" for name in self.seen_in(line)]
        return found


def _parts(secret: str) -> Iterator[str]:
    """Each part of it that gives it away, as it is and in the usual disguises."""
    encoded = (base64.b64encode(b"-" * shift + secret.encode()).decode()[4:-4] for shift in range(3))
    for text in (secret, secret[::-1]):
        yield from _windows(text, WINDOW)
    for text in (secret.encode().hex(), *encoded):
        yield from _windows(text, ENCODED_WINDOW)


def _windows(text: str, width: int) -> Iterator[str]:
    return (text[start : start + width] for start in range(len(text) - width + 1))


def in_history(workspace: Workspace) -> list[Find]:
    """What looks like a secret in any line that any commit has ever added, in messages, and in the names of files."""
    found = set()
    file, commit = "", ""
    # -c: what a merge itself has changed counts too.
    for line in git(
        workspace.source, "log", "--all", "-p", "-c", "--unified=0", "--no-color", "--no-ext-diff"
    ).splitlines():
        if line.startswith("commit "):
            commit, file = line.split()[1][:10], "its message"
        elif line.startswith("+++ "):
            file = line[4:].removeprefix("b/").strip('"')
            if COMMITTED.search(file):
                found.add(Find(f"{file} (commit {commit})", "a file that is made for secrets"))
        elif line.startswith(("+", "    ")) or (file == "its message"):
            found |= {Find(f"{file} (commit {commit})", what) for what in secrets_in(line.lstrip("+ "), file)}
    return sorted(found)


def commits(workspace: Workspace) -> int:
    """How many commits the history has."""
    return int(git(workspace.source, "rev-list", "--all", "--count"))


def in_image(image: str) -> list[Find]:
    """What looks like a secret in the variables, the labels, the steps and the names of the files of an image."""
    found = set()
    form = "{{range .Config.Env}}{{println .}}{{end}}{{range .Config.Labels}}{{println .}}{{end}}"
    told = _docker("image", "inspect", "--format", form, image)
    steps = _docker("image", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    for where, text in (("its variables", told), ("its steps", steps)):
        found |= {Find(where, what) for line in text.splitlines() for what in secrets_in(line, "image.env")}
    container = _docker("create", image).strip()
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as exporting,
            tarfile.open(fileobj=exporting.stdout, mode="r|") as files,
        ):
            found |= {Find(file.name, "a file made for secrets") for file in files if COMMITTED.search(file.name)}
    finally:
        _docker("rm", "--force", container)
    return sorted(found)


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, encoding="utf-8", check=True, timeout=60).stdout


def secrets_in(line: str, file: str) -> list[str]:
    """What in a line looks like a secret."""
    line, talk = line[:MOST_CHARACTERS], bool(TALK.search(file))
    found = [what for what, pattern in KEYS.items() if not (talk and what in TOLD_ABOUT) and _key(pattern, line)]
    found += ["a URL with a password"] if not talk and _in_url(line) else []
    if not LOCKS.search(file):
        values = [*_assigned(line, bool(CODE.search(file))), *BEARER.findall(line), *_basic(line), *LOGIN.findall(line)]
        values += ["".join(groups) for groups in TYPED.findall(line)]
        found += ["what looks like a password or a key" for value in values if looks_real(value, talk)]
    return found


def _in_url(line: str) -> bool:
    """Whether a URL in it has a password, or a key in the place of a user."""
    passwords = [(password, host) for user, password, host in URL.findall(line) if password != user]
    keys = [(user, host) for user, host in USER_IN_URL.findall(line) if looks_real(user)]
    return any(not STANDS_FOR.search(value) and not HERE.search(host) for value, host in passwords + keys)


def _assigned(line: str, code: bool) -> Iterator[str]:
    """What stands beside the name of a secret: an assignment, or a pair within a text."""
    texts = ["".join(text) for text in A_TEXT.findall(line)] if code else [line]
    for match in (*ASSIGNED.finditer(line), *(match for text in texts for match in WITHIN.finditer(text))):
        groups = match.groupdict()
        value = groups.get("value") or groups.get("quoted") or ("" if code else groups["bare"] or "")
        if not ABOUT.search(match["name"]) and not (match["keyed"] and AN_IDENTIFIER.fullmatch(value)):
            yield value


def _basic(line: str) -> Iterator[str]:
    """The passwords in what a client says of itself by HTTP."""
    for text in BASIC.findall(line):
        with suppress(ValueError):
            yield base64.b64decode(text, validate=True).decode().partition(":")[2]


def _key(pattern: str, line: str) -> bool:
    return any("EXAMPLE" not in match[0] for match in re.finditer(pattern, line))


def looks_real(value: str, talk: bool = False) -> bool:
    """Whether somebody, or better a machine, may have made it up as a secret; it takes more where one talks of them."""
    if len(value) < (20 if talk else 8) or STANDS_FOR.search(value) or "://" in value or value.startswith("/"):
        return False
    if not (re.search("[A-Za-z]", value) and re.search("[0-9]", value)):
        return False
    # Calls, versions, names of constants and digests, and words with a number.
    if re.fullmatch(
        r"[\w.]+\(.*|v?\d+(?:\.\d+)+\w*|[A-Z][A-Z_]+[0-9]?|sha\d+[:-].*|[a-z_]+[0-9]?|[a-z]+(?:[._:-][a-z0-9]+)+", value
    ):
        return False
    return entropy(value) >= (3.5 if talk else 2.7)


def entropy(text: str) -> float:
    """Bits of information in each character, by how often each occurs."""
    counts = Counter(text)
    return -sum(count / len(text) * log2(count / len(text)) for count in counts.values())
