"""The images of one row, also where its column of images is not that of the first rows."""

from __future__ import annotations

from typing import Any

from rap_plugin.samples.formats.base import ColumnChoice, Row, RowProblem
from rap_plugin.samples.formats.columns import IMAGES, is_image, plain_name
from rap_plugin.samples.formats.values import image_references, images_of

_USUAL = frozenset(map(plain_name, IMAGES))


def images_of_row(row: Row, columns: ColumnChoice) -> tuple[Any, ...]:
    """The image references in the chosen columns; where these are empty, in another column with a usual name.

    Raises RowProblem where no column was recognised in the first rows, and this row has images all the same: without them it
    would be another problem.
    """
    images = tuple(image for name in (columns.images, *columns.further_images) for image in images_of(row, name))
    if images or columns.images_given:
        return images
    others = [name for name in row if name not in (columns.question, columns.answer) and _all_images(row[name])]
    usual = next((name for name in others if plain_name(name) in _USUAL), None)
    if usual is not None:
        return image_references(row[usual])
    if others and columns.images is None:
        raise RowProblem(
            f"column {others[0]!r} holds an image, and in the first rows it did not; name it with --images"
        )
    return ()


def _all_images(value: Any) -> bool:
    if value is None or isinstance(value, (bool, int, float)):
        return False
    try:
        references = image_references(value)
    except RowProblem:
        return False
    return bool(references) and all(map(is_image, references))
