#!/usr/bin/env bash
# The gap of the shipped model on the shipped diagrams, from data to report and selection, on a processor in a few minutes.
#
#     bash examples/modality_gap/gap.sh OUT [PROBLEMS]
set -euo pipefail
out=${1:?name an output folder} problems=${2:-60}
pool=$(rap path diagram-pool) model=$(rap path diagram-model)

# Both prompts of every problem, as `rap modality-gap train` and the trainers read them.
rap modality-gap prepare --data "$pool" --condition contrastive --limit "$problems" --out "$out/pairs"

# Four responses in each condition; add --recipe and --step for the states of a training.
rap modality-gap measure --data "$pool" --split test --limit "$problems" --model "$model" --max-new-tokens 64 --out "$out/base"
rap modality-gap report "$out/base"

# The problems that the model solves in words and not in the drawing.
rap select "$pool" --model "$model" --selector gap --limit "$problems" --instruction "" --max-new-tokens 64 --out "$out/selection"
