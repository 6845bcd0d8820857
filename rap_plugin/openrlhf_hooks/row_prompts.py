"""Prompts that know their row: how a row's number, and its other prompt, reach what OpenRLHF makes of a prompt.

OpenRLHF hands on a row's prompt, label and images, no other column. A rollout comes back with the very prompt that went out,
and `Experience` keeps it up to the actor's training step, so it is the prompt that carries the rest.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.openrlhf_hooks.dataset import read_dataset


class RowPrompt(str):
    """A prompt as any other text, with the number of its row and the row's other prompt, None where it has none."""

    row: int
    other: str | None

    def __new__(cls, text: str, row: int, other: str | None = None) -> RowPrompt:
        made = super().__new__(cls, text)
        made.row, made.other = row, other
        return made

    def __getnewargs__(self) -> tuple[str, int, str | None]:  # type: ignore[override]  # what pickle calls __new__ with
        return str(self), self.row, self.other


def mark_prompts(prompts: Any, args: SimpleNamespace, tokenizer: Any, other_key: str | None) -> None:
    """Gives every prompt of a `PromptDataset` its row, and what `other_key` holds there, rendered as OpenRLHF renders prompts."""
    others: list[str | None] = [None] * len(prompts.prompts)
    if other_key is not None:
        column = require_column(read_dataset(args), other_key)
        others = [_rendered(given, args, tokenizer) for given in column]
    prompts.prompts = [
        RowPrompt(text, row, other) for row, (text, other) in enumerate(zip(prompts.prompts, others, strict=True))
    ]


def require_column(rows: Any, other_key: str) -> Any:
    """The column of the other prompts. Raises RapError where there is none."""
    if other_key not in rows.column_names:
        raise RapError(
            f"--rap.contrastive: no column {other_key!r} in --data.prompt_dataset; columns: {', '.join(rows.column_names)}; "
            "name it with --rap.contrastive_key, or prepare the data with `rap modality-gap prepare --condition contrastive`"
        )
    return rows[other_key]


def _rendered(given: Any, args: SimpleNamespace, tokenizer: Any) -> str | None:
    from openrlhf.datasets.prompts_dataset import preprocess_data

    if not given:
        return None
    key = args.data.input_key
    chat = tokenizer.apply_chat_template if args.data.apply_chat_template else None
    text, _ = preprocess_data({key: given}, args.data.input_template, key, None, chat)
    return str(text)
