"""`rap r3 serve` through the official client, many at once, and with clients that go away."""

from __future__ import annotations

import base64
import io
import json
import runpy
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rap_plugin.config import load_config
from rap_plugin.vlm_r3.server import Room, ServerLimits, listen
from tests.vlm_r3 import looker as script

openai = pytest.importorskip("openai")


def data_url(number: int) -> str:
    buffer = io.BytesIO()
    script.picture(number).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def messages(number: int, url: str | None = None) -> list[dict]:
    image = {"type": "image_url", "image_url": {"url": url or data_url(number)}}
    return [{"role": "user", "content": [image, {"type": "text", "text": script.question(number)}]}]


@pytest.fixture(scope="module")
def served(looker):
    from rap_plugin.engines.hf.engine import open_hf

    config = load_config(
        flags={
            "model.id": str(looker),
            "model.device": "cpu",
            "model.batch_size": 8,
            "r3.instruction": "",
            "r3.min_crop_pixels": 784,
            "r3.max_crop_pixels": 3136,
            "r3.max_crop_tokens": 100,
            "sampling.max_prompt_tokens": 200,
            "sampling.max_new_tokens": 160,
        }
    )
    engine = open_hf(config.model)
    limits = ServerLimits(body_bytes=1 << 20, open_requests=12, read_seconds=3)
    with listen(("127.0.0.1", 0), engine, config, limits) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
    engine.close()


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served[1]}/v1", api_key="none", max_retries=0, timeout=120) as made:
        yield made


def test_ten_clients_at_once_get_the_answers_that_each_gets_alone(client) -> None:
    numbers = list(range(10))

    def ask(number: int) -> str:
        answer = client.chat.completions.create(model="m", messages=messages(number))
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.completion_tokens > 0
        return answer.choices[0].message.content

    with ThreadPoolExecutor(10) as together:
        found = list(together.map(ask, numbers))
    assert found == ["".join(script.said(number)) for number in numbers]
    assert ask(2) == found[2]


def test_a_streamed_answer_comes_as_it_is_written(client) -> None:
    stream = client.chat.completions.create(
        model="m", messages=messages(2), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(texts) == "".join(script.said(2))
    assert len(texts) > 40, "token by token, not segment by segment"
    assert chunks[-1].usage.completion_tokens == sum(map(len, script.said(2)))


def test_a_streamed_answer_tells_what_the_loop_says_to_a_bad_box(client) -> None:
    stream = client.chat.completions.create(model="m", messages=messages(15), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    first, again, answer = script.said(15)
    assert text == f"{first}{again}\n[no crop: this region was shown already]\n{answer}"


def test_the_client_of_the_examples_prints_what_is_written(served, tmp_path, monkeypatch, capsys) -> None:
    script.picture(2).save(tmp_path / "a.png")
    client = Path(__file__).parents[2] / "examples" / "vlm_r3" / "client.py"
    monkeypatch.setattr(
        "sys.argv", [str(client), str(tmp_path / "a.png"), script.question(2), "--url", f"{served[1]}/v1"]
    )
    runpy.run_path(str(client), run_name="__main__")
    assert capsys.readouterr().out == "".join(script.said(2)) + "\n"


def test_the_models_and_the_looks_are_told(served) -> None:
    server, url = served
    with urllib.request.urlopen(f"{url}/v1/models") as answer:
        assert json.load(answer)["data"][0]["id"] == server.model
    answer = post(url, {"messages": messages(15)})
    assert [bool(look["problem"]) for look in answer["looks"]] == [False, True]


def post(url: str, body) -> dict:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no JSON"),
        (b"[1]", "no JSON object"),
        ({}, "messages is empty"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "one question"),
        ({"messages": [{"role": "user", "content": 5}]}, "no content"),
        ({"messages": messages(1), "n": 3}, "n has to be 1"),
        ({"messages": messages(1), "temperature": "hot"}, "temperature"),
        ({"messages": messages(1), "max_tokens": -1}, "max_tokens"),
        ({"messages": messages(1, "http://127.0.0.1/cat.png")}, "nothing is fetched"),
        ({"messages": messages(1, "file:///etc/passwd")}, "nothing is fetched"),
        ({"messages": messages(1, "data:image/png;base64,AAAA")}, "an image cannot be used"),
        ({"messages": messages(1), "padding": "x" * (1 << 20)}, "at most 1,048,576 are read"),
    ],
)
def test_a_bad_request_gets_one_line_and_nothing_is_fetched(served, body, words: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        post(served[1], body)
    assert raised.value.code == 400
    assert words in json.load(raised.value)["error"]["message"]


def conversation(server, *sent: bytes) -> bytes:
    """All that the server says to these bytes, sent before anything is read, until it closes."""
    with socket.create_connection(server.server_address[:2], timeout=30) as connection:
        for part in sent:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def head(line: str, **fields: object) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: x", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


LOOKS_LIKE_A_REQUEST = head("GET /v1/models")


@pytest.mark.parametrize(
    ("request_head", "status", "words"),
    [
        (head("POST /v1/chat/completions", Content_Length=1_900_000), 400, "at most 1,048,576 are read"),
        (head("POST /v1/chat/completions"), 400, "says no length"),
        (head("POST /v1/chat/completions", Content_Length="-5"), 400, "says no length"),
        (head("POST /v1/chat/completions", Content_Length="1_0"), 400, "says no length"),
        (head("POST /v1/chat/completions", Content_Length=5, Transfer_Encoding="chunked"), 400, "says no length"),
        (head("POST /v1/completions", Content_Length=1_900_000), 404, "there is POST"),
        (head("PUT /v1/chat/completions", Content_Length=1_900_000), 501, "Unsupported method"),
        (head("GET /nothing", Content_Length=1_900_000), 404, "there is /v1/chat/completions"),
    ],
)
def test_a_refused_request_is_answered_while_its_body_still_comes_and_the_body_is_no_request(
    served, request_head: bytes, status: int, words: str
) -> None:
    body = LOOKS_LIKE_A_REQUEST * (1_900_000 // len(LOOKS_LIKE_A_REQUEST))
    told = conversation(served[0], request_head, body)
    first, _, rest = told.partition(b"\r\n\r\n")
    assert first.startswith(f"HTTP/1.1 {status} ".encode())
    assert words in json.loads(rest)["error"]["message"]  # one answer, nothing behind it


def test_a_body_that_never_arrives_is_given_up_with_one_line(served) -> None:
    told = conversation(served[0], head("POST /v1/chat/completions", Content_Length=100), b"{")
    assert told.startswith(b"HTTP/1.1 408 ")
    assert "did not arrive" in json.loads(told.partition(b"\r\n\r\n")[2])["error"]["message"]


class Drips:
    """A client that sends a byte now and then, for as long as the server listens."""

    def __init__(self, server, first: bytes) -> None:
        self._connection = socket.create_connection(server.server_address[:2], timeout=30)
        self._connection.sendall(first)

    def told(self) -> bytes:
        """What the server says until it closes."""
        told = b""
        self._connection.settimeout(0.2)
        while True:
            try:
                part = self._connection.recv(1 << 16)
                told += part
                if not part or b"did not arrive" in told:
                    return told
            except TimeoutError:
                self._connection.sendall(b"x")
            except ConnectionError:
                return told

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (head("POST /v1/chat/completions", Content_Length=1000), b"408 "),
        (b"GET /health HTTP/1.1\r\nX-Long: ", b""),
    ],
)
def test_a_client_that_sends_byte_by_byte_is_given_up_in_the_time_of_one_request(
    served, first, words, monkeypatch
) -> None:
    monkeypatch.setattr(served[0], "limits", replace(served[0].limits, read_seconds=1.0))
    client = Drips(served[0], first)
    try:
        assert words in client.told()
    finally:
        client.close()


