"""A judge's server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """An OpenAI-compatible server with a fixed reply; `asked` holds the prompts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reply: Callable[[str], Any] = lambda prompt: "right"
        self.status = 200
        self.visits = 0
        self.headers: dict[str, str] = {}
        self.raw: bytes | None = None
        """What is sent as it is, in place of any answer."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def _send(self, content: Any) -> None:
                if outer.raw is not None:
                    self.wfile.write(outer.raw)
                    return
                body = json.dumps(content).encode()
                self.send_response(outer.status)
                for name, value in {"Content-Length": str(len(body)), **outer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                outer.visits += 1
                self._send({"data": [{"id": "small-judge"}]})

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                prompt = json.loads(self.rfile.read(length))["messages"][0]["content"]
                outer.asked.append(prompt)
                self._send({"choices": [{"message": {"content": outer.reply(prompt)}}]})

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
