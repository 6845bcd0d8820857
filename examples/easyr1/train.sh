#!/usr/bin/env bash
# Exports a run of `rap select` and trains on it. Run it where EasyR1 is installed.
#
#     bash examples/easyr1/train.sh RUN [EASYR1_OVERRIDE ...]
#
# DRY_RUN=1 exports and prints the command, and what it comes to in numbers. OUT is the folder of checkpoints and logs.
set -euo pipefail
run=${1:?give a run directory of rap select}
shift
here=$(cd "$(dirname "$0")" && pwd)
export_folder=$(cd "$run" && pwd)/export-easyr1

out=${OUT:-runs/easyr1}

rap export "$run" --to easyr1 --out "$export_folder"
command=(
  python -m verl.trainer.main
  "config=$here/config.yaml"
  "data.train_files=$export_folder/train.parquet"
  "data.format_prompt=$here/format_prompt.jinja"
  "worker.reward.reward_function=$(rap path easyr1-reward):compute_score"
  "trainer.save_checkpoint_path=$out/checkpoints"
  "$@"
)
export TENSORBOARD_DIR=${TENSORBOARD_DIR:-$out/tensorboard}
[ -z "${DRY_RUN:-}" ] || printf '%s\n' "${command[@]}"
# Also says, in one line, where the selection is smaller than a batch: EasyR1 would make no step.
python -m rap_plugin.verl_hooks.plan easyr1 "$run" "${command[@]:3}" >&2
[ -n "${DRY_RUN:-}" ] || exec "${command[@]}"
