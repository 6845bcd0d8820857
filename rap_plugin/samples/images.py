"""Images: from a reference in a row to bytes, from bytes to a checked, decodable picture."""

from __future__ import annotations

import base64
import binascii
import io
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from PIL import Image, ImageFile, ImageOps

from rap_plugin.errors import one_line
from rap_plugin.samples.sample import ImageProblem

MAX_FILE_BYTES = 256 << 20
"""One encoded image, from a file or as bytes in a row."""

MAX_REMOTE_BYTES = 64 << 20
"""One encoded image from a URL, a data: URL or base64 text."""

SIDE_FOLDERS = ("", "images")
"""Where relative paths are looked for, below the pool's folder, in this order."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""What is decoded. Pillow knows more, some of it through outside programs: hostile data gets none of that."""

_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")
_USUAL_MODES = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"))
"""Colour modes that surely convert to RGB; others are converted once to see."""

_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class FirstOf:
    """A reference with several places to look at: the first that is a file is the image."""

    paths: tuple[str, ...]

    def __str__(self) -> str:
        return self.paths[0]


def image_bytes(reference: Any, root: Path, *, allow_urls: bool, confined: bool = False) -> bytes:
    """The encoded file behind a reference, byte for byte.

    References: bytes; a path (absolute, `file://`, or relative to `root` or `root/images`); an http(s) URL if
    `allow_urls`; a `data:` URL or bare base64 text; a mapping with `bytes`, `path`, `image` or `url`; a PIL image
    (encoded as PNG, without loss). Paths are the user's own and may lead anywhere the user may read, through
    `..` and links too, unless `confined`, which keeps them below `root`; only regular files are opened. Raises
    ImageProblem.
    """
    if isinstance(reference, (bytes, bytearray, memoryview)):
        return _bounded(bytes(reference), MAX_FILE_BYTES)
    if isinstance(reference, str):
        return _from_text(reference, root, allow_urls, confined)
    if isinstance(reference, FirstOf):
        return _read(reference.paths, root, confined)
    if isinstance(reference, Mapping):
        for name in ("bytes", "path", "image", "url", "image_url"):
            if reference.get(name):
                return image_bytes(reference[name], root, allow_urls=allow_urls, confined=confined)
        raise ImageProblem("unreadable_image", "neither bytes nor a path")
    if isinstance(reference, Image.Image):
        return _encode(reference)
    raise ImageProblem("unreadable_image", f"a {type(reference).__name__} is no image reference")


def begins_like_an_image(data: bytes) -> bool:
    """Whether bytes begin as those of an image do, and not as text or a sound."""
    if data.startswith(b"RIFF"):
        return data[8:12] == b"WEBP"
    return data.startswith(_MAGIC) or data[4:12] in (b"ftypavif", b"ftypavis")


