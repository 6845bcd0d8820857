"""What of verl this room leans on, name by name, so that a moved one is found before training starts."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rap_plugin.errors import RapError

TESTED = ("0.9.1",)
"""Versions that the tests drive. Others run if nothing below has moved."""

_DATASET = "verl.utils.dataset.rl_dataset:RLHFDataset"
_TRAINER = "verl.trainer.ppo.v1.trainer_base:PPOTrainer"
_BUFFER = "verl.trainer.ppo.v1.replay_buffer:ReplayBuffer"

Leans = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""module:name -> (parameters that are used, names that its code still has to use)"""

DATASET: Leans = {
    f"{_DATASET}.__init__": (
        ("data_files", "tokenizer", "config", "processor", "max_samples"),
        ("_read_files_and_tokenize", "filter_overlong_prompts", "shuffle", "seed"),
    ),
    f"{_DATASET}._read_files_and_tokenize": ((), ("max_samples", "dataframe", "maybe_filter_out_long_prompts")),
    f"{_DATASET}.maybe_filter_out_long_prompts": (("dataframe",), ("filter_overlong_prompts",)),
}
"""What `RapDataset` overrides and relies on."""

TRAINER: Leans = {
    f"{_TRAINER}._build_replay_buffer": ((), ("custom_sampler", "_add_prompts_to_generate")),
    f"{_TRAINER}._init_dataloader": ((), ("train_dataset", "create_rl_dataset", "create_rl_sampler")),
    f"{_BUFFER}.sample": (("global_steps", "partition_id", "batch_size"), ("_evict_terminal_groups",)),
    f"{_BUFFER}._evict_terminal_groups": (("global_steps", "partition_id", "eviction_reasons"), ("_clear_groups",)),
    "transfer_queue:kv_batch_get": (("keys", "partition_id", "select_fields"), ()),
}
"""What `RapReplayBuffer` wraps and reads."""


def moved(leans: Leans) -> list[str]:
    """Everything of the installed verl that is not as it is expected; empty for a version that fits."""
    return [problem for name, wanted in leans.items() if (problem := _check(name, *wanted))]


def require(leans: Leans) -> None:
    """Raises RapError, one line, that names the first thing that moved and the way around it."""
    problems = moved(leans)
    if not problems:
        return
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise RapError(
        f"verl {installed()} does not fit rap_plugin.verl_hooks (tested: {', '.join(TESTED)}): {problems[0]}{more}; "
        "train on what `rap export RUN --to verl` writes, without data.custom_cls, or install a tested version"
    )


def installed() -> str:
    """The installed version."""
    try:
        return version("verl")
    except PackageNotFoundError:
        return "of an unknown version"


def _check(name: str, parameters: tuple[str, ...], uses: tuple[str, ...]) -> str | None:
    module, _, path = name.partition(":")
    shown = name.replace(":", ".")
    try:
        thing: Any = importlib.import_module(module)
        for part in path.split("."):
            thing = getattr(thing, part)
        there = inspect.signature(thing).parameters
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return f"{shown} is gone ({error})"
    for parameter in parameters:
        if parameter not in there:
            return f"{shown} has no parameter {parameter!r}"
    names = _names(inspect.unwrap(thing).__code__)
    return next((f"{shown} no longer uses {word!r}" for word in uses if word not in names), None)


def _names(code: Any) -> set[str]:
    """Every name and text in a function's code, and in the functions inside it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, str):
            found.add(constant)
        elif isinstance(constant, tuple):
            found.update(part for part in constant if isinstance(part, str))
        elif inspect.iscode(constant):
            found |= _names(constant)
    return found
