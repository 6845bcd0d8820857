"""`rap path`."""

from __future__ import annotations

from pathlib import Path

import click

PACKAGE = Path(__file__).resolve().parent.parent
PATHS = {
    "demo-model": PACKAGE / "demo" / "model",
    "demo-pool": PACKAGE / "demo" / "pool.parquet",
    "diagram-model": PACKAGE / "modality_gap" / "model",
    "diagram-pool": PACKAGE / "modality_gap" / "pool",
    "easyr1-reward": PACKAGE / "verl_hooks" / "easyr1_reward.py",
    "lmms-tasks": PACKAGE / "lmms_tasks" / "tasks",
    "openrlhf-modality-gap-reward": PACKAGE / "openrlhf_hooks" / "modality_gap_reward.py",
    "openrlhf-modality-gap-reward-exact": PACKAGE / "openrlhf_hooks" / "modality_gap_reward_exact.py",
    "openrlhf-r3-agent": PACKAGE / "openrlhf_hooks" / "r3_agent.py",
    "openrlhf-reward": PACKAGE / "openrlhf_hooks" / "reward.py",
    "r3-model": PACKAGE / "vlm_r3" / "model",
    "r3-scene": PACKAGE / "vlm_r3" / "scene.png",
    "verl-modality-gap-reward": PACKAGE / "verl_hooks" / "modality_gap_reward.py",
    "verl-contrastive-agent": PACKAGE / "verl_hooks" / "contrastive_agent.yaml",
    "verl-follow-agent": PACKAGE / "verl_hooks" / "follow_agent.yaml",
    "verl-r3-agent": PACKAGE / "verl_hooks" / "r3_agent.yaml",
    "verl-reward": PACKAGE / "verl_hooks" / "reward.py",
}
"""Shipped files by the name that `rap path` knows them under."""


@click.command("path", short_help="Print where a shipped file is.", epilog=f"Names: {', '.join(sorted(PATHS))}.")
@click.argument("name", type=click.Choice(sorted(PATHS)), metavar="NAME")
def command(name: str) -> None:
    """Print the path of a shipped file or folder, for use in other commands."""
    click.echo(PATHS[name])
