"""What clients take all replicas for one by: a key that makes a request safe to repeat, and a limit of requests."""

from __future__ import annotations

import re
from uuid import uuid4

from . import http
from .claim import Violation, expect
from .deploy import Deploy, unique_email, unique_marker
from .http import Response
from .processes import Process

KEY = "Idempotency-Key"
LEFT = re.compile(r"(?:x-)?ratelimit-remaining(?:-\w+)?|x-rate-limit-remaining")
LEFT_IN_LIST = re.compile(r"\b(?:remaining|r)=(\d+)")  # as in RateLimit: "default";r=50;t=30
# So many requests to another replica. A new period may begin in between, and a limit that recovers by and by may make
# up for one of these numbers, but not for all.
BETWEEN = 3, 5, 8


def keys_are_shared(deploy: Deploy, first: Process, second: Process) -> str:
    """Repeats a creation with its key: where one replica knows it again, so must the other. Returns what was seen."""
    marker, email, key = unique_marker(), unique_email(), str(uuid4())

    def ask(web: Process) -> Response:
        with http.answered(web.type):
            return deploy.attempt(web, marker, email, headers={KEY: key})

    made = ask(first)
    if made.status != deploy.thing.status or _is_new(deploy, made, ask(first)):
        return f"no {KEY} is heeded"
    repeated = ask(second)
    new = _is_new(deploy, made, repeated)
    expect(not new, f"another replica to know an {KEY} again", f"a second thing: {repeated.text[:300]}")
    return f"an {KEY} is known on each"


def _is_new(deploy: Deploy, made: Response, repeated: Response) -> bool:
    return repeated.status == deploy.thing.status and deploy.id_in(repeated) != deploy.id_in(made)


def limit_is_shared(deploy: Deploy, first: Process, second: Process) -> str:
    """Where answers tell how many requests are left, those to another replica count. Returns what was seen."""

    def left(web: Process) -> int | None:
        with http.answered(web.type):
            return requests_left(deploy.attempt(web, unique_marker(), unique_email()))

    for between in BETWEEN:
        before, after = left(first), left(first)
        for _ in range(between if after is not None else 0):
            left(second)
        later = left(first)
        if before is None or after is None or later is None:
            return "no limit of requests is told"
        if before <= after or before - after != after - later:
            return "a limit of requests is one for all"
    told = f"{before} left, then {after}, and {later} after {between} requests to another"
    raise Violation(f"expected all replicas to count against one limit of requests, saw {told}")


def requests_left(response: Response) -> int | None:
    """How many more requests are allowed, as far as the headers tell."""
    for name, value in response.headers.items():
        number = value.strip() if LEFT.fullmatch(name) else "".join(LEFT_IN_LIST.findall(value)[:1])
        if number.isdigit() and "limit" in name:
            return int(number)
    return None
