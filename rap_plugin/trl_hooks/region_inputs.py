"""The tensors of turns with crops inside them, as TRL's trainers and their collators hand them to a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError

if TYPE_CHECKING:
    from torch import Tensor

    from rap_plugin.engines.hf.turns import TurnInputs

PER_TOKEN = ("mm_token_type_ids", "token_type_ids")
"""Inputs with one number a token."""

PER_IMAGE = ("pixel_values", "image_grid_thw", "image_sizes", "image_position_ids")
"""Inputs whose first axis counts images, tiles or patches, in the order of the rows' images."""


@dataclass(frozen=True)
class TurnFields:
    """Rows of a batch, of which the first `lengths` tokens are the prompt; None for a row that has no turn."""

    turns: Sequence[TurnInputs | None]
    lengths: Sequence[int]
    images: Sequence[int]
    """How many images each row has, prompt and turn together."""

    def tensors(self, prompt_width: int, turn_width: int) -> dict[str, Any]:
        """Everything but token ids and masks, for prompts padded in front and turns padded behind to these widths.

        Beside tensors there are `num_images`, and `num_tiles` where an image has several tiles: the number of each row's.
        """
        import torch

        there = [turn for turn in self.turns if turn is not None]
        visual = joined(there)
        fields: dict[str, Any] = dict(visual)
        for name in sorted({name for turn in there for name in turn.inputs.aligned}):
            _known(name, PER_TOKEN)
            rows = torch.zeros((len(self.turns), prompt_width + turn_width), dtype=torch.long)
            for at, (turn, length) in enumerate(zip(self.turns, self.lengths, strict=True)):
                if turn is not None and name in turn.inputs.aligned:
                    values = turn.inputs.aligned[name]
                    rows[at, prompt_width - length : prompt_width - length + len(values)] = values
            fields[name] = rows
        if not visual:
            return fields
        fields["num_images"] = list(self.images)
        pixels = visual["pixel_values"]
        if "image_grid_thw" not in visual and len(pixels) != sum(fields["num_images"]):
            fields["num_tiles"] = [
                0 if turn is None else len(turn.inputs.visual.get("pixel_values", ())) for turn in self.turns
            ]
        return fields


def joined(turns: Sequence[TurnInputs]) -> dict[str, Tensor]:
    """The visual inputs of all rows, in order. Raises RapError for a model whose inputs are not known here."""
    import torch

    names = sorted({name for turn in turns for name in turn.inputs.visual})
    for name in names:
        _known(name, PER_IMAGE)
    return {
        name: torch.cat([turn.inputs.visual[name] for turn in turns if name in turn.inputs.visual]) for name in names
    }


def _known(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise RapError(f"models that take {name} cannot be trained on regions; there are {', '.join(names)}")
