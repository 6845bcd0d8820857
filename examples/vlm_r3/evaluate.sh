#!/usr/bin/env bash
# V*, MMVP and CV-Bench with a model that looks again, through lmms-eval; answers without tags, traces beside them.
#
#     MODEL=runs/vlm-r3/rl/final bash evaluate.sh --limit 20
#
# What follows evaluate.sh goes to lmms-eval. ENGINE=hf works on a CPU.
set -euo pipefail

MODEL=${MODEL:?give the model}
ENGINE=${ENGINE:-vllm}
TASKS=${TASKS:-rap_vstar,rap_mmvp,rap_cv_bench}
OUT=${OUT:-results}
mkdir -p "$OUT"

python -m lmms_eval --model rap_vlm_r3 \
  --model_args "pretrained=$MODEL,engine=$ENGINE,traces=$OUT/traces.jsonl${OPTIONS:+,$OPTIONS}" \
  --tasks "$TASKS" --batch_size 64 --output_path "$OUT" --log_samples "$@"
