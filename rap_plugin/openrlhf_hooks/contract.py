"""What the data filter needs of OpenRLHF, name by name, so that a change there is found before training starts."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.hosts import contract
from rap_plugin.hosts.contract import Host, Requirements, check_function, refuse

OPENRLHF = Host(
    name="OpenRLHF",
    distribution="openrlhf",
    tested=("0.11.2",),
    ours="--data_filter",
    instead="select with `rap select` and train on what `rap export RUN --to openrlhf` writes",
)

ENGINES = "openrlhf.trainer.ray.vllm_engine"

TRAINER = "openrlhf.trainer.ppo_trainer:PPOTrainer"
ASYNC_TRAINER = "openrlhf.trainer.ppo_trainer_async:PPOTrainerAsync"
ASYNC_TRAINING = "openrlhf.trainer.ppo_trainer_async:TrainingActor"
ASYNC_GENERATOR = "openrlhf.trainer.ppo_trainer_async:GenerateSamplesActor"

POLICY_ACTOR = "openrlhf.trainer.ray.ppo_actor:PolicyModelActor"
ACTOR_TRAINER = "openrlhf.trainer.ray.ppo_actor:ActorPPOTrainer"
WINDOWS = "openrlhf.trainer.ray.ppo_actor:iter_grad_accum_global_norm"

ARGUMENTS = (
    "actor.model_name_or_path",
    "actor.num_gpus_per_node",
    "actor.num_nodes",
    "algo.dynamic_filtering_enable",
    "algo.kl.init_coef",
    "ckpt.load_enable",
    "ckpt.output_dir",
    "ckpt.path",
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
    "ds.ring_attn_size",
    "ds.tensor_parallel_size",
    "ds.zero_stage",
    "logger.tensorboard_dir",
    "logger.wandb.key",
    "ref.num_gpus_per_node",
    "ref.num_nodes",
    "reward.num_gpus_per_node",
    "reward.num_nodes",
    "reward.remote_url",
    "rollout.batch_size",
    "rollout.max_new_tokens",
    "rollout.micro_batch_size",
    "rollout.n_samples_per_prompt",
    "rollout.temperature",
    "rollout.top_p",
    "train.agent_func_path",
    "train.async_enable",
    "train.batch_size",
    "train.dynamic_batch_enable",
    "train.max_epochs",
    "train.micro_batch_size",
    "train.num_episodes",
    "train.seed",
    "use_ms",
    "vllm.enable_sleep",
    "vllm.num_engines",
)
"""Flags of the PPO command whose values are read."""

CALLS: Requirements = {
    f"{ENGINES}:create_vllm_engines": ((), ("RolloutRayActor", "worker_extension_cls")),
    f"{ENGINES}:batch_vllm_engine_call": (("engines", "method_name"), ()),
    "openrlhf.datasets.utils:blending_datasets": (
        ("datasets", "probabilities", "strategy", "seed", "max_count", "dataset_split"),
        (),
    ),
    "openrlhf.datasets.prompts_dataset:preprocess_data": (
        ("data", "input_template", "input_key", "label_key", "apply_chat_template"),
        (),
    ),
    "openrlhf.trainer.ppo_trainer:prepare_datasets": (("strategy", "tokenizer"), ("prompt_dataset", "prompt_probs")),
    "openrlhf.utils.agent:AgentExecutorBase.execute": (
        ("prompt", "label", "sampling_params", "max_length", "hf_tokenizer", "llm_engine", "images"),
        (),
    ),
    "openrlhf.utils.utils:get_tokenizer": (("pretrain", "model", "padding_side", "strategy", "use_fast"), ()),
    "openrlhf.utils.vlm_utils:load_images": (("image_refs",), ()),
    "openrlhf.utils.vlm_utils:process_prompt_with_images": (("processor", "prompt", "images"), ()),
}
"""Functions that are called, waited for or wrapped."""

LOGGING: Requirements = {
    "openrlhf.trainer.ppo_trainer:BasePPOTrainer.__init__": ((), ("wandb_logger", "tensorboard_logger")),
    "openrlhf.trainer.ppo_trainer:BasePPOTrainer.train_step": ((), ("_compute_rollout_stats", "make_experience_batch")),
    "openrlhf.trainer.ppo_trainer:BasePPOTrainer._compute_rollout_stats": (("experiences",), ()),
    "openrlhf.utils.logging_utils:TensorboardLogger.log_train": (("global_step", "logs_dict"), ()),
    "openrlhf.utils.logging_utils:WandbLogger.log_train": (("global_step", "logs_dict"), ()),
}
"""What the selection's numbers in the trainer's logs need. Without them a training goes on, and logs what it always did."""

CONTRASTIVE: Requirements = {
    f"{ACTOR_TRAINER}.__init__": ((), ("actor_loss_fn",)),
    f"{ACTOR_TRAINER}.ppo_train": (("kl_ctl",), ("iter_grad_accum_global_norm", "training_step")),
    f"{ACTOR_TRAINER}.training_step": (("experience", "loss_batch_info"), ("actor_loss_fn", "info")),
    WINDOWS: (("data_iter", "strategy", "accumulated_gradient", "mask_fn"), ()),
    "openrlhf.models:Actor.forward": (
        ("sequences", "action_mask", "attention_mask", "return_output", "allgather_logits", "ring_attn_group"),
        (),
    ),
    "openrlhf.utils.loss_utils:_get_dp_group": (("strategy",), ()),
    "openrlhf.utils.vlm_utils:merge_mm_train_inputs": (("mm_train_inputs_list", "device"), ()),
}
"""What the contrastive loss needs, asked for with it alone."""

GENERATOR = "openrlhf.trainer.ppo_utils.samples_generator:SamplesGenerator"

FOLLOWING: Requirements = {
    "openrlhf.trainer.ppo_trainer:BasePPOTrainer.save_logs_and_checkpoints": (
        ("global_step", "logs_dict", "client_states"),
        (),
    ),
    f"{GENERATOR}.generate_samples": ((), ("prompts_dataloader", "_dataloader_iter")),
    f"{GENERATOR}._generate_vllm": ((), ("_process_response_into_experience", "_dispatch_prompts_to_vllm")),
    f"{GENERATOR}._dispatch_prompts_to_vllm": (("prompts", "labels", "images"), ("n_samples_per_prompt",)),
    f"{GENERATOR}._process_response_into_experience": (("response",), ()),
    "openrlhf.datasets:PromptDataset.collate_fn": (("item_list",), ()),
    "openrlhf.trainer.ppo_trainer:prepare_datasets": (
        ("strategy",),
        ("n_samples_per_prompt", "num_episodes", "max_epochs"),
    ),
}
"""What following needs, asked for with it alone."""

ACTOR: Requirements = {
    "__init__": (("args", "kwargs", "agent_func_path", "remote_rm_url"), ("executor", "llm")),
    "generate": (("prompt_token_ids", "sampling_params", "multi_modal_data"), ()),
    "sleep": ((), ()),
    "wake_up": ((), ()),
}
"""The same for methods of the class behind `RolloutRayActor`."""


def actor_class() -> type:
    """The Python class behind the Ray actor `RolloutRayActor`. Raises AttributeError where there is none."""
    return plain_class(f"{ENGINES}:RolloutRayActor")


def named(name: str) -> Any:
    """What stands at `module:NAME`. Raises AttributeError where nothing does."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def plain_class(name: str) -> type:
    """The Python class behind a Ray actor `module:NAME`. Raises AttributeError where there is none."""
    found: type = named(name).__ray_metadata__.modified_class.__ray_actor_class__
    return found


