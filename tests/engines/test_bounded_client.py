"""Engine `openai` against servers that stall, drip, never end, lie or send it elsewhere: bounded, told, and one rollout each."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rap_plugin.config import ModelConfig
from rap_plugin.errors import RapError
from rap_plugin.evidence.records import ProbeKey
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.rollout import Prompt, Request, Sampling
from rap_plugin.samples.sample import Sample, sample_id

pytest.importorskip("openai")

from rap_plugin.engines.openai import open_openai

NEVER = threading.Event()
"""Set when the servers of these tests end."""


def sound(**changes: object) -> bytes:
    message = {"role": "assistant", "content": "4"}
    choice = {"index": 0, "finish_reason": "stop", "message": message, **dict(changes.pop("choice", {}))}  # type: ignore[call-overload]
    usage = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage, **changes}).encode()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # all ask at once


class Handler(BaseHTTPRequestHandler):
    """Does what the prompt's text says."""

    def do_GET(self) -> None:
        self.answer(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with contextlib.suppress(OSError):  # the client has hung up
            BEHAVIOURS[body["messages"][-1]["content"]](self)
        self.close_connection = True

    def answer(self, data: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def stall(self, sent: bytes = b"") -> None:
        self.wfile.write(sent)
        NEVER.wait()

    def drip(self) -> None:
        self.answer(b"{", length=10**9)
        while not NEVER.wait(0.02):
            self.wfile.write(b" ")

    def endless(self) -> None:
        self.answer(b"{", length=10**12)
        while not NEVER.is_set():
            self.wfile.write(b" " * 65536)

    def log_message(self, *_: object) -> None:
        pass


LATE: dict[str, Callable[[Handler], None]] = {
    "stalls before its headers": lambda it: it.stall(),
    "stalls in its headers": lambda it: it.stall(b"HTTP/1.1 200 OK\r\nContent-Type: app"),
    "stalls behind its headers": lambda it: it.answer(b"", length=10) or it.stall(),  # type: ignore[func-returns-value]
    "stalls in its body": lambda it: it.answer(sound()[:40], length=len(sound())) or it.stall(),  # type: ignore[func-returns-value]
    "drips": Handler.drip,
}
"""Servers that never end an answer."""

BROKEN: dict[str, tuple[Callable[[Handler], None], str]] = {
    "endless": (Handler.endless, "more than 16 MiB"),
    "bomb": (lambda it: it.answer(gzip.compress(bytes(64 << 20)), Content_Encoding="gzip"), "more than 16 MiB"),
    "no gzip": (lambda it: it.answer(b"\x1f\x8b no gzip", Content_Encoding="gzip"), ""),
    "cut": (lambda it: it.answer(sound()[:40], length=len(sound())), ""),
    "no json": (lambda it: it.answer(b'{"choices": [{'), ""),
    "deep": (lambda it: it.answer(b"[" * 200_000), ""),
    "html": (lambda it: it.answer(b"<h1>hello</h1>", Content_Type="text/html"), "not a chat completion"),
    "list": (lambda it: it.answer(b"[1]"), ""),
    "empty": (lambda it: it.answer(b""), ""),
    "nothing": (lambda it: it.answer(b"null"), ""),
    "no choices": (lambda it: it.answer(sound(choices=[])), "not a chat completion"),
    "endless prompt": (lambda it: it.answer(sound(usage={"prompt_tokens": 1e999})), "not a chat completion"),
    "huge prompt": (lambda it: it.answer(sound(usage={"prompt_tokens": 10**40})), "not a chat completion"),
    "less than nothing": (lambda it: it.answer(sound(usage={"prompt_tokens": -5})), "not a chat completion"),
    "huge token": (lambda it: it.answer(sound(choice={"token_ids": [2**40]})), "not a chat completion"),
    "no token": (lambda it: it.answer(sound(choice={"token_ids": {"a": None}})), "not a chat completion"),
    "waits for ever": (
        lambda it: it.answer(b'{"error": {"message": "busy"}}', 429, Retry_After=str(10**9)),
        "busy; the server asks to wait 1000000000 s",
    ),
    "bad status": (lambda it: it.answer(b"", 599), ""),
    "odd status": (lambda it: it.answer(b"", 204), ""),
}
"""Servers that answer with something else, and what is said of it."""

BEHAVIOURS = LATE | {name: do for name, (do, _) in BROKEN.items()}


@pytest.fixture(scope="module")
def address():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    NEVER.set()
    server.shutdown()
    server.server_close()


def open_engine(address: str, **options: object):
    return open_openai(ModelConfig(engine="openai", options={"base_url": address, "retries": 0, **options}))


def ask(engine, texts: list[str]):
    rows = engine.generate([Request(Prompt(text, "image", text), (0,)) for text in texts], Sampling())
    return {text: response for text, (response,) in zip(texts, rows, strict=True)}


def test_the_time_limit_holds_for_the_whole_of_an_answer_wherever_the_server_stalls(address):
    engine = open_engine(address)
    engine._timeout = 1.0
    for text, response in ask(engine, list(LATE)).items():
        assert (response.status, response.error) == ("engine_error", "no whole answer within 1 s"), text


def test_what_is_no_answer_is_an_error_of_its_rollout_and_can_be_stored(address, tmp_path: Path):
    found = ask(open_engine(address), list(BROKEN))
    for text, response in found.items():
        assert response.status == "engine_error", text
        assert BROKEN[text][1] in response.error, text
        assert response.error, text
    with closing(EvidenceStore(tmp_path / "evidence.sqlite", create=True)) as store:
        store.replace_pool([Sample(sample_id("q", "g", ()), 0, "q", "g", ())], "pool")
        probe = store.probe(ProbeKey("image", "p", "r", "{}", 0))
        for response in found.values():
            store.add_rollouts(probe, [(1, [response])])


def test_a_server_that_repeats_the_key_anywhere_puts_it_nowhere(address, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-swordfish")
    said = b'{"error": {"message": "no sk-swordfish here"}}'
    ways = {
        "busy": lambda it: it.answer(said, 429, Retry_After="sk-swordfish"),
        "broken": lambda it: it.answer(said, 500, X="sk-swordfish"),
        "plain": lambda it: it.answer(b"sk-swordfish", 404, Content_Type="text/plain"),
        "listed": lambda it: it.answer(b'["sk-swordfish"]', 400),
        "ended": lambda it: it.answer(sound(choice={"finish_reason": "sk-swordfish"})),
        "typed": lambda it: it.answer(sound(choice={"message": {"content": {"sk-swordfish": 1}}})),
        "no json": lambda it: it.answer(b'{"sk-swordfish'),
        "status line": lambda it: it.wfile.write(b"HTTP/1.1 sk-swordfish\r\n\r\n"),
    }
    for name, way in ways.items():
        monkeypatch.setitem(BEHAVIOURS, name, way)
    for name, response in ask(open_engine(address), list(ways)).items():
        assert response.status == "engine_error", name
        assert "swordfish" not in repr(response), name


def test_a_redirect_takes_nothing_elsewhere(address, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-swordfish")
    visits = []

    class Elsewhere(Handler):
        def do_GET(self):
            visits.append(self.path)
            super().do_GET()

        do_POST = do_GET

    other = Server(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        target = f"http://me:hidden@127.0.0.1:{other.server_port}/v1/chat/completions?key=sk-swordfish"
        for status in (301, 302, 303, 307, 308):

            def redirect(it, status=status):
                it.answer(b"", status, Location=target)

            monkeypatch.setitem(BEHAVIOURS, "redirects", redirect)
            with pytest.raises(
                RapError, match=r"redirects to http://\*\*\*@127\.0\.0\.1:.*, which is not followed"
            ) as error:
                ask(open_engine(address), ["redirects"])
            assert "swordfish" not in str(error.value)
            assert "hidden" not in str(error.value)
        monkeypatch.setattr(Handler, "do_GET", redirect)
        with pytest.raises(RapError, match="which is not followed"):
            open_engine(address)
        assert visits == []
    finally:
        other.shutdown()
        other.server_close()


@pytest.mark.parametrize(
    "listed", [b"[]", b'{"data": [{}]}', b'{"data": ["m"]}', b'{"data": null}', b'{"data": [{"id": 7}]}', b"x"]
)
def test_a_list_of_models_that_is_none_is_one_line(address, listed, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda it: it.answer(listed))
    with pytest.raises(RapError) as error:
        open_engine(address)
    assert "\n" not in str(error.value)
