"""What clients send to `rap r3 serve`, read without a server."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from rap_plugin.config import RunConfig, load_config
from rap_plugin.vlm_r3 import chat_requests
from rap_plugin.vlm_r3.chat_requests import BadRequest, read_object, read_request
from rap_plugin.vlm_r3.coordinates import Frame


def data_url(size: tuple[int, int] = (30, 20), scheme: str = "data") -> str:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return f"{scheme}:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def asked(*urls: str, text: Any = "What is this?", **fields: Any) -> bytes:
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls or (data_url(),)]
    content = [*images, {"type": "text", "text": text}]
    return json.dumps({"messages": [{"role": "user", "content": content}], **fields}).encode()


def read(body: bytes, config: RunConfig | None = None) -> Any:
    return read_request(read_object(body), config or load_config(flags={"model.id": "m"}), Frame())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": 0}, "max_tokens is no whole number above 0"),
        ({"max_tokens": ""}, "max_tokens is no whole number"),
        ({"max_tokens": False}, "max_tokens is no whole number"),
        ({"max_completion_tokens": 0, "max_tokens": 5}, "max_completion_tokens is no whole number"),
        ({"n": True}, "n has to be 1"),
        ({"n": 0}, "n has to be 1"),
        ({"seed": 1.5}, "seed is no whole number"),
        ({"stream": "false"}, "stream is neither"),
        ({"stream": 1}, "stream is neither"),
        ({"stop": ["\n"]}, "stop is not supported"),
        ({"tools": [{"type": "function"}]}, "tools is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
        ({"logprobs": True}, "logprobs is not supported"),
        ({"presence_penalty": 0.5}, "presence_penalty is not supported"),
        ({"text": " \n"}, ""),
    ],
)
def test_what_would_be_answered_in_another_way_than_asked_is_refused(fields: dict[str, Any], words: str) -> None:
    if "text" in fields:
        body, words = json.dumps({"messages": [{"role": "user", "content": fields["text"]}]}).encode(), "is empty"
    else:
        body = asked(**fields)
    with pytest.raises(BadRequest, match=words):
        read(body)


def test_fields_that_ask_for_nothing_are_no_reason_to_refuse() -> None:
    row, _ = read(
        asked(n=1, stop=None, tools=[], logprobs=False, response_format={"type": "text"}, frequency_penalty=0.0, stream=None)
    )  # fmt: skip
    assert row.turn.max_new_tokens == RunConfig().sampling.max_new_tokens
    row, _ = read(asked(max_tokens=None, max_completion_tokens=7))
    assert row.turn.max_new_tokens == 7
    row, _ = read(asked(data_url(scheme="DATA")))
    assert row.turn.prompt.images[0].size == (30, 20)


def test_half_a_character_in_a_text_is_refused_before_a_tokeniser_sees_it() -> None:
    with pytest.raises(BadRequest, match="half a character"):
        read(asked(text="\ud800"))


def test_all_images_of_a_request_have_the_pixels_of_one_together() -> None:
    config = load_config(flags={"model.id": "m", "pool.max_pixels": 1000})
    row, _ = read(asked(data_url((20, 20)), data_url((20, 30))), config)
    assert len(row.turn.prompt.images) == 2
    with pytest.raises(BadRequest, match="more than 1,000 pixels together"):
        read(asked(data_url((20, 20)), data_url((20, 31))), config)
    with pytest.raises(BadRequest, match=r"1,020 pixels, more than pool.max_pixels"):
        read(asked(data_url((20, 51))), config)


def test_no_image_is_decoded_of_a_request_that_is_refused_for_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr(chat_requests, "open_image", decoded.append)
    for body in (asked(*[data_url()] * 17), asked(max_tokens=-1), asked(temperature="hot"), asked(text=5)):
        with pytest.raises(BadRequest):
            read(body)
    assert not decoded