def unmet() -> list[str]:
    """What the installed OpenRLHF no longer has; empty for a version that fits."""
    found = contract.unmet(CALLS)
    name = f"{ENGINES}.RolloutRayActor"
    try:
        kind = actor_class()
    except (ImportError, AttributeError) as error:
        return [*found, f"{name} is not a Ray actor class ({error})"]
    methods = (
        check_function(f"{name}.{method}", getattr(kind, method, None), *needed) for method, needed in ACTOR.items()
    )
    return found + [problem for problem in methods if problem]


def not_logged() -> str:
    """The first thing that logging a selection needs and the installed OpenRLHF no longer has; empty where all is there."""
    problems = contract.unmet(LOGGING)
    problems += _no_actors(TRAINER, ASYNC_TRAINER, ASYNC_TRAINING)
    return next(iter(problems), "")


def _no_actors(*names: str) -> list[str]:
    problems = []
    for name in names:
        try:
            plain_class(name)
        except (ImportError, AttributeError) as error:
            problems.append(f"{name.replace(':', '.')} is not a Ray actor class ({error})")
    return problems


def require_contrastive() -> None:
    """Raises RapError, one line, where the installed OpenRLHF has no place for the contrastive loss any more."""
    problems = contract.unmet(CONTRASTIVE) + _no_actors(TRAINER, ASYNC_TRAINER, ASYNC_GENERATOR, POLICY_ACTOR)
    _refuse_addition("--rap.contrastive", problems, "train this stage with `rap modality-gap train contrastive_kl`")


def require_following() -> None:
    """Raises RapError, one line, where the installed OpenRLHF reads its rows in another way."""
    problems = contract.unmet(FOLLOWING) + _no_actors(TRAINER, ASYNC_TRAINER, ASYNC_GENERATOR, ASYNC_TRAINING)
    _refuse_addition("--rap.follow", problems, "train on a selection: --data_filter rap")


def _refuse_addition(flag: str, problems: list[str], instead: str) -> None:
    if problems:
        raise RapError(
            f"{flag}: {problems[0]} in the installed OpenRLHF (tested: {', '.join(OPENRLHF.tested)}); {instead}"
        )


def require(command: Mapping[str, Any]) -> None:
    """Raises RapError, one line, where the running PPO command or its package is not one that fits."""
    problems = [
        f"openrlhf.cli.train_ppo_ray.{name} is gone"
        for name in ("train", "create_vllm_engines")
        if not callable(command.get(name))
    ]
    refuse(OPENRLHF, problems or unmet())


def require_arguments(args: Any) -> None:
    """The same for the parsed arguments."""
    refuse(OPENRLHF, [f"--{name} is gone" for name in ARGUMENTS if not _has(args, name)])


def _has(args: Any, name: str) -> bool:
    for part in name.split("."):
        if not hasattr(args, part):
            return False
        args = getattr(args, part)
    return True
