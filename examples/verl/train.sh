#!/usr/bin/env bash
# GRPO with verl on the rows that a run of `rap select` selected, with the settings of the paper (arXiv 2506.04755).
#
#     RUN=run/ DATA=pool.parquet VALIDATION=test.parquet MODEL=Qwen/Qwen2.5-VL-7B-Instruct bash train.sh
#     REWEIGHT=1 RUN=run/ ... bash train.sh                               # rows drawn by what training samples
#     DRY_RUN=1 RUN=run/ ... bash train.sh                                # the command, and what it comes to in numbers
#
# DATA is the pool that was selected from, in verl's layout, or what `rap export RUN --to verl` writes. What follows
# train.sh goes to verl as it is, behind the flags below, and so wins over them.
set -euo pipefail

RUN=${RUN:?give the run directory of rap select}
DATA=${DATA:?give the training files}
VALIDATION=${VALIDATION:?give the validation files}
MODEL=${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct} # the model that the run sampled
GPUS=${GPUS:-8}                             # of each node
NODES=${NODES:-1}
EPOCHS=${EPOCHS:-15}                        # EasyR1's default: the papers name no other
EVERY=${EVERY:-5}                           # rollout batches between checkpoints, and between evaluations
OUT=${OUT:-runs/verl-$(basename "$MODEL")}  # checkpoints, TensorBoard; on more than one node, seen by all of them
LOGGER=${LOGGER:-[\"console\",\"tensorboard\"]} # also wandb, mlflow, ..
case $OUT in /*) ;; *) OUT=$PWD/$OUT ;; esac
RUN=$(cd "$RUN" && pwd) # verl's workers have a working directory of their own

rows=(
  data.custom_cls.path=pkg://rap_plugin.verl_hooks
  data.custom_cls.name=RapDataset
  "+data.rap.run_dir=$RUN"
  # Counts fresh rollouts for REWEIGHT, and puts the selection into the logs.
  trainer.v1.sampler.custom_sampler.path=pkg://rap_plugin.verl_hooks
  trainer.v1.sampler.custom_sampler.name=RapReplayBuffer
)
[ -z "${REWEIGHT:-}" ] || rows+=(+data.rap.reweight=True data.dataloader_num_workers=0)

command=(
  python -m verl.trainer.main_ppo
  algorithm.adv_estimator=grpo
  "data.train_files=$DATA" "data.val_files=$VALIDATION"
  data.train_batch_size=512 data.max_prompt_length=2048 data.max_response_length=2048 data.seed=1
  data.filter_overlong_prompts=True data.image_key=images
  "${rows[@]}"
  reward.custom_reward_function.path=pkg://rap_plugin.verl_hooks
  reward.custom_reward_function.name=compute_score
  "+reward.custom_reward_function.reward_kwargs.run_dir=$RUN"
  "actor_rollout_ref.model.path=$MODEL"
  actor_rollout_ref.actor.optim.lr=1e-6
  actor_rollout_ref.actor.ppo_mini_batch_size=128
  actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1
  actor_rollout_ref.actor.use_kl_loss=True
  actor_rollout_ref.actor.kl_loss_type=low_var_kl
  actor_rollout_ref.actor.kl_loss_coef=0.01
  actor_rollout_ref.rollout.name=vllm
  actor_rollout_ref.rollout.n=5
  actor_rollout_ref.rollout.temperature=1.0
  actor_rollout_ref.rollout.tensor_model_parallel_size=2
  actor_rollout_ref.rollout.gpu_memory_utilization=0.6
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=2
  actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=2
  actor_rollout_ref.rollout.val_kwargs.n=4
  actor_rollout_ref.rollout.val_kwargs.temperature=0.6
  actor_rollout_ref.rollout.val_kwargs.do_sample=True
  "trainer.n_gpus_per_node=$GPUS" "trainer.nnodes=$NODES"
  "trainer.total_epochs=$EPOCHS" "trainer.save_freq=$EVERY" "trainer.test_freq=$EVERY"
  "trainer.default_local_dir=$OUT/checkpoints" trainer.max_actor_ckpt_to_keep=3 trainer.resume_mode=auto
  trainer.project_name=rap "trainer.experiment_name=$(basename "$OUT")" "trainer.logger=$LOGGER"
  "$@"
)
export TENSORBOARD_DIR=${TENSORBOARD_DIR:-$OUT/tensorboard}
if [ -n "${DRY_RUN:-}" ]; then
  printf '%s\n' "${command[@]}"
  exec python -m rap_plugin.verl_hooks.plan verl "$RUN" "${command[@]:3}" >&2
fi
exec "${command[@]}"
