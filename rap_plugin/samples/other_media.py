"""Rows about a video or a sound: without it they would be other problems, and only images are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rap_plugin.samples.pool import Row
from rap_plugin.samples.sample import RawSample

_NAMED = re.compile(r"(?:video|audio)s?(?:[ _-]?(?:paths?|files?|urls?))?", re.IGNORECASE)
_FILE = re.compile(r"[^\n]{1,1000}\.(?:mp4|avi|mkv|mov|webm|m4v|wav|mp3|flac)", re.IGNORECASE)
_PLACE = re.compile(r"<(?:video|audio)>")


def other_medium(row: Row, raw: RawSample) -> str:
    """What a row is about that is not read, in a line; "" where it is about its images, or about text."""
    if raw.images and not _PLACE.search(raw.question):
        return ""  # a frame, whose video is named beside it
    for name, value in row.items():
        if value in (raw.question, raw.gold):
            continue
        if (_NAMED.fullmatch(str(name)) and _is_filled(value)) or (not raw.images and _is_file(value)):
            return f"the row is about a video or a sound (column {name!r}), and only images are read"
    return ""


def _is_filled(value: Any) -> bool:
    """Whether there is something in a value, lists and objects of nulls left aside."""
    if isinstance(value, Mapping):
        return any(map(_is_filled, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_filled, value))
    return isinstance(value, (str, bytes)) and bool(value.strip())


def _is_file(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_is_file, value))
    return isinstance(value, str) and len(value) < 1000 and bool(_FILE.fullmatch(value.strip()))
