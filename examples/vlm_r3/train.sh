#!/usr/bin/env bash
# From a pool whose rows bring the boxes of their evidence to a model that looks again, with TRL on the GPUs of one machine.
#
#     POOL=visual_cot.parquet MODEL=Qwen/Qwen2.5-VL-7B-Instruct bash train.sh --set rl.evidence=0.5
#
# What follows train.sh goes to `rap r3 train`. Stopped at any moment, the same command goes on.
set -euo pipefail

POOL=${POOL:?give the pool: a file, folder or hub id with a column of boxes}
MODEL=${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct}
COORDINATES=${COORDINATES:-resized} # what the model writes: resized (Qwen2.5-VL), normalised (Qwen3-VL, InternVL)
RECIPE=${RECIPE:-$(dirname "$0")/recipe.yaml}
OUT=${OUT:-runs/vlm-r3-$(basename "$MODEL")}
LAUNCH=${LAUNCH-accelerate launch --config_file zero3.yaml} # `accelerate config` writes one; empty: one process

[ -f "$OUT/data/rl.jsonl" ] || rap r3 build-data "$POOL" --out "$OUT/data" --coordinates "$COORDINATES"
# shellcheck disable=SC2086  # LAUNCH is several words
${LAUNCH:-python} -m rap_plugin.cli r3 train "$RECIPE" --data "$OUT/data" --model "$MODEL" --out "$OUT" "$@"
