"""Launch scripts of the recipes for verl and OpenRLHF: bash, one block a stage, each from the weights of the one before.

A contrastive stage is trained with `--rap.contrastive` in OpenRLHF, and with an engine and an agent loop of ours in verl
(docs/modality_gap.md).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from rap_plugin.errors import RapError
from rap_plugin.modality_gap.recipes import GapRecipe, chain_of

Host = Literal["openrlhf", "verl"]
HOSTS: tuple[Host, ...] = ("openrlhf", "verl")

HEAD = """#!/usr/bin/env bash
# The recipe {name} of the modality gap (arXiv 2510.22836) with {host}, written by `rap modality-gap train {name} --host {host}`.
#
#     GPUS=8 bash {name}-{host}.sh          # DATA holds {conditions}, as `rap modality-gap prepare{to}` writes them
#     DRY_RUN=1 bash {name}-{host}.sh       # prints the commands, one word a line
#
# Stopped at any moment, the same line goes on.
set -euo pipefail

GPUS=${{GPUS:-8}}
DATA={data}
OUT={out}

run() {{ if [ -n "${{DRY_RUN:-}}" ]; then printf '%s\\n' "$@" ""; else "$@"; fi; }}
{more}"""

HYDRA = """# A path as verl's options take it: without quotes Hydra refuses or splits what holds a comma, a bracket, =, or a letter beyond ASCII.
hydra() { printf "'%s'" "$(printf %s "$1" | sed "s/'/\\\\\\\\'/g")"; }
"""

SPLITS = (",", "@")
"""What OpenRLHF takes a data set's name apart at."""


def launch_script(
    host: Host, recipe: GapRecipe, known: Mapping[str, GapRecipe], data: str, model: str, out: str, seed: int = 0
) -> str:
    """The script that trains a recipe and what it starts from. `data` holds a folder per condition; `out` gets a folder a stage.

    Raises RapError where a start is unknown, and for a path that the host cannot take.
    """
    if host not in HOSTS:
        raise RapError(f"no launch scripts for {host!r}; hosts: {', '.join(HOSTS)}")
    if host == "openrlhf" and any(sign in data for sign in SPLITS):
        raise RapError(f"{data}: OpenRLHF takes the name of a data set apart at a comma and at @; rename the folder")
    chain = chain_of(recipe, known)
    conditions = sorted({name for stage in chain for name in folders_of(stage)})
    head = HEAD.format(
        name=recipe.name,
        host=host,
        conditions=", ".join(f"{name}/" for name in conditions),
        to=" --to openrlhf" if host == "openrlhf" else "",
        data=shlex.quote(data),
        out=shlex.quote(out),
        more=HYDRA if host == "verl" else "",
    )
    blocks, start = [head], shlex.quote(model)
    for number, stage in enumerate(chain):
        later = chain[number + 1] if number + 1 < len(chain) else None
        step = (later.start_step if later else None) or stage.steps
        words, after = (_with_verl if host == "verl" else _with_openrlhf)(stage, start, seed, step)
        if number:
            blocks.append(
                f'[ -n "${{DRY_RUN:-}}" ] || [ -d {start} ] || {{ echo "no weights at" {start} >&2; exit 1; }}\n'
            )
        blocks.append(f"# {stage.name}\n" + " \\\n  ".join(["run", *words]) + "\n")
        start = after
    return "\n".join(blocks)


def folders_of(recipe: GapRecipe) -> tuple[str, ...]:
    """The prepared conditions that a stage reads."""
    return ("text", "image") if recipe.condition == "mix" else (recipe.condition,)


