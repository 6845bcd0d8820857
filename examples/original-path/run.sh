#!/usr/bin/env bash
# The whole path of RAP's released code (arXiv 2506.04755), in the commands of rap: from a pool and a base model, by
# rollouts with and without the images, to the training files of EasyR1 and verl.
#
#     bash examples/original-path/run.sh [POOL [MODEL [OUT]]]
#
# Without arguments: the embedded pool and model, on a CPU, in about half a minute. For the real thing:
#
#     ROWS=54931 MAX_NEW_TOKENS=2048 INSTRUCTION='Think first, inside <think></think>. Then give the final answer inside \boxed{}.' \
#       bash examples/original-path/run.sh mm_eureka.parquet Qwen/Qwen2.5-VL-7B-Instruct original-path
#
# Where you have that code's dumps (image.json, txt.json: five rows per problem) and its pool, step 3 is all it takes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pool=${1:-$(rap path demo-pool)}
model=${2:-$(rap path demo-model)}
out=${3:-original-path}

# 0. The pool, numbered as that code numbers it.
python "$here/number_pool.py" "$pool" "$out/pool.parquet" "${ROWS:-40}"

# 1. Five rollouts an arm, graded 0.9 accuracy + 0.1 format, and the selection of the released script.
rap select "$out/pool.parquet" --model "$model" --preset released --rollouts 5 --out "$out/run" \
  --max-new-tokens "${MAX_NEW_TOKENS:-64}" --set "prompt.instruction='${INSTRUCTION:-}'"

# 2. Those rollouts as dumps. That code's sampling script writes such files itself.
python "$here/dump_rollouts.py" "$out/run" "$out/pool.parquet" "$out/dumps"

# 3. From dumps to a run: no model is asked.
rap import --image "$out/dumps/image.json" --blind "$out/dumps/txt.json" --pool "$out/pool.parquet" --out "$out/imported"

# 4. Both ways select the same samples; how likely would each be chosen again?
rap compare "$out/run" "$out/imported"

# 5. What the trainers read.
rap export "$out/run" --to easyr1 --out "$out/easyr1"
rap export "$out/imported" --to verl --out "$out/verl"

# 6. The paper's rule instead of the script's, over the same evidence: no model is asked.
rap decide "$out/imported" --preset paper
