"""The rows that a training follows: which are alike, what tells them from other rows, and whether a run is about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.hosts.pool import questions
from rap_plugin.posterior.following import wording_of
from rap_plugin.samples.sample import IMAGE
from rap_plugin.trl_hooks.rewards import question_of


def labels_of(dataset: Any, groups: str | Sequence[object] | None) -> list[object]:
    """What rows share strength by: a column, a label per row, or the wording of their prompts. Raises RapError."""
    if isinstance(groups, str):
        if groups not in dataset.column_names:
            raise RapError(
                f"groups={groups!r}: the data set has no such column; columns: {', '.join(dataset.column_names)}"
            )
        return list(_plain(dataset)[groups])
    if groups is not None:
        try:
            labels = list(groups)
        except TypeError:
            raise RapError(f"groups={groups!r}: give a column's name, or a label per row") from None
        if len(labels) != len(dataset):
            raise RapError(f"groups: {len(labels)} labels for {len(dataset)} rows")
        return labels
    return [wording_of(_text(prompt)) for prompt in _plain(dataset)["prompt"]]


def fingerprint(dataset: Any) -> str:
    """Of the prompts and the other texts and numbers of all rows, in their order. Images are no part of it."""
    import datasets

    rows = dataset.with_format(None)
    plain = [
        name for name, kind in rows.features.items() if isinstance(kind, datasets.Value) and kind.dtype != "binary"
    ]
    digest = hashlib.blake2b(digest_size=16)
    for batch in rows.select_columns(sorted({*plain, "prompt"} & set(rows.column_names))).iter(1024):
        digest.update(json.dumps(batch, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def require_rows_of_run(dataset: Any, run: Path) -> None:
    """Raises RapError where a run asked the questions of these rows in other places, so that its evidence is of others.

    A question that no row asks says nothing: a run may have put it in other words. Nor does a run without its evidence.
    """
    here = [_question(question_of(prompt)) for prompt in _plain(dataset)["prompt"]]
    known = set(here)
    for row, question in questions(run).items():
        asked = _question(question)
        if asked in known and (row >= len(here) or here[row] != asked):
            raise RapError(
                f"{run}: its row {row} asks {asked[:60]!r}, which is another row of this data set; give follow the "
                "rows that the run was made from, in their order"
            )


def _question(text: str) -> str:
    return " ".join(text.replace(IMAGE, " ").split())


def _plain(dataset: Any) -> Any:
    """Without a format that makes tensors of numbers; a transform of the user's own stays."""
    return dataset if dataset.format["type"] == "custom" else dataset.with_format(None)


def _text(prompt: Any) -> str:
    """The words of a prompt, a text or messages."""
    if isinstance(prompt, str):
        return prompt
    parts = []
    for message in prompt or ():
        content = message.get("content")
        content = content if isinstance(content, list) else [{"text": content}]
        parts += [str(part.get("text") or "") for part in content]
    return " ".join(parts)
