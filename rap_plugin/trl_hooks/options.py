"""The options of a selection as keyword arguments: the names of the configuration and of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig, load_config, option_names
from rap_plugin.errors import RapError, Spelling
from rap_plugin.hosts.options import short_names, spelled, spelling_of

LEFT_OUT = (
    "r3.",  # of `rap r3`
    "execution.",  # the trainer's own process samples
    "model.id",
    "model.engine",
    "model.max_pixels",  # how large the model sees an image is up to the trainer's own processor
    "model.min_pixels",
    "model.options",
    "plugins",
    "pool.format",
    "pool.image_root",
    "pool.images",
    "pool.own_instruction",
    "pool.path",
    "pool.question",
    "pool.split",
    "prompt.host_recipe",
    "prompt.instruction",  # prompts are the data set's own
    "prompt.system",
    "prompt.template_options",
)
"""Options that the data set, the model and the trainer decide."""

FROM_ARGS = {
    "sampling.temperature": "temperature",
    "sampling.top_p": "top_p",
    "sampling.max_new_tokens": "max_completion_length",
}
"""Options whose default is a field of the trainer's arguments."""

OTHER_NAMES = {
    "config": "config",
    "extend": "extend=True",
    "model.id": "model",
    "out": "out",
    "pool.path": "the data set",
    "rap select": "the same call",
    "rap select --help": "docs/trl.md",
}
"""What errors of the pipeline name, and the word for it here, where it is no keyword of the same name."""


def option_keywords() -> dict[str, str]:
    """Keyword by dotted option name."""
    return short_names(name for name in option_names() if not name.startswith(LEFT_OUT))


def spelling() -> Spelling:
    """Options as keywords."""
    return spelling_of(option_keywords() | OTHER_NAMES)


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
    of_trainer |= {"selection.size_minimum": prompts_per_batch(args)}
    given = {dotted[keyword]: value for keyword, value in options.items()}
    with spelled(spelling()):
        base = load_config(flags=of_trainer)
        config = load_config(path, {**given, **fixed}, base=base)
    if config.model.min_pixels is not None or config.model.max_pixels is not None:
        raise RapError(
            "model.min_pixels and model.max_pixels are up to the trainer's processor here; take them out of the "
            "configuration and give select_dataset the same processing_class as the trainer"
        )
    return config


def prompts_per_batch(args: Any) -> int:
    """Rows of one generation batch of a trainer, below which it makes no step; 0 where the arguments say nothing."""
    responses, each = getattr(args, "generation_batch_size", None), getattr(args, "num_generations", None)
    return responses // each if responses and each else 0
