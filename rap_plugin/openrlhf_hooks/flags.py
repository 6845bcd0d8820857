"""The `--rap.*` flags: every selection option of the configuration, under its own name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from rap_plugin.config import RunConfig, load_config
from rap_plugin.errors import RapError

PREFIX = "rap."

SECTIONS = ("sampling", "grading", "ace", "selection")
"""Sections whose options are all flags. The pool, the model and the prompts are the training run's own."""

OTHERS = ("prompt.blind", "model.batch_size", "pool.max_pixels")

RENAMED = {"ace.enabled": "measure_attention", "selection.seed": "selection_seed"}
"""Options whose last part is taken or says nothing alone."""

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

OUR_WORDS = {
    "--lambda-c": "--rap.lambda_c",
    "--lambda-a": "--rap.lambda_a",
    "--keep": "--rap.keep",
    "--rollouts": "--rap.rollouts",
    "--max-pixels": "--rap.max_pixels",
    "--extend": "--rap.extend",
    "--out": "--rap.run_dir",
    "--model": "--actor.model_name_or_path",
    "--images": "--data.image_key",
    "--question": "--data.input_key",
    "--answer": "--data.label_key",
    "`rap select --help`": "--help",
    "rap select --help": "--help",
    "`rap select`": "the same command",
}
"""How messages of the pipeline name things, and what these are called here."""


def option_flags() -> dict[str, str]:
    """Flag (with its prefix) by dotted option name, in the order of the configuration."""
    wanted = [f"{section}.{field}" for section in SECTIONS for field in _fields(section)]
    wanted = [name for name in [*wanted, *OTHERS] if name not in LEFT_OUT]
    return {name: PREFIX + RENAMED.get(name, name.split(".")[1]) for name in wanted}


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
        f"--{PREFIX}select_only", action="store_true", default=False, help="stop after the selection, before training"
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
    for name, flag in option_flags().items():
        info = _field(name)
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
    try:
        return load_config(flags=values)
    except RapError as error:
        raise RapError(in_our_words(str(error))) from None


def in_our_words(message: str) -> str:
    """A message of the pipeline with the names that this command has for its options."""
    for theirs, ours in OUR_WORDS.items():
        message = message.replace(theirs, ours)
    for name, flag in option_flags().items():
        message = message.replace(f"option {name}:", f"--{flag}:")
    return message


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _fields(section: str) -> dict[str, FieldInfo]:
    kind: Any = RunConfig.model_fields[section].annotation
    fields: dict[str, FieldInfo] = kind.model_fields
    return fields


def _field(name: str) -> FieldInfo:
    section, field = name.split(".")
    return _fields(section)[field]


def _help(name: str, info: FieldInfo) -> str:
    text = info.description or name.split(".")[1].replace("_", " ")
    if name in FROM_RUN:
        default = f"that of {FROM_RUN[name]}"
    elif isinstance(info.default, bool):
        default = "on" if info.default else "off"
    elif isinstance(info.default, tuple):
        default = " ".join(map(str, info.default))
    else:
        default = "" if info.default in (None, "") else str(info.default)
    return f"{text} [{default}]".replace("%", "%%") if default else text.replace("%", "%%")
