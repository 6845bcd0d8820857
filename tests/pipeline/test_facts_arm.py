"""The third arm: the facts of the image in words, sampled only where a selection reads it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin import RapError, RunConfig, decide_run, select_run
from rap_plugin.executors.prompts import make_prompt, prompt_hash
from rap_plugin.pipeline.compare import resample
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.pipeline.verify import verify_run
from rap_plugin.samples.conditions import text_prompt
from rap_plugin.samples.sample import Sample
from tests.conftest import png
from tests.pipeline.test_select import make_config

GAP = {"selection__selector": "gap"}


@pytest.fixture
def pool(tmp_path: Path, write_pool: Any) -> Path:
    """Thirty numbered problems with facts."""
    return with_facts(write_pool(30), "There is one number")


def with_facts(path: Path, fact: str) -> Path:
    table = pq.read_table(path)
    facts = pa.array([[fact, "It is a number"]] * len(table))
    names = [name for name in table.column_names if name != "facts"]
    pq.write_table(table.select(names).append_column("facts", facts), path)
    return path


def test_a_gap_selection_samples_three_arms_and_keeps_what_the_image_costs(pool: Path, tmp_path: Path) -> None:
    result = select_run(make_config(pool, **GAP), tmp_path / "run", quiet=True)
    assert result.sampled == 30 * 3 * 5
    rows = pq.read_table(result.run / "scores.parquet").to_pylist()
    for row in rows:
        assert row["rap_modality_gap"] == pytest.approx(row["rap_acc_facts"] - row["rap_acc_image"])
        assert row["rap_acc_facts"] == row["rap_right_facts"] / row["rap_rollouts_facts"]
        assert (row["rap_verdict"] == "selected") == (row["rap_modality_gap"] > 0.3)
    assert 0 < sum(row["rap_verdict"] == "selected" for row in rows) < 30
    assert verify_run(result.run)


def test_a_run_without_it_has_no_third_arm_and_samples_it_alone_when_asked(pool: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    select_run(make_config(pool, log), run, quiet=True)
    before = (run / "scores.parquet").read_bytes()
    assert "rap_acc_facts" not in pq.read_schema(run / "scores.parquet").names
    with pytest.raises(
        RapError, match="30 samples lack rollouts that this configuration needs; `rap select` samples them"
    ):
        decide_run(run, make_config(pool, **GAP))
    asked = len(log.read_text().splitlines())
    assert select_run(make_config(pool, log, **GAP), run, quiet=True).sampled == 30 * 5
    assert {line.split()[1] for line in log.read_text().splitlines()[asked:]} == {"facts"}
    # The two arms of RAP decide as before, to the byte, without an engine.
    decide_run(run, make_config(pool, log))
    assert (run / "scores.parquet").read_bytes() == before


def test_other_facts_are_other_evidence_and_the_other_arms_stay(pool: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    select_run(make_config(pool, log, **GAP), run, quiet=True)
    assert select_run(make_config(pool, log, **GAP), run, quiet=True).sampled == 0
    with_facts(pool, "There is another number")
    asked = len(log.read_text().splitlines())
    assert select_run(make_config(pool, log, **GAP), run, quiet=True).sampled == 30 * 5
    assert {line.split()[1] for line in log.read_text().splitlines()[asked:]} == {"facts"}


def test_top_ranks_by_the_gap_and_a_bootstrap_over_rollouts_draws_all_arms(pool: Path, tmp_path: Path) -> None:
    options = {"selection__selector": "top", "selection__score": "modality_gap", "selection__keep": 0.2}
    result = select_run(make_config(pool, **options), tmp_path / "run", quiet=True)
    chosen = [
        row for row in pq.read_table(result.run / "scores.parquet").to_pylist() if row["rap_verdict"] == "selected"
    ]
    assert len(chosen) == 6
    selection, store = load_selection(result.run)
    with closing(store):
        found = resample(store, selection, draws=5)
    assert found.probability[selection.decision.chosen].mean() > 0.4


def test_the_prompt_shows_facts_beside_the_images() -> None:
    sample = Sample("a" * 32, 0, "<image>Is <image> larger?", "1", (png(1), png(2)), facts=("AB = 3", "BC = 4"))
    config = RunConfig.model_validate({"prompt": {"instruction": "Box it."}}).prompt
    prompt = make_prompt(sample, "facts", config)
    assert prompt.text == f"<image>{text_prompt(('AB = 3', 'BC = 4'), 'Is <image> larger?')} Box it."
    assert len(prompt.images) == 2
    assert len({prompt_hash(arm, config) for arm in ("image", "blind", "facts")}) == 3  # type: ignore[arg-type]


def test_a_pool_without_facts_and_a_host_that_builds_prompts_are_refused(write_pool: Any, tmp_path: Path) -> None:
    with pytest.raises(RapError, match="no column facts or clauses"):
        select_run(make_config(write_pool(6), **GAP), tmp_path / "one", quiet=True)
    pool = with_facts(write_pool(6), "x")
    with pytest.raises(RapError, match="shows facts in words in rap's own prompts"):
        select_run(make_config(pool, prompt__host_recipe="trl", **GAP), tmp_path / "two", quiet=True)
