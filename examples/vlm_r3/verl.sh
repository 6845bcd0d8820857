#!/usr/bin/env bash
# R-GRPO with verl: the agent loop puts crops inside the assistant turn and masks them. Published numbers.
#
#     MODEL=runs/vlm-r3/sft/final DATA=train.parquet VALIDATION=test.parquet bash verl.sh
#
# DATA in verl's layout (`rap export RUN --to verl` writes it). What follows verl.sh goes to verl as it is. DRY_RUN=1 prints the command.
set -euo pipefail

MODEL=${MODEL:?give the model after SFT}
DATA=${DATA:?give the training files}
VALIDATION=${VALIDATION:?give the validation files}
GPUS=${GPUS:-8}
OUT=${OUT:-$PWD/runs/vlm-r3-verl}
export RAP_R3_REWARD=${REWARD:-released} RAP_R3_MAX_SEGMENTS=${SEGMENTS:-8}
[ -z "${JUDGE:-}" ] || export RAP_JUDGE=$JUDGE

command=(
  python -m verl.trainer.main_ppo
  algorithm.adv_estimator=grpo
  "data.train_files=$DATA" "data.val_files=$VALIDATION"
  data.train_batch_size=40 data.max_prompt_length=5120 data.max_response_length=11264
  data.return_raw_chat=True data.image_key=images
  "actor_rollout_ref.model.path=$MODEL"
  actor_rollout_ref.actor.optim.lr=1e-6
  actor_rollout_ref.actor.ppo_mini_batch_size=40 actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1
  actor_rollout_ref.actor.use_kl_loss=False
  actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.mode=async
  actor_rollout_ref.rollout.n=5 actor_rollout_ref.rollout.temperature=1.0
  actor_rollout_ref.rollout.tensor_model_parallel_size=2 actor_rollout_ref.rollout.gpu_memory_utilization=0.6
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1
  "actor_rollout_ref.rollout.agent.agent_loop_config_path=$(rap path verl-r3-agent)"
  actor_rollout_ref.rollout.agent.default_agent_loop=rap_r3
  "trainer.n_gpus_per_node=$GPUS" trainer.nnodes=1 trainer.total_epochs=2 trainer.save_freq=50
  "trainer.default_local_dir=$OUT/checkpoints" trainer.max_actor_ckpt_to_keep=3 trainer.resume_mode=auto
  trainer.project_name=rap trainer.experiment_name=vlm-r3
  "$@"
)
if [ -n "${DRY_RUN:-}" ]; then
  printf '%s\n' "${command[@]}"
  exit
fi
exec "${command[@]}"
