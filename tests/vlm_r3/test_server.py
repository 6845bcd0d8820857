"""`rap r3 serve` through the official client, many at once, and with clients that go away."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from rap_plugin.config import load_config
from rap_plugin.vlm_r3.server import ServerLimits, listen
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
    limits = ServerLimits(body_bytes=1 << 20, open_requests=12, read_seconds=5)
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


def test_a_streamed_answer_comes_in_segments(client) -> None:
    stream = client.chat.completions.create(
        model="m", messages=messages(2), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert texts == script.said(2)
    assert chunks[-1].usage.completion_tokens == sum(map(len, script.said(2)))


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


def test_a_prompt_that_is_too_long_is_the_callers_fault(served) -> None:
    long = [{"role": "user", "content": [messages(1)[0]["content"][0], {"type": "text", "text": "y" * 900}]}]
    with pytest.raises(urllib.error.HTTPError) as raised:
        post(served[1], {"messages": long})
    assert raised.value.code == 400
    assert "max_prompt_tokens" in json.load(raised.value)["error"]["message"]


def test_a_client_that_goes_away_leaves_its_place_to_others(served) -> None:
    server, url = served
    body = json.dumps({"messages": messages(5), "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(12):
        with socket.create_connection(server.server_address[:2]) as connection:
            connection.sendall(head + body)
    with socket.create_connection(server.server_address[:2]) as connection:
        connection.sendall(head + body[:100])  # and one that never sends the rest
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
