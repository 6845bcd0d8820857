"""Supervised fine-tuning on interleaved turns with TRL's SFTTrainer: the collator that makes its batches.

SFTTrainer(model=model, args=SFTConfig(..., **SFT_SETTINGS), train_dataset=rows,
           data_collator=RegionCollator(processor, model), processing_class=processor)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError
from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.trl_hooks.region_inputs import PER_TOKEN, joined
from rap_plugin.vlm_r3.interleaved import read_interleaved

if TYPE_CHECKING:
    from torch import Tensor

    from rap_plugin.engines.hf.turns import TurnInputs

SFT_SETTINGS: dict[str, Any] = {
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "remove_unused_columns": False,
    "max_length": None,
}
"""What SFTConfig has to say, so that rows reach the collator as they are and no crop is cut off."""

IGNORED = -100
"""Label of a token that is not learned."""


class RegionCollator:
    """Rows of `vlm_r3.interleaved` -> a batch whose labels are the tokens of the segments, all else ignored.

    Ignored are the prompt, the crops, and padding. `network` tells where positions and image tokens go; no weights are used. Rows that
    are longer than `max_tokens`, or cannot be read, raise RapError: check a data set with `problems` before training.
    """

    def __init__(
        self, processor: Any, network: Any, *, root: str | Path | None = None, max_tokens: int = 16_384
    ) -> None:
        self._processor, self._network = processor, network
        self._root = None if root is None else Path(root)
        self._max_tokens = max_tokens

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        turns = []
        for row in rows:
            turn, problem = self._read(row)
            if turn is None:
                raise RapError(f"a row cannot be trained on: {problem}; leave out what RegionCollator.problems names")
            turns.append(turn)
        return collate(turns, self._processor.tokenizer.pad_token_id)

    def problems(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, str]:
        """The rows that cannot be trained on, by number, each with the reason."""
        found = {}
        for number, row in enumerate(rows):
            _, problem = self._read(row)
            if problem:
                found[number] = problem
        return found

    def _read(self, row: Mapping[str, Any]) -> tuple[TurnInputs | None, str]:
        from rap_plugin.engines.hf.chat import prepare
        from rap_plugin.engines.hf.turns import turn_inputs

        try:
            read = read_interleaved(row, self._root)
            turn = read.turn(self._processor.tokenizer)
            prompt = prepare(turn.prompt, self._processor, self._network)
            made = turn_inputs(turn, prompt, self._processor, self._network)
        except (RowProblem, ValueError) as error:
            return None, str(error)
        if made.inputs.length > self._max_tokens:
            return None, f"it has {made.inputs.length} tokens, the limit is {self._max_tokens}"
        return made, ""


def collate(turns: Sequence[TurnInputs], pad: int | None) -> dict[str, Tensor]:
    """input_ids, attention_mask and labels (B, L), padded behind, and the visual inputs of all rows in order."""
    import torch

    width = max(turn.inputs.length for turn in turns)
    shape = (len(turns), width)
    batch = {
        "input_ids": torch.full(shape, pad or 0, dtype=torch.long),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "labels": torch.full(shape, IGNORED, dtype=torch.long),
    }
    for name in sorted({name for turn in turns for name in turn.inputs.aligned}):
        if name not in PER_TOKEN:
            raise RapError(f"models that take {name} cannot be trained on regions; there are {', '.join(PER_TOKEN)}")
        batch[name] = torch.zeros(shape, dtype=torch.long)
    for at, turn in enumerate(turns):
        length = turn.inputs.length
        batch["input_ids"][at, :length] = turn.inputs.ids
        batch["attention_mask"][at, :length] = 1
        batch["labels"][at, :length] = torch.where(turn.sampled, turn.inputs.ids, IGNORED)
        for name, values in turn.inputs.aligned.items():
            batch[name][at, :length] = values
    return {**batch, **joined(turns)}
