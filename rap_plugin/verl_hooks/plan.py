"""What a command of verl or EasyR1 comes to, before anything starts: `python -m rap_plugin.verl_hooks.plan verl RUN WORD ..`

The words are those of the host's command, `name=value`, of which the last one counts; EasyR1's also names its file, `config=FILE`.
Neither host has to be installed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rap_plugin.config import UNREADABLE, read_yaml
from rap_plugin.errors import RapError, one_line
from rap_plugin.hosts.epochs import EpochPlan, describe_plan

NAMES = {
    "verl": {
        "batch": "data.train_batch_size",
        "samples": "actor_rollout_ref.rollout.n",
        "mini_batch": "actor_rollout_ref.actor.ppo_mini_batch_size",
        "passes": "actor_rollout_ref.actor.ppo_epochs",
        "epochs": "trainer.total_epochs",
        "most": "trainer.total_training_steps",
    },
    "easyr1": {
        "batch": "data.rollout_batch_size",
        "samples": "worker.rollout.n",
        "mini_batch": "worker.actor.global_batch_size",
        "passes": "worker.actor.ppo_epochs",
        "epochs": "trainer.total_epochs",
        "most": "trainer.max_steps",
    },
}
"""The hosts' names of what an `EpochPlan` needs."""

FILLS = {"verl": True, "easyr1": False}
"""Whether the data set is brought up to one batch: ours is, EasyR1 has no place for one of ours."""


def main(arguments: Sequence[str]) -> None:
    """Prints the plan. Ends with one line on stderr where it cannot be made."""
    try:
        host, run, *words = arguments
        names = NAMES[host]
    except (ValueError, KeyError):
        sys.exit(f"usage: python -m rap_plugin.verl_hooks.plan {'|'.join(NAMES)} RUN WORD ..")
    try:
        plan = read_plan(names, words)
        print("\n".join(f"rap: {line}" for line in describe_plan(Path(run), plan, fills=FILLS[host])))
    except RapError as error:
        sys.exit(f"rap: {error}")


def read_plan(names: Mapping[str, str], words: Sequence[str]) -> EpochPlan:
    """The plan in the words of a command. Raises RapError for a number that is missing or none."""
    given: dict[str, Any] = {}
    for word in words:
        key, _, text = word.partition("=")
        if key == "config":
            given.update(_flat(read_yaml(Path(text), "`data:`")))
        else:
            try:
                given[key.lstrip("+")] = yaml.safe_load(text) if text else None
            except UNREADABLE as error:
                raise RapError(f"{key}: the value is not YAML ({one_line(error)})") from None
    numbers: dict[str, int] = {}
    for field, name in names.items():
        value = given.get(name)
        if value is None and field in ("passes", "most"):
            continue
        if not isinstance(value, int) or value < 1:
            raise RapError(f"{name}: {'is missing' if value is None else f'{value!r} is no number of at least 1'}")
        numbers[field] = value
    return EpochPlan(**numbers)


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {prefix.rstrip("."): content}
    found: dict[str, Any] = {}
    for name, value in content.items():
        found.update(_flat(value, f"{prefix}{name}."))
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
