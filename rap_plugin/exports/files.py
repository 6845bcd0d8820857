"""Image files beside a JSONL file, and the JSONL itself."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

IMAGES = "images"

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tiff"),
    (b"MM\0*", ".tiff"),
)


def suffix_of(data: bytes) -> str:
    """The file name ending that an image's first bytes ask for; `.img` where they say nothing."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return ".avif"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[1:2]:
        return ".ppm"
    return next((suffix for start, suffix in _STARTS if data.startswith(start)), ".img")


def write_image(folder: Path, data: bytes) -> str:
    """Writes an image byte for byte under the hash of its content, once; returns `images/<name>`."""
    name = hashlib.blake2b(data, digest_size=16).hexdigest() + suffix_of(data)
    path = folder / IMAGES / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return f"{IMAGES}/{name}"


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Writes rows as JSON lines; returns how many. NaN, which JSON lacks, becomes null."""
    count = 0
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for row in rows:
            file.write(json.dumps({name: finite(value) for name, value in row.items()}, ensure_ascii=False) + "\n")
            count += 1
    return count


def finite(value: Any) -> Any:
    """The value, or None in the place of NaN and infinity, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
