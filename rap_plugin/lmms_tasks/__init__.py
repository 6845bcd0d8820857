"""Our benchmarks as lmms-eval tasks. Nothing here imports lmms-eval: its YAML files name these functions."""

from pathlib import Path

TASKS = Path(__file__).resolve().parent / "tasks"
"""The folder of task files, for `--include_path`."""
