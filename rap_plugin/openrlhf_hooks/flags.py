"""The `--rap.*` flags: every selection option of the configuration, under its own name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from rap_plugin.config import UNREADABLE, RunConfig, field_of, load_config, option_names
from rap_plugin.errors import Spelling
from rap_plugin.hosts.options import short_names, spelled, spelling_of
from rap_plugin.posterior.attention import NAMES, AttentionTest

PREFIX = "rap."

SECTIONS = ("sampling", "grading", "ace", "selection")
"""Sections whose options are all flags. The pool, the model and the prompts are the training run's own."""

OTHERS = (
    "prompt.blind",
    "model.batch_size",
    "execution.tokens_in_flight",
    "execution.answer_within_s",
    "pool.max_pixels",
    "storage.evidence",
    "storage.local_dir",
    "storage.snapshots",
    "storage.snapshot_s",
)

FOLLOW = {
    "half_life": ("STEPS", "rollout batches after which a rollout counts half [100]"),
    "strength": ("ROLLOUTS", "rollouts that a group's rate counts for in a sample's posterior [2]"),
    "explore": ("SHARE", "share of a batch for the rows not asked for longest [0.1]"),
    "image_weight": ("SHARE", "what a row loses that is right as often without its image [0.5]"),
    "headroom": ("EXPONENT", "how much more a row is asked where more is left to learn: of 1 - its success [0]"),
    "renew": ("SHARE", "responses without the image that a batch adds, as a share of its own [0]"),
    "renew_attention": ("SHARE", "share of a batch's own responses whose attention is measured [0]"),
    "attention_weight": ("SHARE", "what a row loses whose responses are all attention-biased [0]"),
    "right_at": ("SCORE", "score from which a response counts as right [0.5]"),
}
"""Numbers of `--rap.follow`: what help shows for them."""

OF_TRAINING = (
    *("contrastive", "contrastive_coefficient", "contrastive_sampled_by", "contrastive_key"),
    *("follow", "follow_groups", *(f"follow_{name}" for name in FOLLOW)),
)
"""Flags that change the training and not its rows, with a data filter or without."""

OF_ATTENTION = ("follow_renew_attention", "follow_attention_weight")
"""Flags that following needs psi for. With one of them psi's own options need no data filter."""

LEFT_OUT = {"selection.selector"}
"""The selector is the value of `--data_filter` itself."""

FROM_RUN = {
    "sampling.temperature": "--rollout.temperature",
    "sampling.top_p": "--rollout.top_p",
    "sampling.max_new_tokens": "--rollout.max_new_tokens",
    "sampling.max_prompt_tokens": "--data.max_len",
    "sampling.seed": "--train.seed",
    "grading.grader": "--reward.remote_url",
}
"""Options whose default is the training run's setting."""

FROM_BATCHES = ("selection.size_multiple", "selection.size_minimum")

OTHER_NAMES = {
    "extend": "--rap.extend",
    "model.id": "--actor.model_name_or_path",
    "out": "--rap.run_dir",
    "plugins": "--rap.plugin",
    "pool.answer": "--data.label_key",
    "pool.images": "--data.image_key",
    "pool.path": "--data.prompt_dataset",
    "pool.question": "--data.input_key",
    "pool.split": "--data.prompt_split",
    "rap select": "the same command",
    "rap select --help": "--help",
    "selection.selector": "--data_filter",
}
"""What errors of the pipeline name, and this command's word for it, where it is no `--rap.` flag of the same name."""


def option_flags() -> dict[str, str]:
    """Flag (with its prefix) by dotted option name, in the order of the configuration."""
    of_sections = [name for section in SECTIONS for name in option_names() if name.startswith(f"{section}.")]
    wanted = [name for name in [*of_sections, *OTHERS] if name not in LEFT_OUT]
    return {name: PREFIX + short for name, short in short_names(wanted).items()}


def spelling() -> Spelling:
    """Options as flags of this command."""
    return spelling_of({name: f"--{flag}" for name, flag in option_flags().items()} | OTHER_NAMES)


