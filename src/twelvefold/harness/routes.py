"""Looks for routes that nobody has told of: asks for every path that the code, frameworks and habit suggest."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from uuid import uuid4

from . import http
from .api import PARAMETER, Api
from .claim import NotRun
from .deploy import TOO_MANY
from .processes import Process

READING = ("GET", "POST")
ALL = ("GET", "POST", "PUT", "PATCH", "DELETE")
EVERY = (*ALL, "HEAD", "OPTIONS", "TRACE")
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}
SOURCES = (".py", ".js", ".mjs", ".ts", ".go", ".rb", ".java", ".kt", ".rs", ".php", ".toml", ".yaml", ".yml", ".json")
LITERAL = re.compile(r"""(["'`])((?:(?!\1)[^\\\n]){1,120})\1""")
PATH = re.compile(r"/?[A-Za-z0-9_.{}<>:$*()\[\]+-]+(/[A-Za-z0-9_.{}<>:$*()\[\]+-]*)*|/")
BEGINNING = re.compile(r"/[A-Za-z0-9_./-]*[/_.-]")
ENDING = re.compile(r"\.[a-z][a-z0-9]{1,5}")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{1,30}")
# The parameters of a path as frameworks write them: {x}, <int:x>, :x, [x], and groups of a regular expression.
PLACES = re.compile(r"\{[^{}/]*\}|<[^<>/]*>|(?<=/):\w+|\[[^\[\]/]*\]|\([^()/]*\)|\*+")
MOST_LITERALS = 40  # that are put together in pairs
MOST_TRIPLES = 300
MOST_BEGINNINGS = 3  # that are put together with every word
USUAL = """
    admin admin/login _admin administrator manage management backoffice console shell exec eval cmd run rpc debug
    debug/vars debug/pprof debug/requests debug/config _debug __debug__ __debugger__ _profiler profiler pprof
    profile trace traces threads threaddump heapdump heap gc memory dump stack stacktrace error errors crash panic
    boom raise internal internal/metrics internal/health internal/debug _internal private hidden secret secrets
    system sys root backdoor health healthz health/live health/ready healthcheck livez readyz startupz alive ready
    live ping pong status up _status version info about config configuration settings env environ environment flags
    features features/toggle toggle metrics stats statistics statsz varz vars usage analytics report reports audit
    log logs loglevel events history docs docs/oauth2-redirect redoc swagger swagger-ui swagger.json swagger.yaml
    openapi.json openapi.yaml openapi.yml api-docs api/docs api/openapi.json v1/openapi.json schema api/schema
    graphql graphiql graphql/schema playground api api/v1 v1 v2 rest actuator actuator/env actuator/health
    actuator/beans actuator/heapdump actuator/metrics q/health q/metrics login logout signin signup register auth
    oauth token tokens session sessions me whoami user users account accounts people person customers roles keys
    apikeys impersonate sudo password reset refresh callback webhook webhooks hook hooks static assets public media
    files file upload uploads download downloads export import backup restore dump.sql db database sql query search
    find list all count random recent latest bulk batch sync cache cache/flush flush clear purge invalidate queue
    queues jobs job tasks task worker workers cron schedule trigger enqueue retry replay reload restart shutdown
    quit kill stop test tests testing dev demo example examples sandbox seed fixtures reset-db migrate migrations
    upgrade init setup install ws websocket socket socket.io sse stream events/stream notify notifications subscribe
    poll favicon.ico robots.txt sitemap.xml humans.txt .well-known/security.txt .well-known/openid-configuration
    .env .git/HEAD server-status server-info phpinfo.php index.html index home main app items things notes-internal
    hello echo headers ip
""".split()
BELOW_A_COLLECTION = """
    export import search count all recent latest stats bulk batch random debug dump internal purge clear reset
    archive archived admin me new edit history events feed csv download upload report reports ids raw hidden private
    test metrics health
""".split()
REFUSALS = (405, 501)
MOMENTARY = {0, 502, 503, 504}  # what a busy process, or one that has just begun anew, answers to anything
MOMENT_SECONDS = 0.5
TRIES = 3
VOLATILE = {"date", "content-length", "connection", "keep-alive", "age"}


@dataclass(frozen=True)
class Found:
    """What the code holds that may be a part of a path."""

    paths: tuple[str, ...]
    """With `{}` for each parameter."""
    beginnings: tuple[str, ...]
    """Those after which something has to come, such as `/notes/`."""
    words: tuple[str, ...]
    endings: tuple[str, ...] = ()
    """Such as `.csv`, which may follow any path."""


@dataclass(frozen=True)
class Asked:
    """A request of the search."""

    method: str
    path: str
    upgrade: bool = False

    def __str__(self) -> str:
        return f"{'websocket' if self.upgrade else self.method} {self.path}"


def in_code(folders: Iterable[Path]) -> Found:
    """What stands between quotation marks in the code, and what its functions are called."""
    paths: dict[str, None] = {}
    beginnings: dict[str, None] = {}
    words: dict[str, None] = {}
    endings: dict[str, None] = {}
    for text in _texts(folders):
        if ENDING.fullmatch(text):
            endings[text] = None
        if PATH.fullmatch(text) and "/" in text:
            paths[_template(text)] = None
        if BEGINNING.fullmatch(text):
            beginnings[text] = None
        if WORD.fullmatch(text):
            words |= dict.fromkeys((text, text.replace("_", "-")))
    return Found(tuple(paths), tuple(beginnings)[:MOST_BEGINNINGS], tuple(words), tuple(endings))


def _template(text: str) -> str:
    """A text as a path, with `{}` where parameters are."""
    path = PLACES.sub("{}", text if text.startswith("/") else f"/{text}")
    return re.sub(r"[\^$]", "", path).rstrip("/") or "/"


def sources(folders: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Every file of code and of settings in some folders: how its name ends, and what it says."""
    for folder in folders:
        files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        for file in files:
            if file.suffix in SOURCES and file.is_file() and "node_modules" not in file.parts:
                yield file.suffix, file.read_text("utf-8", errors="replace")


def _texts(folders: Iterable[Path]) -> Iterator[str]:
    for ending, source in sources(folders):
        yield from _of_python(source) if ending == ".py" else _between_quotes(source)


def _of_python(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        yield from _between_quotes(source)
        return
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) | ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)


def _between_quotes(source: str) -> Iterator[str]:
    for match in LITERAL.finditer(source):
        yield match[2]


def suggested(found: Found, api: Api, good: str) -> Iterator[Asked]:
    """What to ask; `good` takes the place of a parameter."""
    asked: set[Asked] = set()
    for one in _suggested(found, api):
        for value in (good, "1") if "{}" in one.path else ("",):
            filled = Asked(one.method, one.path.replace("{}", value), one.upgrade)
            if filled not in asked:
                asked.add(filled)
                yield filled


def _suggested(found: Found, api: Api) -> Iterator[Asked]:
    documented = [PARAMETER.sub("{}", path) for path in api.paths]
    for path in found.paths:
        yield from (Asked(method, path) for method in ALL)
    pairs = _pairs(found.paths[:MOST_LITERALS], documented) if documented else ()
    for path in (*found.paths, *pairs):
        yield from (Asked(method, path) for method in READING)
        yield Asked("GET", path, upgrade=True)
    for path in islice(_triples(found.paths[:MOST_LITERALS], documented), MOST_TRIPLES):
        yield from (Asked(method, path) for method in READING)
    collections = [path for path in documented if "{}" not in path]
    below = (f"{collection}/{word}" for collection in collections for word in BELOW_A_COLLECTION)
    for path in (*(f"/{word}" for word in USUAL), *below):
        yield from (Asked(method, path) for method in READING)
    for ending in found.endings:
        yield from (Asked("GET", f"{path}{ending}") for path in documented)
    for beginning in ("/", *found.beginnings):
        for word in found.words:
            yield Asked("GET", f"{beginning}{word}")


def _pairs(literals: Iterable[str], documented: Iterable[str]) -> Iterator[str]:
    """Routes are often put together: from the prefix of a router or a mount, and the rest."""
    prefixes = {*literals, *documented, *(path.rpartition("/")[0] for path in documented)} - {"", "/"}
    for prefix, rest in product(sorted(prefixes), literals):
        if rest != "/":
            yield prefix.rstrip("/") + rest


def _triples(literals: Sequence[str], documented: Iterable[str]) -> Iterator[str]:
    """The same with a router in a router; what is likely comes first."""
    heads = [one for one in literals if one.count("/") == 1 and "{}" not in one and one != "/"]
    rests = sorted((one for one in literals if one != "/"), key=lambda one: "{}" not in one)
    above = {path.partition("/{}")[0] for path in documented if "/{}" in path} - {""}
    likely = product(heads, sorted(above), rests)
    others = product(heads, heads, (one for one in rests if "{}" in one))
    for head, middle, rest in (*likely, *others):
        if head != middle:
            yield head + middle + rest


@dataclass(frozen=True)
class Answer:
    """What can be compared of an answer."""

    status: int
    """0 when there is none."""
    kind: str = ""
    names: frozenset[str] = frozenset()
    """The names of its headers."""
    texts: frozenset[str] = frozenset()
    """The body as it is, and without what it repeats of the path; nothing where no body tells anything."""

    def like(self, other: Answer) -> bool:
        """Whether they say the same."""
        same = self.similar(other) and self.names == other.names
        return same and bool(not self.status or not other.texts or self.texts & other.texts)

    def similar(self, other: Answer) -> bool:
        """Whether they are of one kind."""
        return (self.status, self.kind) == (other.status, other.kind)


class Search:
    """Tells paths that lead somewhere from those that do not, by the answer to a path that cannot exist."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._nowhere: dict[tuple[str, bool, int], Answer] = {}
        self._any: dict[Asked, Answer] = {}
        self.asked = 0

    def nowhere(self, method: str = "GET", depth: int = 1, upgrade: bool = False) -> Answer:
        """The answer to a path that nobody can have thought of."""
        key = method, upgrade, depth
        if key not in self._nowhere:
            one, other = (
                self.answer(Asked(method, "".join(f"/nowhere-{uuid4().hex}" for _ in range(depth)), upgrade))
                for _ in range(2)
            )
            # Some answers hold the time, or a number of their own: their texts tell nothing.
            self._nowhere[key] = one if one.like(other) or not one.similar(other) else replace(one, texts=frozenset())
        return self._nowhere[key]

    def answer(self, asked: Asked) -> Answer:
        """What is answered."""
        response = self.response(asked)
        if response is None:
            return Answer(0)
        text = response.text
        echoed = text.replace(asked.path, "*").replace(asked.path.rpartition("/")[2] or "/", "*")
        kind = response.headers.get("content-type", "")
        return Answer(response.status, kind, frozenset(response.headers) - VOLATILE, frozenset((text, echoed)))

    def response(self, asked: Asked) -> http.Response | None:
        """The answer itself; None when there is none. Raises NotRun where too many have been asked for."""
        self.asked += 1
        headers = UPGRADE if asked.upgrade else {}
        try:
            response = self._process.ask(asked.method, asked.path, headers=headers, timeout=5)
        except http.NO_ANSWER:
            return None
        if response.status == TOO_MANY:
            told = f"{self._process.type} answered {TOO_MANY} after {self.asked} requests of the search"
            raise NotRun(f"{told}: [config] given may raise the limit")
        return response

    def leads_somewhere(self, asked: Asked) -> bool:
        """Whether it is answered otherwise than a path that cannot exist."""
        depth = max(1, asked.path.rstrip("/").count("/"))
        for _ in range(TRIES):
            answer, nowhere = self.answer(asked), self.nowhere(asked.method, depth, asked.upgrade)
            if answer.like(nowhere):
                return False
            if not {answer.status, nowhere.status} & MOMENTARY:
                break
            time.sleep(MOMENT_SECONDS)
            del self._nowhere[asked.method, asked.upgrade, depth]
        return True

    def like_any_value(self, asked: Asked, template: str) -> bool:
        """Whether it is answered as the documented path is with a parameter that nobody can have thought of."""
        other = Asked(asked.method, template, asked.upgrade)
        for _ in range(TRIES):
            if other not in self._any:
                path = PARAMETER.sub(lambda _: f"nowhere-{uuid4().hex}", template)
                self._any[other] = self.answer(Asked(asked.method, path, asked.upgrade))
            one, any_ = self.answer(asked), self._any[other]
            if one.similar(any_):
                return True
            if not {one.status, any_.status} & MOMENTARY:
                break
            time.sleep(MOMENT_SECONDS)
            del self._any[other]
        return False


def hidden(search: Search, asked: Iterable[Asked], api: Api, told: Iterable[str], good: str) -> Iterator[str]:
    """The paths that lead somewhere and are neither documented nor told of."""
    known = {path.rstrip("/") or "/" for path in told}
    for one in asked:
        path = one.path.rstrip("/") or "/"
        template = api.template_of(path)
        if path in known or (template and not PARAMETER.search(template)):
            continue
        if template is None:
            if search.leads_somewhere(one):
                yield str(one)
        elif not {good, "1"} & set(path.split("/")) and not search.like_any_value(one, template):
            yield str(one)


def undocumented_methods(search: Search, paths: Mapping[str, set[str]], good: Mapping[str, str]) -> Iterator[str]:
    """The methods that a path takes and that are not documented for it."""
    for template, documented in paths.items():
        path = PARAMETER.sub(good.get(template, "1"), template)
        allowed = documented | {"OPTIONS"} | ({"HEAD"} if "GET" in documented else set())
        for method in EVERY:
            if method in documented or (method == "HEAD" and "GET" in documented):
                continue
            response = search.response(Asked(method, path))
            offered = _offered(response)
            if extra := offered - allowed:
                yield f"{', '.join(sorted(extra))} {template}, which its Allow header tells of"
            if response is None or response.status in REFUSALS or (method == "OPTIONS" and offered):
                continue
            if search.leads_somewhere(Asked(method, path)):
                yield f"{method} {template} ({response.status})"


def _offered(response: http.Response | None) -> set[str]:
    headers = response.headers if response else {}
    names = f"{headers.get('allow', '')},{headers.get('access-control-allow-methods', '')}"
    return {name.strip().upper() for name in names.split(",") if name.strip()} - {"*"}
