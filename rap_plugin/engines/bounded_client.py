"""HTTP for engine `openai`, with the bounds that a server which means harm, or is broken, cannot move."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

MOST_BYTES = 16 << 20
"""Of one answer, unpacked: thousands of bytes for every token that one has."""

UNPACKED = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that do not hold any more for an answer that was read whole."""


def bounded_client(timeout_s: float, most_bytes: int = MOST_BYTES) -> Any:
    """A client to give to `AsyncOpenAI`: its answers come whole within `timeout_s` or not at all, and are no longer than
    `most_bytes`. No redirect is followed: it would take problems, images and the key to another address.

    The openai package's own time limit is one for each read, which a server that drips a byte a minute never meets.
    """
    import openai

    # Version 3 of the package builds on another HTTP library than those before.
    names = [kind.__module__.partition(".")[0] for kind in openai.DefaultAsyncHttpxClient.__mro__]
    http = importlib.import_module(next(name for name in names if name.startswith("httpx")))

    class BoundedClient(openai.DefaultAsyncHttpxClient):  # type: ignore[misc]
        async def send(self, request: Any, **options: Any) -> Any:
            options |= {"stream": True, "follow_redirects": False}
            try:
                return await asyncio.wait_for(self._read_whole(request, options), timeout_s)
            except asyncio.TimeoutError:
                raise http.ReadTimeout(f"no whole answer within {timeout_s:g} s", request=request) from None

        async def _read_whole(self, request: Any, options: dict[str, Any]) -> Any:
            response = await super().send(request, **options)
            parts, size = [], 0
            try:
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > most_bytes:
                        raise openai.OpenAIError(f"an answer of more than {most_bytes >> 20} MiB")
                    parts.append(part)
            finally:
                await response.aclose()
            headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in UNPACKED]
            return http.Response(response.status_code, headers=headers, content=b"".join(parts), request=request)

    return BoundedClient(timeout=2 * timeout_s)
