#!/usr/bin/env bash
# GRPO or RLOO on the samples that RAP selects, with the hyper-parameters of the paper (arXiv 2506.04755).
#
#     MODEL=Qwen/Qwen2.5-VL-7B-Instruct DATA=data/mm-eureka/train.jsonl bash launch.sh
#     MODEL=OpenGVLab/InternVL3-2B-hf ESTIMATOR=rloo MODE=async bash launch.sh --rap.lambda_c 0.4
#     FILTER= bash launch.sh                                            # every row
#     bash launch.sh --rap.dry_run                                      # how many responses and steps that makes
#
# What follows launch.sh goes to OpenRLHF as it is, behind the flags below, and so wins over them.
set -euo pipefail

MODEL=${MODEL:-Qwen/Qwen2.5-VL-3B-Instruct}
DATA=${DATA:-data/geometry3k/train.jsonl}
ESTIMATOR=${ESTIMATOR:-group_norm}   # group_norm is GRPO; or rloo
MODE=${MODE:-sync}                   # sync: all models share all GPUs; async: half of them sample, half train
GPUS=${GPUS:-8}                      # of each node
NODES=${NODES:-1}
IMAGES=${IMAGES:-1}                  # most images of a row, as prepare_data.py prints it
FILTER=${FILTER-rap}                 # a selector, or empty
EPISODES=${EPISODES:-$([ -n "$FILTER" ] && echo 10 || echo 1)}  # ten times a tenth of the rows, or once all of them
EVAL=${EVAL:-}                       # rows to evaluate on, as prepare_data.py writes them; empty: none
EVERY=${EVERY:-5}                    # rollout batches between checkpoints, and between evaluations
OUT=${OUT:-runs/$(basename "$MODEL")-$(basename "$(dirname "$DATA")")-$ESTIMATOR${FILTER:+-$FILTER}}

case $MODE in
  sync) share=$GPUS
        place=(--train.colocate_all --vllm.enable_sleep --ds.enable_sleep --vllm.gpu_memory_utilization 0.6) ;;
  async) share=$((GPUS / 2))
        place=(--train.async_enable --train.colocate_actor_ref --vllm.gpu_memory_utilization 0.9) ;;
  *) echo "launch.sh: MODE is sync or async, not $MODE" >&2; exit 2 ;;
esac

watch=()
[ -z "$EVAL" ] || watch+=(--eval.dataset "$EVAL" --eval.steps "$EVERY" --eval.temperature 0.6 --eval.n_samples_per_prompt 4)

exec python -m openrlhf.cli.train_ppo_ray \
  --actor.model_name_or_path "$MODEL" \
  --data.prompt_dataset "$DATA" --data.input_key prompt --data.label_key label --data.apply_chat_template \
  --data.image_key images --data.max_images_per_prompt "$IMAGES" \
  --data.max_len 4096 --rollout.max_new_tokens 2048 \
  --reward.remote_url "${REWARD:-$(rap path openrlhf-reward)}" \
  --rollout.batch_size 512 --rollout.n_samples_per_prompt 5 --rollout.temperature 1.0 --rollout.top_p 1.0 \
  --train.batch_size 128 --train.micro_batch_size 1 --rollout.micro_batch_size 4 \
  --actor.adam.lr 1e-6 \
  --algo.advantage.estimator "$ESTIMATOR" \
  --algo.kl.use_loss --algo.kl.estimator k3 --algo.kl.init_coef 0.01 \
  --ds.zero_stage 3 --ds.param_dtype bf16 --actor.gradient_checkpointing_enable \
  --actor.num_nodes "$NODES" --actor.num_gpus_per_node "$share" \
  --ref.num_nodes "$NODES" --ref.num_gpus_per_node "$share" \
  --vllm.num_engines "$((share * NODES))" --vllm.enable_prefix_caching --vllm.sync_backend nccl \
  --train.num_episodes "$EPISODES" \
  --ckpt.output_dir "$OUT" --ckpt.path "$OUT/checkpoints" \
  --ckpt.save_steps "$EVERY" --ckpt.max_num 3 --ckpt.load_enable \
  --logger.tensorboard_dir "$OUT/tensorboard" \
  "${watch[@]}" "${place[@]}" ${FILTER:+--data_filter "$FILTER"} "$@"
