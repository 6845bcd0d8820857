#!/usr/bin/env bash
# GRPO with TRL on the rows that a run of `rap select` selected, with the settings of the paper (arXiv 2506.04755).
#
#     bash examples/trl/train.sh RUN [OPTION ..]            # options of train_selected.py
#     DRY_RUN=1 bash examples/trl/train.sh RUN              # what it comes to in numbers
#
# GPUS processes on this machine; MODEL is the model that the run sampled; EVAL a folder of rows to evaluate on.
set -euo pipefail
run=${1:?give a run directory of rap select}
shift
here=$(cd "$(dirname "$0")" && pwd)
MODEL=${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct}
GPUS=${GPUS:-8}
OUT=${OUT:-runs/trl-$(basename "$MODEL")}
options=(--run "$run" --model "$MODEL" --out "$OUT" ${EVAL:+--eval "$EVAL"} "$@")

if [ -n "${DRY_RUN:-}" ]; then
  exec python "$here/train_selected.py" --dry-run "${options[@]}"
fi
rap export "$run" --to trl --out "$run/export-trl"
exec python -m accelerate.commands.launch --num_processes "$GPUS" --mixed_precision bf16 \
  "$here/train_selected.py" "${options[@]}"
