#!/usr/bin/env bash
# How much does a model look? Real lmms-eval, the embedded model, a few LogicVista problems with and without their images.
#
#     bash examples/eval/visual_dependence.sh FOLDER_OF_LOGICVISTA [MODEL]
#
# FOLDER_OF_LOGICVISTA holds dataset.json and images/. Works offline on a CPU; give a real MODEL for real numbers.
set -euo pipefail
folder=${1:?give the folder of LogicVista: dataset.json and images/}
model=${2:-$(rap path demo-model)}
export RAP_DATA_DIR=${RAP_DATA_DIR:-$PWD/rap-data}

rap data prepare logicvista --from "$folder"
python -m lmms_eval --model rap --model_args "pretrained=$model" --tasks rap_logicvista,rap_logicvista_blind \
  --batch_size 16 --limit 20 --gen_kwargs max_new_tokens=64 --output_path results --log_samples
rap eval compare results --out comparison
