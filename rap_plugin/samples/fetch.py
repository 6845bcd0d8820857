"""Images from http(s) URLs, for pools that say so; bounded in size and time."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
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
        with _opener().open(request, timeout=TIMEOUT_S) as answer:
            return _body(answer, limit, deadline)
    except urllib.error.HTTPError as error:
        raise ImageProblem("unreadable_image", f"the server answered {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
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
            raise ImageProblem("unreadable_image", f"the URL gave no whole image within {DEADLINE_S:.0f} s")
    return b"".join(parts)


def _opener() -> urllib.request.OpenerDirector:
    """Only http and https, after a redirect too: urllib's own opener would read file:, ftp: and data: as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPRedirectHandler(),
    ):
        opener.add_handler(handler)
    return opener
