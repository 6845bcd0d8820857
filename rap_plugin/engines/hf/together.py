"""Several texts with their pictures through the processor in one call, where that gives the numbers of one call each.

A call has a fixed cost (options checked, templates, tokenizer) that is most of it for small pictures. What comes back is taken apart
again; the first time it is compared with a call for each, and where they differ every text is read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Piece = tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]
"""Tokens (L,) of one text, further numbers for each of them, and visual inputs."""

NOT_SHOWN = ("input_ids", "attention_mask", "labels")
"""What a model's forward gets in another way, or not: some processors make targets, which would ask for a loss."""

MOST_PIXELS = 2**22
"""Pixels up to which pictures are read in one call: beyond, the work is in the pixels, and memory would be for nothing."""

GRID = "image_grid_thw"
"""Where a processor gives this, pictures of all sizes stand behind each other, as rows of patches."""


def read_together(
    known: dict[str, bool],
    kind: str,
    processor: Any,
    pictures: Sequence[Sequence[Any]],
    many: Callable[[], Mapping[str, Any]],
    one: Callable[[int], Piece],
) -> list[Piece] | None:
    """One piece for each text, each with its `pictures`, from one call `many`; None where each is to be read by itself.

    `one(at)` reads a text by itself. What was seen of the processor is kept in `known` by `kind`.
    """
    works = known.get(kind)
    if works is False or len(pictures) < 2 or not _fit(processor, pictures):
        return None
    try:
        pieces = _apart(many(), [len(own) for own in pictures])
        if works is None:
            works = all(_same(pieces[at], one(at)) for at in (0, len(pieces) - 1))
    except Exception:  # a text that cannot be read is told by its own call
        works = bool(works)
        pieces = []
    known[kind] = works
    return pieces if works and pieces else None


def _fit(processor: Any, pictures: Sequence[Sequence[Any]]) -> bool:
    """Whether no picture would be padded to the size of another, nor memory be spent for nothing."""
    sizes = [picture.size for own in pictures for picture in own]
    names = getattr(processor, "model_input_names", ())
    return (len(set(sizes)) < 2 or GRID in names) and sum(width * height for width, height in sizes) <= MOST_PIXELS


def _apart(inputs: Mapping[str, Any], pictures: Sequence[int]) -> list[Piece]:
    """What belongs to each text. Raises ValueError where that cannot be told."""
    ids, there = inputs["input_ids"], inputs["attention_mask"].bool()
    pieces: list[Piece] = [(row[own], {}, {}) for row, own in zip(ids, there, strict=True)]
    for name, value in inputs.items():
        if value is None or name in NOT_SHOWN:
            continue
        value = torch.as_tensor(value)
        if value.shape == ids.shape and not value.is_floating_point():
            for (_, along, _), row, own in zip(pieces, value, there, strict=True):
                along[name] = row[own]
            continue
        shares = _shares(value, inputs.get(GRID), pictures)
        for (_, _, visual), part, count in zip(pieces, value.split(shares), pictures, strict=True):
            if count:
                visual[name] = part
    return pieces


def _shares(value: Tensor, grid: Tensor | None, pictures: Sequence[int]) -> list[int]:
    if len(value) == sum(pictures):
        return list(pictures)
    if grid is not None and len(grid) == sum(pictures) and len(value) == int(grid.prod(-1).sum()):
        return [int(part.sum()) for part in grid.prod(-1).split(list(pictures))]
    raise ValueError("one row for each picture was expected")


def _same(one: Piece, other: Piece) -> bool:
    pairs = [({"ids": one[0]}, {"ids": other[0]}), (one[1], other[1]), (one[2], other[2])]
    return all(
        mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine) for mine, its in pairs
    )
