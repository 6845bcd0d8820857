"""Small real images and pools for the ingest's tests."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from rap_plugin.config import PoolConfig
from rap_plugin.samples.formats import BUILTIN_FORMATS
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Quarantined, Sample


def picture(number: int = 0, size: tuple[int, int] = (12, 8), kind: str = "PNG") -> bytes:
    """A picture of noise: different for each number, and long enough to be cut short."""
    noise = random.Random(number)
    image = Image.frombytes("RGB", size, noise.randbytes(3 * size[0] * size[1]))
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()


def blank_png(width: int, height: int) -> bytes:
    """A whole, valid PNG of one bit a pixel; 30,000 x 30,000 takes about 100 KB."""
    line = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(6)
    data = b"".join(packer.compress(line * 1000) for _ in range(height // 1000))
    data += packer.compress(line * (height % 1000)) + packer.flush()
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_pool(path: Path | str, **options: Any) -> list[Sample | Quarantined]:
    """Everything that the ingest makes of a pool."""
    config = PoolConfig(path=str(path), **options)
    return list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS))


def read_one(path: Path | str, **options: Any) -> Sample:
    """The only sample of a pool."""
    (item,) = read_pool(path, **options)
    assert isinstance(item, Sample), item
    return item


def samples_of(items: Iterable[Sample | Quarantined]) -> Iterator[Sample]:
    return (item for item in items if isinstance(item, Sample))
