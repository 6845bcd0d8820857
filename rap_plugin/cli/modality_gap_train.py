"""`rap modality-gap train`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click


@click.command("train", short_help="Train a recipe, or write its launch script.")
@click.argument("recipe", required=False)
@click.option("--all", "every", is_flag=True, help="All six recipes, one after the other.")
@click.option(
    "--data", required=True, metavar="FILE|FOLDER", help="Pairs, as `prepare --condition contrastive` writes them."
)
@click.option("--model", required=True, metavar="FOLDER|HUB_ID", help="The base model.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of checkpoints.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Seed; several give several trainings. Default 0.")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change the recipe: training.prompts=64."
)
@click.option(
    "--host", type=click.Choice(("trl", "openrlhf", "verl")), default="trl", show_default=True, help="Who trains."
)
@click.option("--per-device", type=int, default=4, show_default=True, help="Responses that a device reads at once.")
@click.option("--evaluate", metavar="POOL", help="Measure the gap of every kept checkpoint on this pool with facts.")
@click.option("--evaluate-split", metavar="NAME", help="Split of that pool.")
@click.option("--evaluate-limit", type=click.IntRange(min=1), help="Its first N rows only.")
@click.option("--evaluate-engine", default="hf", show_default=True, help="What samples there.")
def command(
    recipe: str | None,
    every: bool,
    data: str,
    model: str,
    out: Path,
    seeds: tuple[int, ...],
    assignments: tuple[str, ...],
    host: Literal["trl", "openrlhf", "verl"],
    per_device: int,
    evaluate: str | None,
    evaluate_split: str | None,
    evaluate_limit: int | None,
    evaluate_engine: str,
) -> None:
    """Train RECIPE (full_text, no_text, mix, curriculum, contrastive_kl, kl_curriculum, or a YAML file) with TRL.

    What RECIPE starts from is trained first. Stopped at any moment, the same command goes on. On several GPUs:
    accelerate launch -m rap_plugin.cli modality-gap train ..

    With --evaluate, the base, every checkpoint that was kept and the end are measured in both conditions when all is trained,
    into gap.jsonl files under OUT: draw them with `rap modality-gap report OUT`.

    With --host openrlhf or verl, OUT/RECIPE-HOST.sh is written instead, and --data is a folder with text/, image/ and, where the
    recipe needs it, contrastive/ as `prepare` writes them.
    """
    from rap_plugin.config import PoolConfig
    from rap_plugin.errors import RapError
    from rap_plugin.modality_gap.launch import launch_script, write_script
    from rap_plugin.modality_gap.recipes import RECIPES, load_recipe, with_changes
    from rap_plugin.samples.opening import open_pool
    from rap_plugin.trl_hooks.modality_gap import TrainingRun, train
    from rap_plugin.trl_hooks.modality_gap_states import Evaluation
    from rap_plugin.trl_hooks.modality_gap_states import evaluate as measure_states

    if every == (recipe is not None):
        raise RapError(f"give one recipe or --all; recipes: {', '.join(RECIPES)}")
    if evaluate and host != "trl":
        raise RapError(
            f"--evaluate measures what TRL trains here; --host {host} trains elsewhere: see modality-gap measure"
        )
    asked = [load_recipe(recipe)] if recipe else list(RECIPES.values())
    pool = PoolConfig(path=evaluate or "", split=evaluate_split, limit=evaluate_limit, facts="auto")
    if evaluate:
        open_pool(pool)  # what cannot be opened is said before hours of training
    trained = []
    for seed in seeds or (0,):
        for one in asked:
            changed, known = with_changes(one, assignments)
            if host != "trl":
                # The script is run from anywhere.
                weights = str(Path(model).absolute()) if Path(model).is_dir() else model
                script = launch_script(
                    host, changed, known, str(Path(data).absolute()), weights, str(out.absolute()), seed
                )
                name = f"{changed.name}-{host}" + (f"-{seed}" if len(seeds) > 1 else "")
                click.echo(write_script(out / f"{name}.sh", script))
                continue
            run = TrainingRun(Path(data), model, out.absolute(), seed, per_device, click.echo)
            click.echo(f"{changed.name} (seed {seed}): {train(changed, run, known)}")
            trained.append((changed, run, known))
    if evaluate:
        for changed, run, known in trained:
            measure_states(changed, run, Evaluation(pool, evaluate_engine), known)
