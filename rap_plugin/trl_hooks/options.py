"""The options of a selection as keyword arguments: the names of the configuration and of the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rap_plugin.cli.options import SHORT
from rap_plugin.config import RunConfig, load_config, option_names
from rap_plugin.errors import RapError

LEFT_OUT = (
    "execution.",  # the trainer's own process samples
    "model.id",
    "model.engine",
    "model.options",
    "plugins",
    "pool.format",
    "pool.image_root",
    "pool.images",
    "pool.path",
    "pool.question",
    "pool.split",
    "prompt.host_recipe",
    "prompt.instruction",  # prompts are the data set's own
    "prompt.system",
)
"""Options that the data set, the model and the trainer decide."""

RENAMED = {"ace.enabled": "measure_attention", "selection.seed": "selection_seed"}
"""Options whose last part is taken or says nothing alone."""

FROM_ARGS = {
    "sampling.temperature": "temperature",
    "sampling.top_p": "top_p",
    "sampling.max_new_tokens": "max_completion_length",
}
"""Options whose default is a field of the trainer's arguments."""

OUR_WORDS = {"--extend": "extend=True", "--out": "out", "--model": "model"}


def option_keywords() -> dict[str, str]:
    """Keyword by dotted option name: the flag of `rap select` where there is one, else the option's last part."""
    wanted = [name for name in option_names() if not name.startswith(LEFT_OUT)]
    return {
        name: RENAMED.get(name) or SHORT.get(name, name.rpartition(".")[2]).lstrip("-").replace("-", "_")
        for name in wanted
    }


def read_options(
    options: Mapping[str, Any], fixed: Mapping[str, Any], args: Any = None, path: str | Path | None = None
) -> RunConfig:
    """The configuration: `args` (a trainer's arguments) < a YAML file < keywords < what is `fixed`.

    Raises RapError for a keyword that is no option and for a value that its option does not take.
    """
    dotted = {keyword: name for name, keyword in option_keywords().items()}
    unknown = next((keyword for keyword in options if keyword not in dotted), None)
    if unknown is not None:
        near = get_close_matches(unknown, dotted, n=1, cutoff=0.5)
        raise RapError(
            f"unknown option {unknown}{f'; did you mean {near[0]}?' if near else ''} (docs/trl.md lists the options)"
        )
    of_trainer = {
        name: value for name, field in FROM_ARGS.items() if args is not None and (value := getattr(args, field, None))
    }
    given = {dotted[keyword]: value for keyword, value in options.items()}
    try:
        base = load_config(flags=of_trainer)
        return load_config(path, {**given, **fixed}, base=base)
    except RapError as error:
        raise RapError(in_our_words(str(error))) from None


def in_our_words(message: str) -> str:
    """A message of the pipeline with keywords in the place of flags."""
    keywords = option_keywords()
    for name, keyword in keywords.items():
        message = message.replace(f"option {name}:", f"option {keyword}:")
    flags = {SHORT[name]: keyword for name, keyword in keywords.items() if name in SHORT} | OUR_WORDS
    return re.sub(r"--[a-z][a-z-]*", lambda found: flags.get(found[0], found[0]), message)