def _with_verl(stage: GapRecipe, start: str, seed: int, step: int) -> tuple[list[str], str]:
    """verl: dynamic sampling, clip-higher, dual clip and overlong shaping are its own options."""
    t = stage.training
    files = ",".join(f'$(hydra "$DATA/{name}/train.parquet")' for name in folders_of(stage))
    folder = f"$OUT/{stage.name}"
    words = [
        "python -m verl.trainer.main_ppo",
        f"algorithm.adv_estimator=grpo algorithm.use_kl_in_reward=False data.seed={seed + 1}",
        f'"data.train_files=[{files}]"',
        '"data.val_files=[$(hydra "$DATA/text/test.parquet"),$(hydra "$DATA/image/test.parquet")]"',
        f"data.train_batch_size={t.prompts} data.max_prompt_length={t.max_prompt_tokens}",
        f"data.max_response_length={t.max_response_tokens} data.filter_overlong_prompts=True data.image_key=images",
        '"reward.custom_reward_function.path=$(hydra "$(rap path verl-modality-gap-reward)")"',
        "reward.custom_reward_function.name=compute_score",
        f"+reward.custom_reward_function.reward_kwargs.tolerance={stage.tolerance}",
        *_overlong(stage),
        f'"actor_rollout_ref.model.path=$(hydra {start})"',
        f"actor_rollout_ref.actor.optim.lr={t.learning_rate} actor_rollout_ref.actor.ppo_mini_batch_size={t.mini_batch}",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1 actor_rollout_ref.actor.use_kl_loss=False",
        f"actor_rollout_ref.actor.clip_ratio_low={t.clip_low} actor_rollout_ref.actor.clip_ratio_high={t.clip_high}",
        f"actor_rollout_ref.actor.clip_ratio_c={t.dual_clip} actor_rollout_ref.actor.loss_agg_mode=token-mean",
        "\"actor_rollout_ref.actor.checkpoint.save_contents=['model','optimizer','extra','hf_model']\"",
        f"actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.n={t.rollouts}",
        f"actor_rollout_ref.rollout.temperature={t.temperature}",
        "actor_rollout_ref.rollout.gpu_memory_utilization=0.6",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=2",
        f'"trainer.n_gpus_per_node=$GPUS" trainer.nnodes=1 trainer.total_training_steps={step}',
        f"trainer.total_epochs=1000 trainer.save_freq={stage.save_every} trainer.test_freq={stage.save_every}",
        f'"trainer.default_local_dir=$(hydra "{folder}")" trainer.resume_mode=auto',
        f"trainer.project_name=modality-gap trainer.experiment_name={stage.name} 'trainer.logger=[\"console\"]'",
    ]
    if t.sampling_rounds > 1:
        words.insert(2, "algorithm.filter_groups.enable=True algorithm.filter_groups.metric=reward")
    words[:0] = _verl_environment(stage)
    return [*words, *_verl_contrastive(stage)], f'"{folder}/global_step_{step}/actor/huggingface"'


ENGINE = {"VERL_USE_EXTERNAL_MODULES": "rap_plugin.verl_hooks.contrastive_engine", "VERL_ENGINE_VENDOR": "rap"}
"""What has every process of verl know and take the engine with the contrastive loss."""


def _verl_environment(stage: GapRecipe) -> list[str]:
    return ["env " + " ".join(f"{name}={value}" for name, value in ENGINE.items())] if stage.contrastive else []


def _verl_contrastive(stage: GapRecipe) -> list[str]:
    if (loss := stage.contrastive) is None:
        return []
    asked, other = prompt_columns(loss.sampled_by)
    return [
        f"+data.rap.contrastive={loss.form} +data.rap.contrastive_coefficient={loss.coefficient}",
        f"+data.rap.contrastive_sampled_by={loss.sampled_by} +data.rap.contrastive_key={other} data.prompt_key={asked}",
        '"actor_rollout_ref.rollout.agent.agent_loop_config_path=$(hydra "$(rap path verl-contrastive-agent)")"',
        "actor_rollout_ref.rollout.agent.default_agent_loop=rap_contrastive",
        *(f"+ray_kwargs.ray_init.runtime_env.env_vars.{name}={value}" for name, value in ENGINE.items()),
    ]


def prompt_columns(sampled_by: str) -> tuple[str, str]:
    """Columns of the prompt that is sampled, and of the other one, in rows prepared as `contrastive`."""
    return ("contrastive_prompt", "prompt") if sampled_by == "student" else ("prompt", "contrastive_prompt")


def _overlong(stage: GapRecipe) -> Sequence[str]:
    t = stage.training
    if not (t.overlong_buffer and t.overlong_factor):
        return ()
    return (
        "reward.reward_manager.name=dapo",
        f"+reward.reward_kwargs.max_resp_len={t.max_response_tokens}",
        f"+reward.reward_kwargs.overlong_buffer_cfg.enable=True +reward.reward_kwargs.overlong_buffer_cfg.len={t.overlong_buffer}",
        f"+reward.reward_kwargs.overlong_buffer_cfg.penalty_factor={t.overlong_factor}",
        "+reward.reward_kwargs.overlong_buffer_cfg.log=False",
    )


def _with_openrlhf(stage: GapRecipe, start: str, seed: int, step: int) -> tuple[list[str], str]:
    """OpenRLHF counts training batches in responses, and has no number of steps: it reads the rows often enough for `step`."""
    t = stage.training
    files = [f"$DATA/{name}/openrlhf/train.jsonl" for name in folders_of(stage)]
    shares = ",".join(str(1 / len(files)) for _ in files)
    mixed = [f'--data.prompt_probs "{shares}"'] if len(files) > 1 else []
    reward = "openrlhf-modality-gap-reward" + ("-exact" if stage.tolerance == "exact" else "")
    asked, other = prompt_columns(stage.contrastive.sampled_by if stage.contrastive else "teacher")
    folder = f"$OUT/{stage.name}"
    counted = " ".join(f'"{name}"' for name in files)
    # Filtered prompts are read, too: with a third of them left, this many passes make the steps.
    reading = 3 * step * t.prompts if t.sampling_rounds > 1 else step * t.prompts
    episodes = f'"$(( {reading} / $(cat {counted} | wc -l) + 1 ))"'
    words = [
        "python -m openrlhf.cli.train_ppo_ray",
        f'--actor.model_name_or_path {start} --data.prompt_dataset "{",".join(files)}"',
        *mixed,
        f"--data.input_key {asked} --data.label_key label --data.apply_chat_template",
        "--data.image_key images --data.max_images_per_prompt 1",
        f"--data.max_len {t.max_prompt_tokens + t.max_response_tokens} --rollout.max_new_tokens {t.max_response_tokens}",
        f'--reward.remote_url "$(rap path {reward})"',
        f"--rollout.batch_size {t.prompts} --rollout.n_samples_per_prompt {t.rollouts}",
        f"--rollout.temperature {t.temperature} --rollout.top_p 1.0 --train.seed {seed + 1}",
        f"--train.batch_size {t.mini_batch * t.rollouts} --train.micro_batch_size 1 --rollout.micro_batch_size 4",
        f"--actor.adam.lr {t.learning_rate} --actor.lr_scheduler constant --actor.lr_warmup_ratio 0",
        f"--actor.eps_clip_low_high {t.clip_low} {t.clip_high} --actor.dual_clip {t.dual_clip}",
        "--actor.loss_agg_mode token-mean --algo.advantage.estimator group_norm --algo.kl.init_coef 0",
        "--ds.zero_stage 3 --ds.param_dtype bf16 --actor.gradient_checkpointing_enable",
        '--actor.num_gpus_per_node "$GPUS" --vllm.num_engines "$GPUS" --train.colocate_all --vllm.enable_sleep --ds.enable_sleep',
        "--vllm.enable_prefix_caching --vllm.sync_backend nccl --vllm.gpu_memory_utilization 0.6",
        f"--train.num_episodes {episodes}",
        f'--ckpt.output_dir "{folder}/final" --ckpt.path "{folder}/checkpoints"',
        f"--ckpt.save_steps {stage.save_every} --ckpt.save_hf --ckpt.load_enable",
        f'--logger.tensorboard_dir "{folder}/tensorboard"',
    ]
    if t.sampling_rounds > 1:
        words.append("--algo.dynamic_filtering_enable --algo.dynamic_filtering_range 0 1")
    if (loss := stage.contrastive) is not None:
        words.append(
            f"--rap.contrastive {loss.form} --rap.contrastive_coefficient {loss.coefficient} "
            f"--rap.contrastive_sampled_by {loss.sampled_by} --rap.contrastive_key {other}"
        )
    if t.overlong_buffer and t.overlong_factor:
        words.append(
            f"--reward.overlong_buffer_len {t.overlong_buffer} --reward.overlong_penalty_factor {t.overlong_factor}"
        )
    return words, f'"{folder}/checkpoints/global_step{step}_hf"'


def write_script(path: Path, text: str) -> Path:
    """Writes an executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path
