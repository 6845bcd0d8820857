"""What a client asks of `rap r3 serve`: OpenAI's chat protocol, for one question with its images.

Images come inside the request (`data:` URLs) and nothing is fetched.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.errors import RapError, one_line
from rap_plugin.rollout import Sampling
from rap_plugin.samples.images import check_image, image_bytes, image_size, open_image
from rap_plugin.samples.sample import IMAGE, ImageProblem
from rap_plugin.vlm_r3 import settings
from rap_plugin.vlm_r3.ask import question_row
from rap_plugin.vlm_r3.coordinates import Frame
from rap_plugin.vlm_r3.loop import RegionRow

MOST_IMAGES = 16

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "stop": ([], ""),
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
}
"""Fields of the protocol that ask for what is not done here, and their values that ask for nothing (null is one of each)."""


class BadRequest(Exception):
    """A request that cannot be answered: one line for the caller."""


def read_object(data: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises BadRequest, one line, for anything else."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest("the request is no JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the request is no JSON object")
    return body


def read_request(body: Mapping[str, Any], config: RunConfig, frame: Frame) -> tuple[RegionRow, Sampling]:
    """The row that a request asks for. Raises BadRequest, one line, for what is not understood."""
    # What is cheap to see comes before the images.
    for name, asks_nothing in NEUTRAL.items():
        if body.get(name) is not None and body[name] not in asks_nothing:
            raise BadRequest(f"{name} is not supported; leave it out")
    if body.get("n") is not None and (isinstance(body["n"], bool) or body["n"] != 1):
        raise BadRequest("n has to be 1")
    if not isinstance(body.get("stream"), (bool, type(None))):
        raise BadRequest("stream is neither true nor false")
    most = settings.make_sampling(config).max_new_tokens
    name = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    tokens = config.sampling.max_new_tokens if body.get(name) is None else body[name]
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise BadRequest(f"{name} is no whole number above 0")
    seed = _number(body, "seed", config.sampling.seed, 0, 2**63 - 1)
    if not isinstance(seed, int):
        raise BadRequest("seed is no whole number")
    changed = config.sampling.model_copy(
        update={
            "max_new_tokens": min(tokens, config.sampling.max_new_tokens),
            "seed": seed,
            "top_p": _number(body, "top_p", config.sampling.top_p, 1e-6, 1),
        }
    )
    heat = _number(body, "temperature", config.r3.temperature, 0, 10)
    text, system, images = _read_messages(body.get("messages"), config)
    config = config.model_copy(update={"sampling": changed, "r3": config.r3.model_copy(update={"temperature": heat})})
    row = question_row(text, images, config, frame, system=system, key=uuid.uuid4().hex)
    # Rows of all callers share a batch: what differs between them is their own, not the batch's.
    return row, replace(settings.make_sampling(config), max_new_tokens=most, seed=0)


def _read_messages(messages: Any, config: RunConfig) -> tuple[str, str, list[Any]]:
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages is no list" if messages else "messages is empty")
    text, system, references = "", "", []
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
                references.append(part.get("image_url"))
                text += IMAGE
            else:
                raise BadRequest(f"a part of type {str(kind)[:40]!r} is not understood; text and image_url are")
    if users != 1:
        raise BadRequest("exactly one message of the user is answered")
    if not text.strip():
        raise BadRequest("the message of the user is empty")
    try:
        (text + system).encode()
    except UnicodeEncodeError:
        raise BadRequest("a text holds half a character (a lone surrogate)") from None
    if len(references) > MOST_IMAGES:
        raise BadRequest(f"{len(references)} images, at most {MOST_IMAGES} are taken")
    return text, system, _read_images(references, config)


def _read_images(references: Sequence[Any], config: RunConfig) -> list[Any]:
    """The images, open. All of a request have the pixels that one may have: a small file can hold many."""
    images: list[Any] = []
    left = config.pool.max_pixels
    for reference in references:
        url = reference.get("url") if isinstance(reference, dict) else reference
        if not isinstance(url, str) or url[:5].lower() != "data:":
            raise BadRequest("images have to come inside the request, as data: URLs; nothing is fetched")
        try:
            data = image_bytes("data:" + url[5:], Path(), allow_urls=False)
            width, height = image_size(data)
            if images and width * height > left:
                raise BadRequest(f"the images have more than {config.pool.max_pixels:,} pixels together")
            check_image(data, config.pool.max_pixels)
            left -= width * height
            images.append(open_image(data))
        except (ImageProblem, RapError) as error:
            raise BadRequest(f"an image cannot be used: {one_line(error)}") from None
    return images


def _number(body: Mapping[str, Any], name: str, default: Any, low: float, high: float) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise BadRequest(f"{name} is no number from {low:g} to {high:g}")
    return value