def test_a_client_that_is_slow_to_read_has_the_time_of_one_answer(served, monkeypatch) -> None:
    server, url = served
    # The text is there before it is asked for: time is up all the same.
    monkeypatch.setattr(server, "limits", replace(server.limits, seconds=0.0))
    body = {"messages": messages(2), "stream": True, "stream_options": "none"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = answer.read().decode()
    assert "it took too long" in said
    assert "<answer>" not in said
    assert said.endswith("data: [DONE]\n\n")


def test_clients_that_only_connect_take_no_more_than_their_places(served, monkeypatch) -> None:
    server, url = served
    monkeypatch.setattr(server, "connections", Room(2))
    idle = [socket.create_connection(server.server_address[:2]) for _ in range(2)]
    try:
        with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as raised:
            urllib.request.urlopen(f"{url}/health", timeout=30)
        assert getattr(raised.value, "code", 503) == 503
    finally:
        for connection in idle:
            connection.close()
    while not server.connections.take(2):  # the server learns of their end
        time.sleep(0.01)
    server.connections.give(2)
    with urllib.request.urlopen(f"{url}/health", timeout=30) as answer:
        assert answer.status == 200


def test_requests_that_arrive_together_hold_no_more_than_their_bytes(served, monkeypatch) -> None:
    server, url = served
    for room, statuses in ((99, [429]), (100, [400, 400])):  # what was taken is given back
        monkeypatch.setattr(server, "arriving", Room(room))
        for status in statuses:
            with pytest.raises(urllib.error.HTTPError) as raised:
                post(url, b"x" * 100)
            assert raised.value.code == status


def test_a_connection_is_kept_behind_an_error_whose_request_was_read_whole(served) -> None:
    bad = head("POST /v1/chat/completions", Content_Length=2) + b"{}"
    told = conversation(served[0], bad, head("GET /health", Connection="close"))
    assert told.count(b"HTTP/1.1 400 ") == told.count(b"HTTP/1.1 200 ") == 1


def test_a_prompt_that_is_too_long_is_the_callers_fault(served) -> None:
    long = [{"role": "user", "content": [messages(1)[0]["content"][0], {"type": "text", "text": "y" * 900}]}]
    with pytest.raises(urllib.error.HTTPError) as raised:
        post(served[1], {"messages": long})
    assert raised.value.code == 400
    assert "max_prompt_tokens" in json.load(raised.value)["error"]["message"]


def test_a_client_that_goes_away_leaves_its_place_to_others(served) -> None:
    server, url = served
    body = json.dumps({"messages": messages(5), "stream": True}).encode()
    head_of_body = head("POST /v1/chat/completions", Content_Length=len(body))
    for _ in range(12):
        with socket.create_connection(server.server_address[:2]) as connection:
            connection.sendall(head_of_body + body)
    with socket.create_connection(server.server_address[:2]) as connection:
        connection.sendall(head_of_body + body[:100])  # and one that never sends the rest
    for _ in range(600):  # the server learns of them one by one
        try:
            answer = post(url, {"messages": messages(2)})
            break
        except urllib.error.HTTPError:  # too many are still open
            time.sleep(0.1)
    assert answer["choices"][0]["message"]["content"] == "".join(script.said(2))
    for _ in range(600):
        if server.shared.open_calls == 0:
            break
        time.sleep(0.1)
    assert server.shared.open_calls == 0
