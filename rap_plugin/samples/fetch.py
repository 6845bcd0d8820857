"""Images from http(s) URLs, for pools that say so; bounded in size and time."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from rap_plugin.samples.sample import ImageProblem

TIMEOUT_S = 20.0
"""Seconds without an answer."""

DEADLINE_S = 120.0
"""Seconds for one image as a whole, however slowly it trickles."""


def fetch(url: str, limit: int) -> bytes:
    """The body behind a URL, at most `limit` bytes. Redirects stay on http(s). Raises ImageProblem."""
    deadline = time.monotonic() + DEADLINE_S
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "rap-plugin", "Accept": "image/*,*/*;q=0.5"})
        with _cut_off(DEADLINE_S) as connections, _opener(connections).open(request, timeout=TIMEOUT_S) as answer:
            return _body(answer, limit, deadline)
    except urllib.error.HTTPError as error:
        raise ImageProblem("unreadable_image", f"the server answered {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        if time.monotonic() > deadline:
            raise _too_slow() from None
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ImageProblem("unreadable_image", f"not fetched ({str(reason)[:100]})") from None


def _body(answer: Any, limit: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise ImageProblem("too_large", f"the URL gives more than {limit >> 20} MB")
        if time.monotonic() > deadline:
            raise _too_slow()
    if time.monotonic() > deadline:  # cut off, which looks like an end
        raise _too_slow()
    return b"".join(parts)


def _too_slow() -> ImageProblem:
    return ImageProblem("unreadable_image", f"the URL gave no whole image within {DEADLINE_S:.0f} s")


@contextlib.contextmanager
def _cut_off(seconds: float) -> Iterator[list[http.client.HTTPConnection]]:
    """Ends the connections of this list after so many seconds: a server that trickles its headers meets no other limit."""
    connections: list[http.client.HTTPConnection] = []

    def cut() -> None:
        for connection in connections:
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), cut)
    timer.daemon = True
    timer.start()
    try:
        yield connections
    finally:
        timer.cancel()


class _Http(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """http and https over connections that are noted."""

    def __init__(self, connections: list[http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._noted(http.client.HTTPConnection), request)

    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._noted(http.client.HTTPSConnection), request)

    def _noted(self, kind: type[http.client.HTTPConnection]) -> Any:
        def connect(host: str, **options: Any) -> http.client.HTTPConnection:
            self._connections.append(kind(host, **options))
            return self._connections[-1]

        return connect


def _opener(connections: list[http.client.HTTPConnection]) -> urllib.request.OpenerDirector:
    """Only http and https, after a redirect too: urllib's own opener would read file:, ftp: and data: as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        _Http(connections),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPRedirectHandler(),
    ):
        opener.add_handler(handler)
    return opener
