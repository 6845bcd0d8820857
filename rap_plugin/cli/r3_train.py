"""`rap r3 train`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("train")
@click.argument("recipe", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that `rap r3 build-data` wrote.",
)
@click.option("--model", required=True, metavar="FOLDER|HUB_ID", help="The base model.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of both steps.")
@click.option("--only", type=click.Choice(("sft", "rl")), help="One of the two steps; R-GRPO then starts from --model.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change the recipe: rl.learning_rate=1e-5."
)
@click.option(
    "--per-device",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Rows or responses that a device reads at once.",
)
def command(
    recipe: Path | None,
    data: Path,
    model: str,
    out: Path,
    only: str | None,
    seed: int,
    assignments: tuple[str, ...],
    per_device: int,
) -> None:
    """Teach a model to look again: SFT on interleaved rows, then R-GRPO, with TRL. RECIPE is a YAML file.

    Without one the published numbers are used. Stopped at any moment, the same command goes on. On several devices:
    accelerate launch -m rap_plugin.cli r3 train ..

    A judge (RAP_JUDGE=MODEL@URL) is asked about answers that the rules call wrong.
    """
    from rap_plugin.trl_hooks.region_recipe import load_region_recipe
    from rap_plugin.trl_hooks.region_training import RegionTraining, train_regions
    from rap_plugin.vlm_r3.judging import region_judge

    other = {"sft": "rl", "rl": "sft"}.get(only or "")
    changed = load_region_recipe(recipe).changed([*assignments, *([f"{other}=null"] if other else [])])
    run = RegionTraining(data, model, out.absolute(), seed, per_device, region_judge(), click.echo)
    click.echo(f"model: {train_regions(changed, run)}")
