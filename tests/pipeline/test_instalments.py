"""`rap select --budget-rollouts`: part of the rollouts, and what the commands say of such a run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.config import load_config
from rap_plugin.errors import EmptySelection, RapError
from rap_plugin.pipeline.select import decide_run, select_run
from tests.fabricate import write_pool
from tests.pipeline.test_select import make_config, verdicts


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(pool, run by instalments): 40 % of 600 rollouts."""
    folder = tmp_path_factory.mktemp("instalments")
    pool = write_pool(folder / "pool.parquet", 60, roles=False)
    rows = pq.read_table(pool)
    # The engine's answer to "What is number N?" is N.
    answers = pa.array([str(i) for i in range(60)])
    pq.write_table(rows.set_column(rows.column_names.index("answer"), "answer", answers), pool)
    result = select_run(make_config(pool, sampling__budget_rollouts="40%"), folder / "run", quiet=True)
    assert 0 < result.sampled <= 240
    return pool, folder / "run"


def test_a_second_call_samples_nothing_and_full_evidence_decides_the_same(
    part: tuple[Path, Path], tmp_path: Path
) -> None:
    pool, run = part
    expected = verdicts(run)
    config = make_config(pool, sampling__budget_rollouts=0.4)
    assert select_run(config, run, quiet=True).sampled == 0
    assert verdicts(run) == expected
    full = select_run(make_config(pool), tmp_path / "full", quiet=True).run
    assert decide_run(full, config).sampled == 0
    assert verdicts(full) == expected


def test_other_thresholds_are_decided_over_what_is_stored_and_said_to_be(part: tuple[Path, Path]) -> None:
    pool, run = part
    other = make_config(pool, sampling__budget_rollouts=0.4, selection__lambda_c=0.7)
    notes = " ".join(decide_run(run, other).selection.decision.notes)
    assert "another configuration asked for" in notes
    decide_run(run, make_config(pool, sampling__budget_rollouts=0.4), report=True)


def test_the_scores_the_comparison_and_the_report_show_the_posterior(part: tuple[Path, Path]) -> None:
    _, run = part
    scores = pq.read_table(run / "scores.parquet")
    assert all(0 <= value <= 1 for value in scores["rap_probability"].to_pylist())
    assert {"rap_posterior_image", "rap_posterior_blind"} <= set(scores.column_names)
    said = CliRunner().invoke(cli, ["compare", str(run), "--draws", "4"], catch_exceptions=False).output
    assert "by instalments: sampling stopped early" in said
    assert "posterior: another full run is expected to overlap by" in said
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "selected by the full run" in page
    assert "the posterior success of a sample" in page
    assert CliRunner().invoke(cli, ["verify", str(run)], catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize("given", ["0", "-3", "1.5", "150%", "many"])
def test_a_budget_that_is_none_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(RapError, match=r"sampling\.budget_rollouts|--budget-rollouts"):
        load_config(flags={"sampling.budget_rollouts": given})


def test_a_budget_and_curtailment_exclude_each_other(part: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(RapError, match="instalments"):
        select_run(
            make_config(part[0], sampling__budget_rollouts=0.4, sampling__curtail=True), tmp_path / "x", quiet=True
        )


def test_a_budget_too_small_to_select_anything_is_named_as_the_reason(part: tuple[Path, Path], tmp_path: Path) -> None:
    pool, _ = part
    rows = pq.read_table(pool)
    wrong = pa.array(["none of them"] * len(rows))
    never = tmp_path / "never.parquet"
    pq.write_table(rows.set_column(rows.column_names.index("answer"), "answer", wrong), never)
    with pytest.raises(EmptySelection, match="are not_chosen; raise --budget-rollouts"):
        select_run(make_config(never, sampling__budget_rollouts=3), tmp_path / "run", quiet=True)
