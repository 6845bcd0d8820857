#!/usr/bin/env bash
# R-GRPO with OpenRLHF: the agent puts crops inside the assistant turn; only sampled tokens are actions. Published numbers.
#
#     MODEL=runs/vlm-r3/sft/final DATA=data/train.jsonl bash openrlhf.sh
#     JUDGE=Qwen/Qwen2.5-72B-Instruct@http://judge:8000/v1 MODEL=.. DATA=.. bash openrlhf.sh
#
# DATA as examples/openrlhf/prepare_data.py writes it. What follows openrlhf.sh goes to OpenRLHF as it is.
set -euo pipefail

MODEL=${MODEL:?give the model after SFT}
DATA=${DATA:?give the rows}
GPUS=${GPUS:-8}
OUT=${OUT:-runs/vlm-r3-openrlhf}
export RAP_R3_REWARD=${REWARD:-released} RAP_R3_MAX_SEGMENTS=${SEGMENTS:-8}
[ -z "${JUDGE:-}" ] || export RAP_JUDGE=$JUDGE

exec python -m openrlhf.cli.train_ppo_ray \
  --actor.model_name_or_path "$MODEL" \
  --data.prompt_dataset "$DATA" --data.input_key prompt --data.label_key label --data.apply_chat_template \
  --data.image_key images --data.max_images_per_prompt 9 \
  --train.agent_func_path "$(rap path openrlhf-r3-agent)" \
  --data.max_len 16384 --rollout.max_new_tokens 11264 \
  --rollout.batch_size 40 --rollout.n_samples_per_prompt 5 --rollout.temperature 1.0 --rollout.top_p 1.0 \
  --train.batch_size 200 --train.micro_batch_size 1 --rollout.micro_batch_size 1 \
  --actor.adam.lr 1e-6 --train.num_episodes 2 \
  --algo.advantage.estimator group_norm --algo.kl.init_coef 0 \
  --ds.zero_stage 3 --ds.param_dtype bf16 --actor.gradient_checkpointing_enable \
  --actor.num_nodes 1 --actor.num_gpus_per_node "$GPUS" --ref.num_nodes 1 --ref.num_gpus_per_node "$GPUS" \
  --train.colocate_all --vllm.enable_sleep --ds.enable_sleep --vllm.gpu_memory_utilization 0.6 \
  --vllm.num_engines "$GPUS" --vllm.enable_prefix_caching --vllm.sync_backend nccl \
  --ckpt.output_dir "$OUT" --ckpt.path "$OUT/checkpoints" --ckpt.save_steps 50 --ckpt.max_num 3 --ckpt.load_enable \
  --logger.tensorboard_dir "$OUT/tensorboard" "$@"
