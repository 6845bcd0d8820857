"""`rap plan`: costs follow from the pilot's counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.pipeline.planning import Pilot, Training, plan_modes
from tests.pipeline.test_select import PLUGIN


def pilot(share: float = 0.2, price: float = 1.0) -> Pilot:
    """A fifth of the rows is informative in 9 groups of 10, the others in 1 of 20; the selection is that fifth."""
    differs = np.where(np.arange(100) < 100 * share, 0.9, 0.05)
    chosen = differs > 0.5
    # 1 - p^5 - (1 - p)^5 is 0.94 at one half, and 0.05 at 0.01.
    success = np.tile(np.where(chosen, 0.5, 0.01), (2, 1))
    return Pilot(differs, chosen, np.where(chosen, 0.1, 0.4), 5, {"image": price, "blind": price}, success)


def test_costs_are_those_of_the_same_number_of_informative_groups() -> None:
    training = Training(pool=1000, steps=100, prompts=10, group=5, learning=2.0)
    modes = {mode.name: mode for mode in plan_modes(pilot(), training)}
    share = 0.2 * 0.9 + 0.8 * 0.05
    whole = modes["whole pool"]
    assert whole.training[0] == pytest.approx(5000)
    assert whole.seconds[0] == pytest.approx(5000 * 3)
    assert modes["whole pool, zero-variance filter"].seconds[0] == pytest.approx(5000 + 2 * 5000 * share)
    rap = modes["rap select"]
    assert rap.scoring == 2 * 5 * 1000
    assert rap.training[0] == pytest.approx(5000 * share / 0.9)
    assert rap.seconds[0] == pytest.approx(10_000 + 3 * 5000 * share / 0.9)
    assert modes["rap select by instalments"].seconds[0] == pytest.approx(rap.seconds[0] - 5000)
    assert modes["band"].scoring == 5000
    assert all(mode.seconds[1] <= mode.seconds[0] <= mode.seconds[2] for mode in modes.values())
    assert whole.share == (1.0, 1.0, 1.0)


def test_following_costs_what_it_costs_to_find_the_informative_ones() -> None:
    def share(steps: int) -> float:
        return plan_modes(pilot(), Training(pool=500, steps=steps, prompts=10, group=5))[-1].share[0]

    short, long = share(20), share(400)
    assert plan_modes(pilot(), Training(500, 20, 10, 5))[-1].name == "following"
    assert 1 > short > long > 0.23, "less than the whole pool, and more than if all were known at once"
    assert long < 0.6


def test_a_longer_training_makes_scoring_pay() -> None:
    def share(steps: int) -> float:
        modes = plan_modes(pilot(), Training(pool=1000, steps=steps, prompts=10, group=5))
        return next(mode.share[0] for mode in modes if mode.name == "rap select")

    assert share(30) > 1 > share(2000)
    assert share(2000) > 0.2


def test_a_selection_that_is_used_up_is_said_to_be() -> None:
    modes = plan_modes(pilot(), Training(pool=100, steps=2000, prompts=10, group=5))
    assert "used up" in next(mode.note for mode in modes if mode.name == "rap select")


def test_the_command_samples_a_pilot_once_and_prints_every_mode(tmp_path: Path, write_pool) -> None:
    pool, run = write_pool(40), tmp_path / "pilot"
    command = ["plan", str(pool), "--out", str(run), "--steps", "50", "--prompts", "8", "--pilot", "20", "--quiet"]
    command += ["--model", "m", "--engine", "ability", "--plugin", PLUGIN, "--grader", "text"]
    said = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert said.exit_code == 0
    assert "whole pool, zero-variance filter" in said.output
    assert "40 usable samples" in said.output
    again = CliRunner().invoke(cli, [*command, "--json"], catch_exceptions=False)
    modes = json.loads(again.output)
    assert modes[0]["name"] == "whole pool"
    assert json.loads((run / "cost.json").read_text())["total"]["rollouts"] == 200


def plan(pool: Path, run: Path, *words: str, code: int = 0) -> str:
    command = ["plan", str(pool), "--out", str(run), "--steps", "20", "--prompts", "4", "--quiet", *words]
    command += ["--model", "m", "--engine", "ability", "--plugin", PLUGIN, "--grader", "text"]
    said = CliRunner().invoke(cli, command)
    assert said.exit_code == code, said.output
    return str(said.exception) if isinstance(said.exception, RapError) else said.output


def test_a_larger_pilot_goes_on_where_the_smaller_one_was_and_the_error_names_options_that_the_command_has(
    tmp_path: Path, write_pool
) -> None:
    pool, run = write_pool(40), tmp_path / "pilot"
    plan(pool, run, "--pilot", "10")
    refused = plan(pool, run, "--pilot", "20", code=1)
    assert "--pilot=10, not 20" in refused
    assert "--extend" in refused
    plan(pool, run, "--pilot", "20", "--extend")
    assert json.loads((run / "cost.json").read_text())["total"]["rollouts"] == 200


def test_a_column_that_is_not_found_is_named_by_an_option_that_the_command_has(tmp_path: Path, write_pool) -> None:
    pool = write_pool(12)
    pq.write_table(pq.read_table(pool).drop_columns(["answer"]), pool)
    assert "name it with --set pool.answer" in plan(pool, tmp_path / "pilot", code=1)


def test_a_pool_that_a_configuration_ends_early_is_planned_as_that(tmp_path: Path, write_pool) -> None:
    said = plan(write_pool(40), tmp_path / "pilot", "--pilot", "10", "--set", "pool.limit=12")
    assert "12 usable samples" in said
