"""Chat messages as a question: OpenRLHF's and OpenAI's roles and content parts, ShareGPT's from and value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.formats.values import from_json, image_references
from rap_plugin.samples.sample import IMAGE

_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant", "developer": "system"}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: its role ("user", "assistant", "system", ..), its text with `<image>` placeholders, their references.

    A reference is None where the message only marks the place and the image stands in a column of its own.
    """

    role: str
    text: str
    images: tuple[Any, ...] = ()


def looks_like_messages(value: Any) -> bool:
    """Whether a value is a list of messages, or a JSON text of one."""
    value = from_json(value)
    if not isinstance(value, list) or not value:
        return False
    first = from_json(value[0])
    return (
        isinstance(first, Mapping) and ("role" in first or "from" in first) and ("content" in first or "value" in first)
    )


def read_messages(value: Any) -> list[Message]:
    """All messages of a row. Raises RowProblem."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RowProblem("the messages are a text that is not JSON") from None
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list) or not value:
        raise RowProblem(
            "the messages are empty" if not value else f"the messages are a {type(value).__name__}, not a list"
        )
    return [_message(from_json(entry)) for entry in value]


def problem_of(messages: Sequence[Message], column: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """(question, images) of a conversation up to its last user message.

    The system message is put aside: the run has its own. A single user turn is the question; earlier turns
    are kept in front of the last as a transcript. `column` holds the images of the row's own column: they fill the
    places that messages mark, and where every place brings its own image, an equally long column repeats them.
    """
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise RowProblem("no message of the user")
    turns = [message for message in messages[: last + 1] if message.role != "system"]
    if len(turns) == 1:
        question = turns[0].text
    else:
        question = "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in turns)
    return question, _filled([image for turn in turns for image in turn.images], list(column))


def answer_of(messages: Sequence[Message]) -> str:
    """The last assistant message, which is the gold answer of supervised data; "" where there is none."""
    return next((message.text for message in reversed(messages) if message.role == "assistant"), "")


def _filled(places: list[Any], column: list[Any]) -> tuple[Any, ...]:
    if not column:
        missing = sum(place is None for place in places)
        if missing:
            raise RowProblem(f"{missing} image place(s) in the messages, and no image for them")
        return tuple(places)
    if all(place is not None for place in places) and len(places) in (0, len(column)):
        return tuple(column)
    rest = iter(column)
    filled = [next(rest, None) if place is None else place for place in places]
    if any(place is None for place in filled):
        raise RowProblem(f"{len(places)} image places in the messages for {len(column)} images")
    return (*filled, *rest)


def _message(entry: Any) -> Message:
    if not isinstance(entry, Mapping):
        raise RowProblem(f"a message is a {type(entry).__name__}, not an object with role and content")
    role = entry.get("role") or entry.get("from")
    if not isinstance(role, str):
        raise RowProblem("a message has no role")
    role = _ROLES.get(role.lower(), role.lower())
    content = entry.get("content") if entry.get("content") is not None else entry.get("value")
    if content is None:
        return Message(role, "")
    if isinstance(content, str) and not isinstance(content := _parts_in(content), list):
        # Text brings its own placeholders; their images stand in a column.
        return Message(role, content)
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        raise RowProblem(f"a message's content is a {type(content).__name__}, not a text or a list of parts")
    text = ""
    images: list[Any] = []
    after_text = False
    for part in content:
        piece, image = _part(part)
        text += ("\n" if after_text and image is _NO_IMAGE else "") + piece
        after_text = image is _NO_IMAGE
        if image is not _NO_IMAGE:
            images.append(image)
    return Message(role, text, tuple(images))


_NO_IMAGE = object()
_TEXTS = ("text", "input_text", "output_text")


def _parts_in(content: str) -> Any:
    """The parts that a content holds as JSON text; any other text as it is."""
    parts = from_json(content)
    are_parts = isinstance(parts, list) and all(isinstance(part, Mapping) and "type" in part for part in parts)
    return parts if are_parts and parts else content


def _part(part: Any) -> tuple[str, Any]:
    if isinstance(part, str):
        return part, _NO_IMAGE
    if not isinstance(part, Mapping):
        raise RowProblem(f"a content part is a {type(part).__name__}")
    kind = part.get("type")
    if kind in _TEXTS or (kind is None and isinstance(part.get("text"), str)):
        text = part.get("text")
        if not isinstance(text, str):
            raise RowProblem("a text part without text")
        return text, _NO_IMAGE
    if kind in ("image", "image_url", "input_image") or kind is None:
        source = part.get("source")
        if isinstance(source, Mapping):  # Anthropic's
            part = {"bytes": source.get("data"), "url": source.get("url")}
        references = image_references({key: value for key, value in part.items() if key not in ("type", "text")})
        return IMAGE, references[0] if references else None
    raise RowProblem(f"a {str(kind)[:40]} part, and only text and images are read")
