"""Where a service takes its template's new versions from.

Copier records the address that it copies from, and from then on every machine updates from there. A clone's folder
means nothing on another machine, so the clone's origin is recorded, and git reads the clone under that name.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

# What Copier takes for git by itself; everything else needs the prefix.
KNOWN = re.compile(r"(git@|git://|https://(github|gitlab)\.com/).*|.*\.git")


def address(url: str) -> str | None:
    """The address as Copier understands it, without credentials; None when it means nothing on other machines."""
    if "://" in url:
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http", "ssh", "git"} or not parts.hostname:
            return None
        host = parts.netloc.rpartition("@")[2]
        # A user name is a credential to a web server; to ssh it is a part of the address.
        user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
        url = urlunsplit((parts.scheme, user + host, parts.path.rstrip("/"), "", ""))
    elif not re.match(r"[^/\\:]{2,}:(?!:).", url):
        return None
    return url if KNOWN.fullmatch(url) else f"git+{url}"


def read_from(clone: Path, source: str) -> dict[str, str]:
    """The environment in which git reads a clone, and nothing from the network, under the name of its origin."""
    given = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    url = source.removeprefix("git+")
    # Copier adds the suffix to some addresses.
    rules = {f"GIT_CONFIG_VALUE_{given + number}": name for number, name in enumerate((url, f"{url}.git"))}
    keys = {name.replace("VALUE", "KEY"): f"url.{clone}.insteadOf" for name in rules}
    return {**keys, **rules, "GIT_CONFIG_COUNT": str(given + len(rules))}
