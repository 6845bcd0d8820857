"""What of OpenRLHF the data filter leans on, name by name, so that a moved one is found before training starts."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rap_plugin.errors import RapError

TESTED = ("0.11.2",)
"""Versions that the tests drive. Others run if nothing below has moved."""

ENGINES = "openrlhf.trainer.ray.vllm_engine"

ARGUMENTS = (
    "actor.model_name_or_path",
    "ckpt.output_dir",
    "data.apply_chat_template",
    "data.disable_fast_tokenizer",
    "data.image_key",
    "data.input_key",
    "data.input_template",
    "data.label_key",
    "data.max_images_per_prompt",
    "data.max_len",
    "data.max_samples",
    "data.prompt_dataset",
    "data.prompt_probs",
    "data.prompt_split",
    "reward.remote_url",
    "rollout.max_new_tokens",
    "rollout.n_samples_per_prompt",
    "rollout.temperature",
    "rollout.top_p",
    "train.agent_func_path",
    "train.batch_size",
    "train.seed",
    "use_ms",
    "vllm.enable_sleep",
    "vllm.num_engines",
)
"""Flags of the PPO command whose values are read."""

CALLS: Mapping[str, tuple[str, ...]] = {
    f"{ENGINES}:create_vllm_engines": (),
    f"{ENGINES}:batch_vllm_engine_call": ("engines", "method_name"),
    "openrlhf.datasets.utils:blending_datasets": (
        "datasets",
        "probabilities",
        "strategy",
        "seed",
        "max_count",
        "dataset_split",
    ),
    "openrlhf.datasets.prompts_dataset:preprocess_data": (
        "data",
        "input_template",
        "input_key",
        "label_key",
        "apply_chat_template",
    ),
    "openrlhf.trainer.ppo_trainer:prepare_datasets": ("strategy", "tokenizer"),
    "openrlhf.utils.agent:AgentExecutorBase.execute": (
        "prompt",
        "label",
        "sampling_params",
        "max_length",
        "hf_tokenizer",
        "llm_engine",
        "images",
    ),
    "openrlhf.utils.utils:get_tokenizer": ("pretrain", "model", "padding_side", "strategy", "use_fast"),
    "openrlhf.utils.vlm_utils:load_images": ("image_refs",),
    "openrlhf.utils.vlm_utils:process_prompt_with_images": ("processor", "prompt", "images"),
}
"""Functions that are called or waited for, with the parameters that are used."""

ACTOR: Mapping[str, tuple[str, ...]] = {
    "__init__": ("args", "kwargs", "agent_func_path", "remote_rm_url"),
    "generate": ("prompt_token_ids", "sampling_params", "multi_modal_data"),
    "sleep": (),
    "wake_up": (),
}
"""Methods of the class behind `RolloutRayActor`, with the parameters that are used."""


@dataclass(frozen=True)
class Moved:
    """One thing that is not where it was."""

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


def actor_class() -> type:
    """The Python class behind the Ray actor `RolloutRayActor`. Raises AttributeError where there is none."""
    actor = importlib.import_module(ENGINES).RolloutRayActor
    found: type = actor.__ray_metadata__.modified_class.__ray_actor_class__
    return found


def moved() -> list[Moved]:
    """Everything of the installed OpenRLHF that is not as it is expected; empty for a version that fits."""
    found = [problem for name, parameters in CALLS.items() if (problem := _check(name, parameters))]
    name = f"{ENGINES}.RolloutRayActor"
    try:
        kind = actor_class()
    except (ImportError, AttributeError) as error:
        return [*found, Moved(name, f"is not a Ray actor class ({error})")]
    for method, parameters in ACTOR.items():
        problem = _parameters(f"{name}.{method}", getattr(kind, method, None), parameters)
        if problem:
            found.append(problem)
    found += _mentions(f"{ENGINES}.create_vllm_engines", ["RolloutRayActor"], ["worker_extension_cls"])
    found += _mentions(f"{name}.__init__", ["executor", "llm"], [], kind.__init__)  # type: ignore[misc]
    found += _mentions("openrlhf.trainer.ppo_trainer.prepare_datasets", ["prompt_dataset", "prompt_probs"], [])
    return found


def require(command: Mapping[str, Any]) -> None:
    """Raises RapError, one line, where the running PPO command or its package is not one that fits."""
    problems = [
        Moved(f"openrlhf.cli.train_ppo_ray.{name}", "is gone")
        for name in ("train", "create_vllm_engines")
        if not callable(command.get(name))
    ]
    refuse(problems or moved())


def require_arguments(args: Any) -> None:
    """The same for the parsed arguments."""
    refuse([Moved(f"--{name}", "is gone") for name in ARGUMENTS if not _has(args, name)])


def refuse(problems: list[Moved]) -> None:
    """Raises RapError that names the first problem and the ways around it."""
    if not problems:
        return
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise RapError(
        f"OpenRLHF {installed()} does not fit --data_filter (tested: {', '.join(TESTED)}): {problems[0]}{more}; "
        "select with `rap select` and train on what `rap export RUN --to openrlhf` writes, or install a tested version"
    )


def installed() -> str:
    """The installed version, "unknown" where the package has no metadata."""
    try:
        return version("openrlhf")
    except PackageNotFoundError:
        return "of an unknown version"


def _has(args: Any, name: str) -> bool:
    for part in name.split("."):
        if not hasattr(args, part):
            return False
        args = getattr(args, part)
    return True


def _check(name: str, parameters: tuple[str, ...]) -> Moved | None:
    module, _, path = name.partition(":")
    shown = name.replace(":", ".")
    try:
        thing: Any = importlib.import_module(module)
        for part in path.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError) as error:
        return Moved(shown, f"is gone ({error})")
    return _parameters(shown, thing, parameters)


def _parameters(name: str, thing: Callable[..., Any] | None, wanted: tuple[str, ...]) -> Moved | None:
    if not callable(thing):
        return Moved(name, "is gone")
    there = inspect.signature(thing).parameters
    missing = [parameter for parameter in wanted if parameter not in there]
    return Moved(name, f"has no parameter {missing[0]!r}") if missing else None


def _mentions(name: str, names: list[str], texts: list[str], thing: Any = None) -> list[Moved]:
    """Whether a function still uses some names and constants: what we replace must be what it looks up."""
    if thing is None:
        module, _, function = name.rpartition(".")
        try:
            thing = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError):
            return []  # reported already
    code = inspect.unwrap(thing).__code__
    constants = {text for constant in code.co_consts for text in _strings(constant)}
    missing = [word for word in names if word not in code.co_names] + [t for t in texts if t not in constants]
    return [Moved(name, f"no longer uses {word!r}") for word in missing]


def _strings(constant: Any) -> list[str]:
    if isinstance(constant, str):
        return [constant]
    return [part for part in constant if isinstance(part, str)] if isinstance(constant, tuple) else []
