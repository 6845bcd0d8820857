"""What a client asks of `rap r3 serve`: OpenAI's chat protocol, for one question with its images.

Images come inside the request (`data:` URLs) and nothing is fetched.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.errors import RapError, one_line
from rap_plugin.rollout import Sampling
from rap_plugin.samples.images import check_image, image_bytes, open_image
from rap_plugin.samples.sample import IMAGE, ImageProblem
from rap_plugin.vlm_r3 import settings
from rap_plugin.vlm_r3.ask import question_row
from rap_plugin.vlm_r3.coordinates import Frame
from rap_plugin.vlm_r3.loop import RegionRow

MOST_IMAGES = 16


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
    text, system, images = _read_messages(body.get("messages"), config)
    if body.get("n") not in (None, 1):
        raise BadRequest("n has to be 1")
    most = settings.make_sampling(config).max_new_tokens
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
    row = question_row(text, images, config, frame, system=system, key=uuid.uuid4().hex)
    # Rows of all callers share a batch: what differs between them is their own, not the batch's.
    return row, replace(settings.make_sampling(config), max_new_tokens=most, seed=0)


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
