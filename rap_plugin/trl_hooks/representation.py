"""Which rows of a data set are alike to a model: labels for `follow(.., groups=)`, or a column for other trainers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from rap_plugin.errors import RapError
from rap_plugin.posterior.groups import cluster
from rap_plugin.rollout import Prompt, Sampling
from rap_plugin.trl_hooks.prompting import read_prompts
from rap_plugin.trl_hooks.select import SelectionSettings, open_engine

CHUNK = 256
"""Rows whose tensors are in memory at a time."""


def prompt_groups(
    dataset: Any,
    model: str | Path | Any,
    *,
    processing_class: Any = None,
    args: Any = None,
    groups: int = 32,
    seed: int = 0,
) -> list[int]:
    """A number per row, equal for rows whose prompts the model itself takes for alike: k-means over its state at their ends.

        followed = follow(dataset, args=args, groups=prompt_groups(dataset, model))

    `dataset`, `model`, `processing_class` and `args` are those of `select_dataset`. Costs one prefill a row. Rows of which no prompt can be made
    are a group of their own.
    """
    if groups < 1:
        raise RapError(f"groups={groups}: give a number of groups from 1")
    prompts = read_prompts(dataset, getattr(args, "chat_template_kwargs", None))
    prompts.rows = {str(row): row for row in range(len(dataset))}
    whole = Sampling(max_prompt_tokens=sys.maxsize)
    found: dict[int, Any] = {}
    settings = SelectionSettings(processing_class, args, None, False, True, {})
    with open_engine(model, settings, hashed=False) as engine:
        engine.prepare_prompt = prompts.prepare
        for start in range(0, len(dataset), CHUNK):
            rows = range(start, min(start + CHUNK, len(dataset)))
            states = engine.prompt_states([Prompt(str(row), "image", "") for row in rows], whole)
            found |= {row: state for row, state in zip(rows, states, strict=True) if state is not None}
    labels = np.full(len(dataset), -1)
    if found:
        labels[list(found)] = cluster(np.stack(list(found.values())).astype(float), groups, seed)
    numbers: list[int] = labels.tolist()
    return numbers