def add_flags(parser: argparse.ArgumentParser, selectors: Mapping[str, Any]) -> None:
    """Adds `--data_filter` and the `--rap.*` flags as a group of their own."""
    group = parser.add_argument_group("data filter (rap-plugin)")
    group.add_argument(
        "--data_filter",
        default=None,
        metavar="NAME",
        help=f"train on the rows that this selector chooses: {', '.join(sorted(selectors))}, or one of a plugin",
    )
    group.add_argument(
        f"--{PREFIX}run_dir",
        default=None,
        metavar="DIR",
        help="folder of the evidence, the selection and the report; one that exists is continued [ckpt.output_dir/rap]",
    )
    group.add_argument(
        f"--{PREFIX}rows_dir",
        default=None,
        metavar="DIR",
        help="folder of the rows that the trainer reads, on a file system that every node sees [run_dir]",
    )
    group.add_argument(
        f"--{PREFIX}select_only", action="store_true", default=False, help="stop after the selection, before training"
    )
    group.add_argument(
        f"--{PREFIX}dry_run",
        action="store_true",
        default=False,
        help="print how many responses, rows and optimizer steps this command makes, and stop before Ray starts",
    )
    group.add_argument(
        f"--{PREFIX}extend",
        action="store_true",
        default=False,
        help="add evidence of another model, prompt or sampling to run_dir",
    )
    group.add_argument(
        f"--{PREFIX}plugin", default=None, nargs="+", metavar="FILE", help="plugin files, as in my_selector.py"
    )
    group.add_argument(
        f"--{PREFIX}contrastive",
        default=None,
        metavar="FORM",
        help="add the contrastive loss of the modality-gap work to the policy loss: k3, forward_kl or nll",
    )
    group.add_argument(
        f"--{PREFIX}contrastive_coefficient", type=float, default=None, metavar="WEIGHT", help="weight of it [0.01]"
    )
    group.add_argument(
        f"--{PREFIX}contrastive_sampled_by",
        default=None,
        metavar="WHO",
        help="whose prompt responses are sampled on: teacher (the facts in words) or student [teacher]",
    )
    group.add_argument(
        f"--{PREFIX}contrastive_key",
        default=None,
        metavar="COLUMN",
        help="column of the other prompt; rows without one are no part of the loss [contrastive_prompt]",
    )
    group.add_argument(
        f"--{PREFIX}follow",
        action="store_true",
        default=False,
        help="choose the rows of every rollout batch anew, by the rewards of those before it",
    )
    group.add_argument(
        f"--{PREFIX}follow_groups",
        default=None,
        metavar="COLUMN",
        help="rows that are alike in it share what is known of them [the wording of the prompt]",
    )
    for name, (shown, text) in FOLLOW.items():
        group.add_argument(f"--{PREFIX}follow_{name}", type=float, default=None, metavar=shown, help=text)
    for name, flag in option_flags().items():
        info = field_of(name)
        group.add_argument(
            f"--{flag}",
            default=None,
            nargs=2 if isinstance(info.default, tuple) else None,
            metavar=flag.removeprefix(PREFIX).upper() if not isinstance(info.default, tuple) else ("FROM", "TO"),
            help=_help(name, info),
        )


def given_flags(values: Mapping[str, Any]) -> list[str]:
    """The `--rap.*` flags that the user gave, of a parsed flat namespace."""
    return [f"--{name}" for name, value in values.items() if name.startswith(PREFIX) and value not in (None, False)]


def read_config(selector: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> RunConfig:
    """The run's configuration: `defaults` (dotted names) < the flags in `given` (names without the prefix).

    Raises RapError for a value that its option does not take.
    """
    values: dict[str, Any] = dict(defaults)
    for name, flag in option_flags().items():
        text = given.get(flag.removeprefix(PREFIX))
        if text is not None:
            values[name] = [_value(part) for part in text] if isinstance(text, list) else _value(text)
    values["selection.selector"] = selector
    values["plugins"] = list(given.get("plugin") or [])
    with spelled(spelling()):
        return load_config(flags=values)


def psi_flags() -> list[str]:
    """The flags (without prefix) that say what psi is, and when it is too high."""
    flags = option_flags()
    return [flags[name].removeprefix(PREFIX) for name in NAMES]


def attention_test(given: Mapping[str, Any]) -> AttentionTest | None:
    """The test that following puts responses to; None where no flag asks for one. Raises RapError for a value that its option does not take."""
    if all(given[name] is None for name in OF_ATTENTION):
        return None
    named = zip(NAMES, psi_flags(), strict=True)
    values = {name: _value(given[flag]) for name, flag in named if given[flag] is not None}
    with spelled(spelling()):
        return AttentionTest.of(load_config(flags=values))


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except UNREADABLE:
        return text


def _help(name: str, info: FieldInfo) -> str:
    text = info.description or name.split(".")[1].replace("_", " ")
    if name in FROM_RUN:
        default = f"that of {FROM_RUN[name]}"
    elif name in FROM_BATCHES:
        default = "what the batch sizes need"
    elif isinstance(info.default, bool):
        default = "on" if info.default else "off"
    elif isinstance(info.default, tuple):
        default = " ".join(map(str, info.default))
    else:
        default = "" if info.default in (None, "") else str(info.default)
    return f"{text} [{default}]".replace("%", "%%") if default else text.replace("%", "%%")
