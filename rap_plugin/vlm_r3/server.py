"""`rap r3 serve`: the region loop behind OpenAI's chat protocol, for any client, with streaming.

Images come inside the request (`data:` URLs) and nothing is fetched. Requests are bounded in bytes, pixels, time and number.
"""

from __future__ import annotations

import json
import queue
import select
import socket
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine
from rap_plugin.errors import RapError, one_line
from rap_plugin.rollout import Sampling
from rap_plugin.samples.images import check_image, image_bytes, open_image
from rap_plugin.samples.sample import IMAGE, ImageProblem
from rap_plugin.vlm_r3 import settings
from rap_plugin.vlm_r3.ask import question_row
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.serving import Call, SharedEngine, usage_of

MOST_IMAGES = 16
POLL_S = 0.5
"""Seconds between looks at whether the client is still there."""

FINISH = {"answer": "stop", "end": "stop"}


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one request may cost."""

    body_bytes: int = 64 << 20
    seconds: float = 600.0
    """For the whole answer."""
    read_seconds: float = 30.0
    """For the request to arrive."""
    open_requests: int = 256


class BadRequest(Exception):
    """A request that cannot be answered: one line for the caller."""


class RegionServer(ThreadingHTTPServer):
    """Listens on an address and answers with one engine."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], engine: Engine, config: RunConfig, limits: ServerLimits | None = None
    ) -> None:
        self.config, self.limits = config, limits or ServerLimits()
        self.frame = settings.make_frame(config, engine)
        self.model = config.model.id
        self.shared = SharedEngine(engine, self.limits.open_requests)
        super().__init__(address, RegionHandler)
        self.shared.start()

    def server_close(self) -> None:
        """Lets the address go; rows that run are answered first."""
        super().server_close()
        self.shared.stop()


class RegionHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "rap-r3"

    @property
    def _server(self) -> RegionServer:
        return cast(RegionServer, self.server)

    def setup(self) -> None:
        """Bounds how long a client may take to send."""
        self.request.settimeout(self._server.limits.read_seconds)
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: requests hold what users ask."""

    def do_GET(self) -> None:
        """The list of models, and whether the server is up."""
        if self.path == "/health":
            self._json(200, {"status": "ok"})
        elif self.path == "/v1/models":
            model = {"id": self._server.model, "object": "model", "created": 0, "owned_by": "rap"}
            self._json(200, {"object": "list", "data": [model]})
        else:
            self._error(404, "there is /v1/chat/completions, /v1/models and /health")

    def do_POST(self) -> None:
        """A chat completion."""
        if self.path != "/v1/chat/completions":
            self._error(404, "there is POST /v1/chat/completions")
            return
        try:
            body = self._body()
            row, sampling = read_request(body, self._server)
        except BadRequest as error:
            with suppress(ConnectionError):
                self._error(400, str(error))
            return
        except (TimeoutError, ConnectionError):
            self.close_connection = True
            return
        call = Call(row)
        if not self._server.shared.submit(call, sampling):
            self._error(429, "too many open requests; try again later")
            return
        try:
            if body.get("stream"):
                self._stream(call, body)
            else:
                self._whole(call)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            call.cancel()  # where it is still running, nobody waits for it

    # -- answers --------------------------------------------------------------------------------------------------

    def _whole(self, call: Call) -> None:
        for _ in self._parts(call):
            pass
        row = call.row
        if row.ended in ("engine_error", "overlong", "cancelled"):
            self._error(400 if row.ended == "overlong" else 503, row.error or "it took too long")
            return
        message = {"role": "assistant", "content": row.trace().text}
        choice = {"index": 0, "message": message, "finish_reason": FINISH.get(row.ended or "", "length")}
        looks = [look_dict(look) for look in row.looks]
        self._json(
            200,
            {**self._head("chat.completion"), "choices": [choice], "usage": usage_of(row), "looks": looks},
        )

    def _stream(self, call: Call, body: Mapping[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head = self._head("chat.completion.chunk")
        self._event({**head, "choices": [_delta({"role": "assistant", "content": ""})]})
        for text in self._parts(call):
            self._event({**head, "choices": [_delta({"content": text})]})
        row = call.row
        if row.ended in ("engine_error", "overlong", "cancelled"):
            self._event({"error": {"message": row.error or "it took too long", "type": "server_error"}})
        self._event({**head, "choices": [_delta({}, FINISH.get(row.ended or "", "length"))]})
        if (body.get("stream_options") or {}).get("include_usage"):
            self._event({**head, "choices": [], "usage": usage_of(row)})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _parts(self, call: Call) -> Any:
        """The texts of the row as they come, until it ends, its time is up or the client has gone."""
        until = time.monotonic() + self._server.limits.seconds
        while True:
            try:
                text = call.told.get(timeout=POLL_S)
            except queue.Empty:
                if self._gone():
                    raise ConnectionError("the client has gone") from None
                if time.monotonic() > until:
                    call.cancel()
                    return
                continue
            if text is None:
                return
            yield text

    def _gone(self) -> bool:
        """Whether the client has closed its side."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _body(self) -> dict[str, Any]:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            self.close_connection = True
            raise BadRequest("the request says no length") from None
        if not 0 <= length <= self._server.limits.body_bytes:
            self.close_connection = True
            raise BadRequest(f"the request has {length:,} bytes, at most {self._server.limits.body_bytes:,} are read")
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionError("the client has gone")
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            raise BadRequest("the request is no JSON") from None
        if not isinstance(body, dict):
            raise BadRequest("the request is no JSON object")
        return body

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self._server.model,
        }

    def _json(self, status: int, content: Mapping[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _error(self, status: int, message: str) -> None:
        kind = "invalid_request_error" if status < 500 else "server_error"
        self._json(status, {"error": {"message": message, "type": kind, "param": None, "code": None}})

    def _event(self, content: Mapping[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(content).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def listen(
    address: tuple[str, int], engine: Engine, config: RunConfig, limits: ServerLimits | None = None
) -> RegionServer:
    """A server on this address, for a `with` statement. Raises RapError where it cannot listen there."""
    try:
        return RegionServer(address, engine, config, limits)
    except OSError as error:
        raise RapError(
            f"cannot listen on {address[0]}:{address[1]} ({error.strerror or error}); choose another --port"
        ) from None


def read_request(body: Mapping[str, Any], server: RegionServer) -> tuple[RegionRow, Sampling]:
    """The row that a request asks for. Raises BadRequest, one line, for what is not understood."""
    text, system, images = _read_messages(body.get("messages"), server.config)
    if body.get("n") not in (None, 1):
        raise BadRequest("n has to be 1")
    config = server.config
    tokens = body.get("max_completion_tokens") or body.get("max_tokens") or config.sampling.max_new_tokens
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise BadRequest("max_tokens is no whole number above 0")
    changed = config.sampling.model_copy(
        update={
            "max_new_tokens": min(tokens, config.sampling.max_new_tokens),
            "seed": _number(body, "seed", config.sampling.seed, 0, 2**63 - 1),
            "top_p": _number(body, "top_p", config.sampling.top_p, 1e-6, 1),
        }
    )
    heat = _number(body, "temperature", config.r3.temperature, 0, 10)
    config = config.model_copy(update={"sampling": changed, "r3": config.r3.model_copy(update={"temperature": heat})})
    row = question_row(text, images, config, server.frame, system=system, key=uuid.uuid4().hex)
    # Rows of all callers share a batch: what differs between them is their own, not the batch's.
    return row, replace(
        settings.make_sampling(config), max_new_tokens=settings.make_sampling(server.config).max_new_tokens, seed=0
    )


def _read_messages(messages: Any, config: RunConfig) -> tuple[str, str, list[Any]]:
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages is empty")
    text, system, images = "", "", []
    users = 0
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if role not in ("system", "developer", "user"):
            raise BadRequest("one question is answered: messages of the system and one of the user")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            raise BadRequest("a message has no content")
        users += role == "user"
        for part in parts:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "text" and isinstance(part.get("text"), str):
                said = part["text"].replace(IMAGE, "")
                text, system = (text + said, system) if role == "user" else (text, system + said)
            elif kind == "image_url" and role == "user":
                images.append(_read_image(part.get("image_url"), config))
                text += IMAGE
            else:
                raise BadRequest(f"a part of type {str(kind)[:40]!r} is not understood; text and image_url are")
    if users != 1:
        raise BadRequest("exactly one message of the user is answered")
    if len(images) > MOST_IMAGES:
        raise BadRequest(f"{len(images)} images, at most {MOST_IMAGES} are taken")
    return text, system, images


def _read_image(reference: Any, config: RunConfig) -> Any:
    url = reference.get("url") if isinstance(reference, dict) else reference
    if not isinstance(url, str) or not url.startswith("data:"):
        raise BadRequest("images have to come inside the request, as data: URLs; nothing is fetched")
    try:
        data = image_bytes(url, Path(), allow_urls=False)
        check_image(data, config.pool.max_pixels)
        return open_image(data)
    except (ImageProblem, RapError) as error:
        raise BadRequest(f"an image cannot be used: {one_line(error)}") from None


def _number(body: Mapping[str, Any], name: str, default: Any, low: float, high: float) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise BadRequest(f"{name} is no number from {low:g} to {high:g}")
    return value


def look_dict(look: Any) -> dict[str, Any]:
    """A look as clients read it."""
    return {"image": look.image + 1, "region": look.region, "shown": look.shown, "problem": look.problem}


def _delta(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "finish_reason": finish}
