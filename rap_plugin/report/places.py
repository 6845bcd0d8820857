"""What a report and a card tell of this machine: names, not folders; and whether the selection brings its images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.ingest import choose_format
from rap_plugin.samples.pool import BadRow, Pool


def without_folders(value: Any) -> Any:
    """The value with every absolute path in it cut to its last name; relative paths, ids and other texts stay."""
    if isinstance(value, Mapping):
        return {name: without_folders(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(part) for part in value]
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str) and "\n" not in value:
        text = value.split(":", 1)[0] if value.startswith(("/", "~")) else value  # a grader: /home/me/reward.py:score
        if PurePosixPath(text).is_absolute() or text.startswith("~/"):
            return PurePosixPath(text).name + value[len(text) :]
        if PureWindowsPath(value).is_absolute():
            return PureWindowsPath(value).name
    return value


def holds_images(pool: Pool, config: PoolConfig, formats: Mapping[str, Any]) -> bool:
    """Whether the rows hold their images' bytes, by the first few rows; False where they only name files or URLs."""
    try:
        reader = choose_format(pool, config, formats)
        images = [image for row in pool.head if not isinstance(row, BadRow) for image in reader.raw(row).images]
    except (RapError, RowProblem):
        return False
    return bool(images) and all(map(_has_bytes, images))


def _has_bytes(reference: Any) -> bool:
    if isinstance(reference, Mapping):
        return any(_has_bytes(reference[name]) for name in ("bytes", "url", "image_url") if reference.get(name))
    if isinstance(reference, str):
        return reference.startswith("data:") or len(reference) > 4096
    return isinstance(reference, (bytes, bytearray, memoryview)) or hasattr(reference, "tobytes")
