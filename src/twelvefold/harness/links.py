"""The links in an answer, and where they lead."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

from .http import Response

# With a scheme, or without one between quotes: //host/path.
URLS = re.compile(r"""[a-z][a-z0-9+.-]*://[^\s"'<>\\)}\]]+|(?<=["'])//[\w\[][^\s"'<>\\)}\]]+""", re.IGNORECASE)
UNMISTAKABLE = 8  # an identifier of so many characters stands in no link by chance
NAMED = re.compile(r"<([^>]*)>")
REFRESH = re.compile(r"url=['\"]?([^'\"\s]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What came back for a request."""

    request: str
    """A method and a path."""
    response: Response
    made: str = ""
    """The identifier of the thing that it is about."""

    def wrong(self, place: str, hosts: Sequence[str], *, routed: bool) -> list[str]:
        """The links that lead to the service, and not to its `place`, which is how clients know it.

        In a header every link leads to the service, and in an OpenAPI document every server. Any other one does whose
        host is this machine or one of `hosts`, or that names the thing. Where there is a router, a relative link in a
        header is taken for what it means to the client behind it.
        """
        here = f"{place}{self.request.partition(' ')[2]}"
        led = [urljoin(here, link) if routed else link for link in self._in_headers()]
        led += [link for link in self._in_body() if self._leads_here(link, hosts)]
        led += self._servers()
        return [link for link in led if _host(link) and not f"{link}/".startswith(f"{place}/")]

    def _in_headers(self) -> Iterator[str]:
        headers = self.response.headers
        yield from (headers[name] for name in ("location", "content-location") if name in headers)
        yield from NAMED.findall(headers.get("link", ""))
        yield from REFRESH.findall(headers.get("refresh", ""))

    def _in_body(self) -> Iterator[str]:
        yield from URLS.findall(self.response.text.replace("\\/", "/"))

    def _leads_here(self, link: str, hosts: Sequence[str]) -> bool:
        host = _host(link)
        named = len(self.made) >= UNMISTAKABLE and self.made in link
        if named or host in {"localhost", socket.gethostname(), *hosts}:
            return True
        with suppress(ValueError):
            address = ip_address(host)
            return address.is_loopback or address.is_unspecified  # other private ones may be what clients have sent
        return False

    def _servers(self) -> list[str]:
        """The absolute addresses at which an OpenAPI document says that the service is."""
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            document = self.response.json()
            if "openapi" in document:
                found = re.findall(r'"servers": (\[.*?\])', json.dumps(document))
                return [one["url"] for servers in found for one in json.loads(servers) if "://" in one["url"]]
        return []


def _host(link: str) -> str:
    with suppress(ValueError):
        return urlsplit(link).hostname or ""
    return ""
