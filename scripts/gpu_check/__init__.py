"""The check of a machine with one GPU: `scripts/gpu_check.sh` runs it, docs/gpu.md is what it writes."""
