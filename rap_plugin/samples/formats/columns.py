"""Which column is which: by its name, and by what it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from PIL.Image import Image

from rap_plugin.errors import Option, RapError
from rap_plugin.samples.images import begins_like_an_image

QUESTIONS = ("question", "problem", "query", "prompt", "instruction", "question_text", "problem_text", "input", "text")
ANSWERS = (
    "final_answer",
    "short_answer",
    "answer",
    "label",
    "ground_truth",
    "groundtruth",
    "gt",
    "gold",
    "gold_answer",
    "gt_answer",
    "correct_answer",
    "reference_answer",
    "answer_key",
    "correct_option",
    "target",
    "solution",
    "multiple_choice_answer",
    "answers",
)
IMAGES = (
    "images",
    "image",
    "image_path",
    "image_paths",
    "img",
    "imgs",
    "img_path",
    "image_urls",
    "image_url",
    "image_file",
    "image_name",
    "imagename",
    "image_bytes",
    "image_base64",
    "picture",
    "pictures",
    "decoded_image",
    "diagram",
)

_FILE = re.compile(r"[^\n]{1,1000}\.(png|jpe?g|webp|gif|bmp|tiff?|avif)", re.IGNORECASE)
_OTHER = re.compile(r"\.(?:mp4|avi|mkv|mov|webm|m4v|wav|mp3|flac)$", re.IGNORECASE)
_COUNTED = re.compile(r"(.*?[^\d])(\d{1,2})")
_KEYS = {"bytes", "path", "image", "url", "image_url"}


def find_column(
    columns: Sequence[str],
    names: Sequence[str],
    fits: Callable[[str], bool] = lambda name: True,
    exclude: Collection[str] = (),
) -> str | None:
    """The first of `names` that is a column, without regard to case and separators, and that fits."""
    known: dict[str, str] = {}
    for column in columns:
        known.setdefault(plain_name(column), column)
    for name in names:
        found = known.get(plain_name(name))
        if found is not None and found not in exclude and fits(found):
            return found
    return None


def further_columns(columns: Sequence[str], first: str) -> tuple[str, ...]:
    """The columns that go on counting where `first` begins, "image_2", "image_3", .. after "image_1", by their numbers."""
    counted = _COUNTED.fullmatch(first)
    if counted is None:
        return ()
    others = [
        (int(other[2]), name) for name in columns if (other := _COUNTED.fullmatch(name)) and other[1] == counted[1]
    ]
    return tuple(name for number, name in sorted(others) if number > int(counted[2]))


def looks_like_images(values: Sequence[Any], *, by_name: bool) -> bool:
    """Whether values are images or refer to some.

    `by_name`, a column that is named so, is believed when it is empty or holds one text, bytes or mapping; others need
    images in most places. Neither is unsettled by one odd value, which is its row's own problem.
    """
    flat = [element for value in values for element in (value if isinstance(value, (list, tuple)) else [value])]
    flat = [element for element in flat if element not in (None, "")]
    if by_name:
        return not flat or any(isinstance(element, (str, bytes, Mapping, Image)) for element in flat)
    return 2 * sum(map(is_image, flat)) > len(flat)


def find_images(columns: Sequence[str], first_rows: Sequence[Mapping[str, Any]], taken: Collection[str]) -> str | None:
    """The column of the images: of those with a usual name one that holds them, else one with values, else any column of
    images, else an empty one with a usual name.
    """
    values = {name: [row[name] for row in first_rows if row.get(name) not in (None, "", [])] for name in columns}

    def named(name: str) -> bool:
        return looks_like_images(values[name], by_name=True)

    return (
        find_column(columns, IMAGES, lambda name: named(name) and any(map(_holds_images, values[name])), taken)
        or find_column(columns, IMAGES, lambda name: named(name) and bool(values[name]), taken)
        or find_column(columns, columns, lambda name: looks_like_images(values[name], by_name=False), taken)
        or find_column(columns, IMAGES, named, taken)
    )


def missing_answer(columns: Sequence[str]) -> RapError:
    """The error for a pool without a recognisable gold answer."""
    known = ", ".join(columns)
    return RapError(
        f"cannot tell which column holds the gold answers; columns: {known}; name it with ", Option("pool.answer")
    )


def _holds_images(value: Any) -> bool:
    """Whether a value has the bytes of an image in it, and does not only name a file."""
    if isinstance(value, (list, tuple)):
        return any(map(_holds_images, value))
    if isinstance(value, Mapping):
        return any(isinstance(value.get(name), bytes) for name in ("bytes", "image"))
    return isinstance(value, (bytes, Image)) or (isinstance(value, str) and value.startswith("data:image/"))


def is_image(value: Any) -> bool:
    """Whether a value is an image, or surely names one, by its ending."""
    if isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path")
        if isinstance(path, str) and _OTHER.search(path):
            return False
        return is_image(data) if isinstance(data, bytes) else bool(_KEYS & set(value))
    if isinstance(value, str):
        return bool(_FILE.fullmatch(value)) or value.startswith("data:image/")
    return begins_like_an_image(value) if isinstance(value, bytes) else isinstance(value, Image)


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """A column's name without case and separators."""
    return re.sub(r"[\s_-]+", "", name).lower()