def check_image(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Decodes an image whole and returns its (width, height) as shown, that is after its EXIF orientation.

    The number of pixels is read from the header and compared with `max_pixels` before anything is decoded; Pillow's
    process-wide limit plays no part, nor does its switch for cut images. Of an animation the first frame counts. Raises
    ImageProblem.
    """
    with _strictly(), _open(data) as image:
        width, height = image.size
        if width * height > max_pixels:
            pixels = f"{width:,} x {height:,} = {width * height:,} pixels"
            raise ImageProblem("too_large", f"{pixels}, more than pool.max_pixels = {max_pixels:,}")
        try:
            image.load()
            if image.mode not in _USUAL_MODES:
                _as_rgb(image)
                _require_shades(image)
            return _shown_size(image)
        except ImageProblem:
            raise
        except MemoryError:
            raise ImageProblem("too_large", f"{width:,} x {height:,} pixels do not fit into memory") from None
        except Exception as error:
            raise ImageProblem("unreadable_image", f"damaged {image.format} image ({one_line(error)})") from None


def _require_shades(image: Image.Image) -> None:
    """Raises ImageProblem for grey values that do not survive as eight bits: Pillow cuts them at 255, and so every processor
    of a model is shown white.
    """
    if image.mode != "F" and not image.mode.startswith("I"):
        return
    least, most = image.getextrema()
    if most > 255 or (image.mode == "F" and 0 <= least < most <= 1):
        seen = "white" if most > 255 else "black"
        what = f"grey values from {least:g} to {most:g}, of which models see {seen}; save it with 8 bits a pixel"
        raise ImageProblem("unreadable_image", what)


def image_size(data: bytes) -> tuple[int, int]:
    """(width, height) as shown, from the header alone, for bytes that `check_image` has passed. Raises ImageProblem."""
    with _open(data) as image:
        return _shown_size(image)


def open_image(data: bytes) -> Image.Image:
    """The picture that a model sees: RGB, upright by its EXIF orientation, transparency laid on white.

    Orientation is what transformers' `load_image`, `datasets` and vLLM apply; white behind transparency is what vLLM
    and qwen-vl-utils put there: a black drawing on a transparent ground would vanish otherwise. Raises ImageProblem.
    """
    with _open(data) as image:
        try:
            image.load()
            return _as_rgb(_upright(image))
        except Exception as error:
            raise ImageProblem("unreadable_image", f"damaged {image.format} image ({one_line(error)})") from None


_checking = threading.Lock()
_checks = 0
_lenient = False


@contextmanager
def _strictly() -> Iterator[None]:
    """Cut images raise inside, whatever the process has set (importing lmms-eval lets them pass); any thread may enter."""
    global _checks, _lenient
    with _checking:
        if not _checks:
            _lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        _checks += 1
    try:
        yield
    finally:
        with _checking:
            _checks -= 1
            if not _checks:
                ImageFile.LOAD_TRUNCATED_IMAGES = _lenient


def _open(data: bytes) -> Image.Image:
    """Reads the header with the first of FORMATS that recognises it.

    `Image.open` would apply Pillow's process-wide pixel limit before the size is known here, and its other
    formats, so the format classes that Pillow registers are called directly.
    """
    if not data:
        raise ImageProblem("unreadable_image", "empty: 0 bytes")
    Image.init()
    reason = ""
    for name in FORMATS:
        if name not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[name]
        try:
            recognised = accept is None or accept(data[:16])
            if not recognised or isinstance(recognised, str):
                continue
            return factory(io.BytesIO(data), "")
        except Exception as error:
            reason = f"damaged {name} header ({one_line(error)})"
    raise ImageProblem("unreadable_image", reason or f"not an image{_looks_like(data)}")


def _looks_like(data: bytes) -> str:
    """What a file is instead, in a word. Never its content: a pool may name a file that is none of its own."""
    start = data[:512].lstrip().lower()
    kinds = ((b"<svg", "SVG"), (b"<?xml", "XML"), (b"<!doctype", "HTML"), (b"<html", "HTML"), (b"%pdf", "PDF"),
             (b"version https://git-lfs", "a Git LFS pointer"), (b"pk\x03\x04", "ZIP"), (b"\x1f\x8b", "gzip"))  # fmt: skip
    for sign, kind in kinds:
        if start.startswith(sign):
            return f" but {kind}"
    return " but text" if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:512]) else ""


def _shown_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    try:
        turned = image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
    except Exception:
        turned = False
    return (height, width) if turned else (width, height)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        # Broken EXIF data is no broken picture.
        return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        front = image.convert("RGBA")
        back = Image.new("RGBA", front.size, (255, 255, 255, 255))
        return Image.alpha_composite(back, front).convert("RGB")
    return image.convert("RGB")


def _from_text(text: str, root: Path, allow_urls: bool, confined: bool) -> bytes:
    if text.startswith(("http://", "https://")):
        if not allow_urls:
            raise ImageProblem("unreadable_image", "a URL, and URLs are fetched only with --allow-urls")
        from rap_plugin.samples.fetch import fetch

        return fetch(text, MAX_REMOTE_BYTES)
    if text.startswith("data:"):
        header, comma, body = text.partition(",")
        if not comma:
            raise ImageProblem("unreadable_image", "a data: URL without data")
        return (
            _decode(body)
            if header.endswith(";base64")
            else _bounded(unquote(body).encode("latin-1", "replace"), MAX_REMOTE_BYTES)
        )
    if text.startswith("file://"):
        bare = text.removeprefix("file://")
        return _read((bare,) if unquote(bare) == bare else (bare, unquote(bare)), root, confined)
    scheme = text[:12].partition("://")
    if scheme[1]:
        raise ImageProblem(
            "unreadable_image", f"{scheme[0]}:// is not a kind of URL that is read (http, https, data, file)"
        )
    if len(text) < 4096:
        found = _find(text, root, confined)
        if found is not None:
            return _load(found)
    if len(text) >= 64:
        try:
            data = _decode(text)
        except ImageProblem as problem:
            if problem.status == "too_large":
                raise
        else:
            if begins_like_an_image(data):
                return data
    if len(text) >= 4096:
        raise ImageProblem("unreadable_image", "a long text that is no base64 image")
    raise _not_found(repr(text), root)


def _not_found(names: str, root: Path) -> ImageProblem:
    return ImageProblem("unreadable_image", f"no such file {names} below {root} (--image-root sets where paths start)")


def _read(paths: Sequence[str], root: Path, confined: bool) -> bytes:
    for path in paths:
        found = _find(path, root, confined)
        if found is not None:
            return _load(found)
    raise _not_found(", ".join(map(repr, paths)), root)


def _find(text: str, root: Path, confined: bool) -> Path | None:
    """The regular file that a path leads to. Raises ImageProblem for one that is something else, or not in the root."""
    found = _look(text, root, confined)
    if found is None and "\\" in text:  # written on Windows
        found = _look(text.replace("\\", "/"), root, confined)
    return found


def _look(text: str, root: Path, confined: bool) -> Path | None:
    path = Path(text)
    other = ""
    for folder in SIDE_FOLDERS:
        try:
            candidate = root / folder / path
            mode = candidate.stat().st_mode
            if confined and not candidate.resolve().is_relative_to(root.resolve()):
                # Whether there is such a file, and what it is, is no business of a pool that is not trusted.
                raise ImageProblem("unreadable_image", "a path that leads out of the pool's folder (pool.confined)")
            if stat.S_ISREG(mode):
                return candidate
            other = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        except (OSError, ValueError):
            continue
        if path.is_absolute():
            break
    if other and text not in ("", ".", ".."):
        raise ImageProblem("unreadable_image", f"{text!r} is {other}")
    return None


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise ImageProblem("too_large", f"a file of {size >> 20} MB; images may have {MAX_FILE_BYTES >> 20} MB")
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ImageProblem("unreadable_image", f"the file cannot be read ({error.strerror})") from None


def _decode(text: str) -> bytes:
    if len(text) > MAX_REMOTE_BYTES // 3 * 4 + 4096:
        raise ImageProblem("too_large", f"more than {MAX_REMOTE_BYTES >> 20} MB of base64")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageProblem("unreadable_image", f"damaged base64 ({one_line(error)})") from None


def _encode(image: Image.Image) -> bytes:
    mode = image.mode if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "RGB"
    target = io.BytesIO()
    try:
        upright = _upright(image)
        (upright if upright.mode == mode else upright.convert(mode)).save(target, "PNG")
    except Exception as error:
        raise ImageProblem("unreadable_image", f"a PIL image that cannot be encoded ({one_line(error)})") from None
    return target.getvalue()


def _bounded(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise ImageProblem("too_large", f"{len(data) >> 20} MB; an image may have {limit >> 20} MB")
    return data
