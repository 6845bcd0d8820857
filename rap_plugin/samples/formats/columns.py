"""Which column is which: by its name, and by what it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from PIL.Image import Image

from rap_plugin.errors import Option, RapError

QUESTIONS = ("question", "problem", "query", "prompt", "instruction", "question_text", "problem_text", "input", "text")
ANSWERS = (
    "answer",
    "label",
    "ground_truth",
    "groundtruth",
    "gt",
    "gold",
    "gold_answer",
    "gt_answer",
    "final_answer",
    "correct_answer",
    "reference_answer",
    "target",
    "solution",
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
        known.setdefault(_plain(column), column)
    for name in names:
        found = known.get(_plain(name))
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
    return 2 * sum(map(_is_image, flat)) > len(flat)


def missing_answer(columns: Sequence[str]) -> RapError:
    """The error for a pool without a recognisable gold answer."""
    known = ", ".join(columns)
    return RapError(
        f"cannot tell which column holds the gold answers; columns: {known}; name it with ", Option("pool.answer")
    )


def _is_image(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(_KEYS & set(value))
    if isinstance(value, str):
        return bool(_FILE.fullmatch(value)) or value.startswith("data:image/")
    return isinstance(value, (bytes, Image))


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()
