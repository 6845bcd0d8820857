"""`rap r3 serve`: the region loop behind OpenAI's chat protocol, for any client, with streaming.

Images come inside the request (`data:` URLs) and nothing is fetched. Requests are bounded in bytes, pixels, time and number.
"""

from __future__ import annotations

import io
import json
import logging
import queue
import select
import socket
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine
from rap_plugin.errors import RapError, one_line
from rap_plugin.rollout import Sampling
from rap_plugin.vlm_r3 import settings
from rap_plugin.vlm_r3.chat_requests import BadRequest, read_object, read_request
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.serving import Call, SharedEngine, usage_of

log = logging.getLogger(__name__)

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
    """For the request to arrive; and for what comes behind a request that was refused."""
    open_requests: int = 256
    connections: int = 512
    """Clients that are connected at once, whatever they do."""
    arriving_bytes: int = 1 << 30
    """Of all requests that are being read."""


class Room:
    """So much of something, which several threads take and give back."""

    def __init__(self, most: int) -> None:
        self._left, self._lock = most, threading.Lock()

    def take(self, count: int) -> bool:
        """Takes so much; False, and takes nothing, where that is not left."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give(self, count: int) -> None:
        """Gives back what was taken."""
        with self._lock:
            self._left += count


class ArrivingBytes(io.RawIOBase):
    """What a client sends: each request in one span of time, however its bytes are spread over it."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self.begin()

    def begin(self) -> None:
        """The next request's time begins."""
        self._until = time.monotonic() + self._seconds

    def readable(self) -> bool:
        """As readers of streams ask."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What there is of it, at most a buffer. Raises TimeoutError."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(self._seconds)


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
        self.connections = Room(self.limits.connections)
        self.arriving = Room(self.limits.arriving_bytes)
        self.shared = SharedEngine(engine, self.limits.open_requests)
        super().__init__(address, RegionHandler)
        self.shared.start()

    def server_close(self) -> None:
        """Lets the address go; rows that run are answered first."""
        super().server_close()
        self.shared.stop()

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each connection, as long as there are not too many."""
        if self.connections.take(1):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.setblocking(False)  # this thread waits for no client
            request.send(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.close_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.give(1)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection so that its client can read the last answer.

        A socket that is closed with unread bytes resets the connection, and a client that is still sending loses the
        answer. So no more is written, and what still comes is read away: bounded in bytes and time.
        """
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            read_away(request, 2 * self.limits.body_bytes, self.limits.read_seconds)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error of the server; anything else is logged in one line."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            log.warning("a request failed: %s", one_line(error))


class RegionHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "rap-r3"

    @property
    def _server(self) -> RegionServer:
        return cast(RegionServer, self.server)

    def setup(self) -> None:
        """Bounds how long a client may take to send a request, and to take an answer."""
        self.request.settimeout(self._server.limits.read_seconds)
        super().setup()
        self._arriving = ArrivingBytes(self.request, self._server.limits.read_seconds)
        self.rfile = io.BufferedReader(self._arriving, 1 << 16)

    def handle_one_request(self) -> None:
        """Reads a request, all of it in the time of one, and answers it."""
        self._arriving.begin()
        super().handle_one_request()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: requests hold what users ask."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (a method that is not there, a broken request line), in our form."""
        self._refuse(int(code), message or HTTPStatus(code).phrase)

    def do_GET(self) -> None:
        """The list of models, and whether the server is up."""
        # A body is not read here; what follows on this connection would be taken for a request.
        self.close_connection = self.close_connection or self._has_body()
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
            self._refuse(404, "there is POST /v1/chat/completions")
            return
        asked = self._asked()
        if asked is None:
            return
        row, sampling, streams, usage = asked
        call = Call(row, streams=streams)
        if not self._server.shared.submit(call, sampling):
            self._error(429, "too many open requests; try again later")
            return
        try:
            if streams:
                self._stream(call, usage)
            else:
                self._whole(call)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            call.cancel()  # where it is still running, nobody waits for it

    def _asked(self) -> tuple[RegionRow, Sampling, bool, bool] | None:
        """The row, how it is sampled, whether it is streamed, and with its usage; None where the client was told why not.

        The request's bytes are let go here, before the row waits for its turn.
        """
        try:
            length = self._length()
        except BadRequest as error:
            self._refuse(400, str(error))
            return None
        if not self._server.arriving.take(length):
            self._refuse(429, "too many requests arrive at once; try again later")
            return None
        try:
            data = self.rfile.read(length)
            if len(data) < length:
                raise ConnectionError("the client has gone")
            body = read_object(data)
            row, sampling = read_request(body, self._server.config, self._server.frame)
        except TimeoutError:
            self._refuse(408, f"the request did not arrive within {self._server.limits.read_seconds:g} s")
            return None
        except BadRequest as error:
            self._error(400, str(error))
            return None
        finally:
            self._server.arriving.give(length)
        options = body.get("stream_options")
        usage = isinstance(options, Mapping) and bool(options.get("include_usage"))
        return row, sampling, bool(body.get("stream")), usage

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

    def _stream(self, call: Call, usage: bool) -> None:
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
        if usage:
            self._event({**head, "choices": [], "usage": usage_of(row)})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _parts(self, call: Call) -> Any:
        """The texts of the row as they come, until it ends, its time is up or the client has gone."""
        until = time.monotonic() + self._server.limits.seconds
        while time.monotonic() <= until:
            try:
                text = call.told.get(timeout=POLL_S)
            except queue.Empty:
                if self._gone():
                    raise ConnectionError("the client has gone") from None
                continue
            if text is None:
                return
            yield text
        call.cancel()  # also where texts are there all the time, because the client is slow to take them

    def _gone(self) -> bool:
        """Whether the client has closed its side."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _has_body(self) -> bool:
        return self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers

    def _length(self) -> int:
        """The bytes of the request's body. Raises BadRequest for a length that is not read."""
        said = self.headers.get("Content-Length", "")
        if not (said.isascii() and said.isdigit() and len(said) < 20) or "Transfer-Encoding" in self.headers:
            raise BadRequest("the request says no length (Content-Length)")
        length, most = int(said), self._server.limits.body_bytes
        if length > most:
            raise BadRequest(f"the request has {length:,} bytes, at most {most:,} are read")
        return length

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
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, message: str) -> None:
        """An error before the body is read: the connection ends with it, or the body would be the next request."""
        self.close_connection = True
        self._error(status, message)

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


def read_away(connection: socket.socket, most_bytes: int, seconds: float) -> None:
    """Reads and forgets what comes, until the other side closes or one of the bounds is met."""
    until = time.monotonic() + seconds
    while most_bytes > 0 and (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        part = connection.recv(min(most_bytes, 1 << 16))
        if not part:
            return
        most_bytes -= len(part)


def look_dict(look: Any) -> dict[str, Any]:
    """A look as clients read it."""
    return {"image": look.image + 1, "region": look.region, "shown": look.shown, "problem": look.problem}


def _delta(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "finish_reason": finish}
