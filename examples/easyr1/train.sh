#!/usr/bin/env bash
# Exports a run of `rap select` and trains on it. Run it where EasyR1 is installed.
#
#     bash examples/easyr1/train.sh RUN [EASYR1_OVERRIDE ...]
#
# DRY_RUN=1 exports and prints the command only.
set -euo pipefail
run=${1:?give a run directory of rap select}
shift
here=$(cd "$(dirname "$0")" && pwd)
export_folder=$(cd "$run" && pwd)/export-easyr1

rap export "$run" --to easyr1 --out "$export_folder"
command=(
  python -m verl.trainer.main
  "config=$here/config.yaml"
  "data.train_files=$export_folder/train.parquet"
  "data.format_prompt=$here/format_prompt.jinja"
  "worker.reward.reward_function=$(rap path easyr1-reward):compute_score"
  "$@"
)
if [ -n "${DRY_RUN:-}" ]; then
  printf '%s\n' "${command[@]}"
else
  exec "${command[@]}"
fi
