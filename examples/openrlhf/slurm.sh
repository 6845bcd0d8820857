#!/usr/bin/env bash
#SBATCH --job-name=rap
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode=append
#
# One Ray over the nodes of a Slurm allocation, and launch.sh on the first of them.
#
#     SHARED=/shared/me DATA=/shared/me/data/mm-eureka/train.jsonl sbatch --nodes=4 slurm.sh [OPTION_OF_OPENRLHF ..]
#
# SHARED is a folder that every node sees: the run, its selected rows and the checkpoints go there, so that the same line, or
# a requeue, goes on. Evidence is written on the first node's own disk, with a snapshot in SHARED every minute.
set -euo pipefail

SHARED=${SHARED:?give a folder that every node sees}
here=${RAP_EXAMPLES:-$SLURM_SUBMIT_DIR} # sbatch runs a copy of this file: launch.sh is where sbatch was called
PORT=${PORT:-6379}
nodes=$SLURM_JOB_NUM_NODES
gpus=${GPUS:-8}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | awk 'NR == 1')
address=$(getent ahostsv4 "$first" | awk 'NR == 1 {print $1}')

export RAY_DISABLE_USAGE_STATS=1
srun --overlap --nodes=1 --ntasks=1 --nodelist="$first" \
  ray start --head --node-ip-address="$address" --port="$PORT" --num-gpus="$gpus" --disable-usage-stats --block &
if [ "$nodes" -gt 1 ]; then
  sleep "${HEAD_START:-15}"
  srun --overlap --nodes="$((nodes - 1))" --ntasks="$((nodes - 1))" --exclude="$first" \
    ray start --address="$address:$PORT" --num-gpus="$gpus" --disable-usage-stats --block &
fi

export RAY_ADDRESS=$address:$PORT
python - "$nodes" <<'PYTHON'
import sys, time

import ray

wanted = int(sys.argv[1])
for _ in range(300):
    try:
        ray.init(logging_level="ERROR", log_to_driver=False, ignore_reinit_error=True)
        there = sum(node["Alive"] for node in ray.nodes())
        if there == wanted:
            sys.exit()
    except ConnectionError:
        there = 0
    time.sleep(1)
sys.exit(f"slurm.sh: {there} of {wanted} nodes have joined Ray in 5 minutes")
PYTHON

cd "$here"
evidence=(--rap.evidence local)
[ -n "${FILTER-rap}" ] || evidence=()
NODES=$nodes GPUS=$gpus OUT=${OUT:-$SHARED/runs/$SLURM_JOB_NAME} bash launch.sh "${evidence[@]}" "$@"
