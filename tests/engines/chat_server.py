"""A chat completion server that fails in the ways that servers do."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rap_plugin.config import ModelConfig
from rap_plugin.engines.openai import open_openai


def answer(text="4", finish="stop", prompt_tokens=12):
    return 200, {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 1, "total_tokens": prompt_tokens + 1},
    }


def refusal(status, message):
    return status, {"error": {"message": message, "type": "x", "code": status}}


class Server:
    """Answers with `reply(request body, how often it was asked the same)`."""

    def __init__(self, reply=lambda body, times: answer()):
        self.reply = reply
        self.models = [{"id": "m", "object": "model", "created": 7, "owned_by": "test", "root": "some/weights"}]
        self.bodies, self.headers = [], []
        self.asked = defaultdict(int)
        self.busy = self.most = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send(200, {"object": "list", "data": outer.models})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.bodies.append(body)
                    times = outer.asked[body["seed"]]
                    outer.asked[body["seed"]] += 1
                    outer.busy += 1
                    outer.most = max(outer.most, outer.busy)
                try:
                    status, content = outer.reply(body, times)
                finally:
                    # Before it is sent: with the answer in hand a client asks again at once.
                    with outer.lock:
                        outer.busy -= 1
                self.send(status, content)

            def send(self, status, body):
                if status == 0:  # hangs up
                    return
                data = json.dumps(body).encode() if not isinstance(body, bytes) else body
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Retry-After-Ms", "1")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class ManyAtOnce(ThreadingHTTPServer):
            request_queue_size = 128

        self.http = ManyAtOnce(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def open(self, name="", **options):
        return open_openai(ModelConfig(id=name, engine="openai", options={"base_url": self.url, **options}))

    def close(self):
        self.http.shutdown()
        self.http.server_close()
