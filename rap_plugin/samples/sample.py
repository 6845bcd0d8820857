"""What a problem is, from its row in a file to the content that a model sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal[
    "malformed_row",  # not a problem at all: no question, or not readable under the chosen format
    "unreadable_image",  # missing, truncated, or not an image
    "too_large",  # more pixels than the cap, before decoding
    "ungradable_gold",  # empty, or the grader cannot read it
    "duplicate",  # the same images, question and gold answer as an earlier row
    "overlong",  # the prompt does not fit the token limit (found while probing)
    "engine_error",  # the engine failed on this sample alone (found while probing)
]
"""Why a row is in the quarantine."""

IMAGE = "<image>"
"""The placeholder that stands for one image inside a question."""


@dataclass(frozen=True, slots=True)
class RawSample:
    """A row as a format reads it; images are still references.

    An image reference is a path (absolute, or relative to the pool's folder), an `https://` URL, a
    `data:` URL or bare base64 text, raw bytes, a mapping with `bytes` and / or `path`, or a PIL image.
    """

    question: str
    gold: str
    images: tuple[Any, ...] = ()
    source: str = ""
    facts: tuple[str, ...] = ()
    """What the images show, in words; only where it was asked for (`pool.facts`)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One usable problem.

    `images` holds the encoded files, byte for byte as they came. `question` holds exactly one `<image>`
    placeholder per image (put in front where the source had none), so that every engine places the
    images alike. `row` is the zero-based position in the pool; it is no part of the identity.
    """

    id: str
    row: int
    question: str
    gold: str
    images: tuple[bytes, ...] = field(repr=False)
    source: str = ""
    image_sizes: tuple[tuple[int, int], ...] = ()
    """(width, height) in pixels of each image, known from the one whole decode at ingest."""
    facts: tuple[str, ...] = ()
    """What the images show, in words; only where it was asked for (`pool.facts`), and no part of the identity."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One row that cannot be used: its status (a fixed word) and its reason (one readable line)."""

    row: int
    status: Status
    reason: str
    id: str | None = None


def sample_id(question: str, gold: str, images: tuple[bytes, ...]) -> str:
    """The identity of a problem: 32 hexadecimal digits of BLAKE2b over its content.

    Every part is hashed with its length in front, so no two different problems run together. The row
    number, the file name and the source are left out: the same problem in another order or file keeps
    its evidence.
    """
    digest = hashlib.blake2b(digest_size=16, person=b"rap-sample-1")
    for part in (question.encode("utf-8", "surrogatepass"), gold.encode("utf-8", "surrogatepass"), *images):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


class ImageProblem(Exception):
    """One image that cannot be used: the status of its row and the reason, without the image's name."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason
