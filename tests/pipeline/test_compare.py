"""Runs beside each other: overlap, flows, rank correlation and the bootstrap."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.cli import cli
from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.pipeline.compare import compare_runs, resample, spearman
from rap_plugin.pipeline.select import decide_run
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.run_dir.about import config_of, read_run
from tests.fabricate import fabricate, finished, write_pool


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs over one pool, with rollouts drawn anew."""
    folder = tmp_path_factory.mktemp("pair")
    pool = write_pool(folder / "pool.parquet", 150, broken=3)
    return finished(folder, pool=pool, seed=1), finished(folder, pool=pool, seed=2)


def verdicts(run: Path) -> dict[str, str]:
    rows = pq.read_table(run / "scores.parquet", columns=["rap_id", "rap_verdict"]).to_pylist()
    return {row["rap_id"]: row["rap_verdict"] for row in rows}


def test_overlap_and_flow_are_those_of_the_written_scores(pair: tuple[Path, Path]) -> None:
    comparison = compare_runs(pair, draws=0)
    first, second = map(verdicts, pair)
    chosen = [
        {key for key, word in words.items() if word in ("selected", "hard_replacement")} for words in (first, second)
    ]
    found = comparison.pairs[0]
    assert 0 < found.jaccard < 1
    assert found.jaccard == len(chosen[0] & chosen[1]) / len(chosen[0] | chosen[1])
    assert found.common == 147
    for before, counts in found.flow.items():
        for after, number in counts.items():
            assert number == sum(first[key] == before and second[key] == after for key in first)
    assert sum(sum(counts.values()) for counts in found.flow.values()) == 147


def test_a_run_is_the_same_as_itself(pair: tuple[Path, Path]) -> None:
    found = compare_runs([pair[0], pair[0]], draws=0).pairs[0]
    assert found.jaccard == 1.0
    assert found.spearman == pytest.approx(1.0)
    assert all(list(counts) == [verdict] for verdict, counts in found.flow.items())


def test_options_that_make_two_runs_differ_are_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    instruction = "Think first. " * 10
    other = finished(tmp_path, pool=pair[0].parent / "pool.parquet", seed=5, prompt__instruction=instruction)
    found = compare_runs([pair[0], other], draws=0).pairs[0].differ
    assert set(found) == {"prompt.instruction"}
    assert found["prompt.instruction"][1] == instruction
    shown = CliRunner().invoke(cli, ["compare", str(pair[0]), str(other), "--draws", "0"]).output
    named = next(line for line in shown.splitlines() if line.strip().startswith("prompt.instruction: "))
    assert ' and "Think first. ' in named
    assert instruction not in shown


def test_samples_of_another_pool_are_absent_and_quarantined_ones_are_named(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    pool = write_pool(tmp_path / "pool.parquet", 150, broken=3)
    smaller = tmp_path / "smaller.parquet"
    pq.write_table(pq.read_table(pool).slice(0, 100), smaller)
    found = compare_runs([pair[0], finished(tmp_path, pool=smaller, seed=5)], draws=0).pairs[0]
    assert found.common == 100
    assert sum(counts.get("not in the pool", 0) for counts in found.flow.values()) == 47


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=40))
def test_rank_correlation_is_scipys(points: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the reference here")
    x, y = np.array(points, dtype=float).T
    found = spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_rank_correlation_leaves_out_what_is_not_a_number() -> None:
    assert spearman(np.array([1.0, np.nan, 2, 3]), np.array([5.0, 9, 6, np.nan])) is None
    assert spearman(np.array([1.0, np.nan, 2, 3]), np.array([5.0, 9, 6, 7])) == pytest.approx(1.0)


def test_the_bootstrap_is_the_one_that_plain_python_makes(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 40, seed=4, broken=0)
    with closing(made.store):
        table = made.selection.table
        stability = resample(made.store, made.selection, draws=7, seed=11)
        order = np.argsort(table.ids, kind="stable")
        expected = np.zeros(len(table))
        records: dict[tuple[int, str], list[tuple[bool, float | None]]] = {}
        for record in made.store.records(table.probes, table.sample.tolist(), "psi_window_max_10"):
            records.setdefault((record.sample, record.arm), []).append((record.verdict == "right", record.log_psi))
        for draw in range(7):
            random = np.random.Generator(np.random.Philox(key=[11, draw]))
            picks = {}
            for arm in ("image", "blind"):
                numbers = random.integers(0, 5, (len(table), 5))
                picks[arm] = {int(table.sample[i]): numbers[k] for k, i in enumerate(order)}
            rights, psi = {}, []
            for arm in ("image", "blind"):
                rights[arm] = np.array(
                    [sum(records[s, arm][i][0] for i in picks[arm][s]) for s in table.sample.tolist()]
                )
            for number in table.sample.tolist():
                psi.append(max(records[number, "image"][i][1] for i in picks["image"][number]))
            arms = {arm: replace(table.arms[arm], right=rights[arm]) for arm in ("image", "blind")}
            again = replace(
                table, arms=arms, statistics={**table.statistics, ("psi_window_max_10", "max"): np.array(psi)}
            )
            from rap_plugin.selectors.rap import select_rap

            gain, wrong = (rights["image"] - rights["blind"]) / 5, (5 - rights["image"]) / 5
            scores = {
                "discrepancy": gain,
                "difficulty": wrong,
                "log_psi": np.array(psi),
                "acc_image": rights["image"] / 5,
                "acc_blind": rights["blind"] / 5,
            }
            expected += select_rap(again, scores, made.config).chosen
        assert np.array_equal(stability.probability, expected / 7)
        assert 0 < stability.probability.max() <= 1


def test_the_bootstrap_does_not_depend_on_row_order(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.parquet", 60)
    made = fabricate(tmp_path / "a", pool=pool, seed=3)
    table = made.selection.table
    with closing(made.store):
        forward = resample(made.store, made.selection, draws=5, seed=0)
        turn = np.arange(len(table))[::-1]
        turned = replace(
            table,
            **{name: getattr(table, name)[turn] for name in ("sample", "ids", "rows", "images")},
            arms={
                arm: replace(counts, **{name: getattr(counts, name)[turn] for name in counts.__dataclass_fields__})
                for arm, counts in table.arms.items()
            },
            statistics={key: values[turn] for key, values in table.statistics.items()},
        )
        decision = replace(made.selection.decision, verdicts=made.selection.decision.verdicts[turn])
        backward = resample(made.store, replace(made.selection, table=turned, decision=decision), draws=5, seed=0)
    assert np.array_equal(forward.probability, backward.probability[turn])
    assert forward.agreement == backward.agreement


def test_the_bootstrap_is_sure_where_every_rollout_agrees(tmp_path: Path) -> None:
    with closing((made := fabricate(tmp_path, 80, seed=6)).store):
        stability = resample(made.store, made.selection, draws=20, seed=0)
        never = made.selection.decision.verdicts == "unsolved"
        assert never.any()
        assert (stability.probability[never] == 0).all()
        low, high = stability.size_interval
        assert low <= stability.size <= high
        assert stability.open > 0


def test_another_seed_draws_other_rollouts_and_the_same_seed_the_same(pair: tuple[Path, Path]) -> None:
    selection, store = load_selection(pair[0])
    with closing(store):
        first, again, other = (resample(store, selection, draws=6, seed=seed).probability for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_runs_of_another_selector_are_resampled_by_that_selector(tmp_path: Path) -> None:
    run = finished(tmp_path, samples=60, seed=8)
    before = config_of(read_run(run), run)
    decide_run(run, load_config(flags={"selection.selector": "random", "selection.keep": 0.25}, base=before))
    stability = compare_runs([run], draws=5).runs[0].stability
    assert stability is not None
    # A random draw looks at no rollout, so nothing moves.
    assert stability.agreement == 1.0
    assert stability.open == 0


def test_a_run_that_is_brought_to_a_size_is_resampled_at_that_size(tmp_path: Path) -> None:
    run = finished(tmp_path, samples=60, seed=8)
    flags = {"selection.selector": "random", "selection.keep": 0.25, "selection.size_multiple": 16}
    decide_run(run, load_config(flags=flags, base=config_of(read_run(run), run)))
    stability = compare_runs([run], draws=3).runs[0].stability
    assert stability is not None
    assert (stability.size, stability.agreement) == (16.0, 1.0)


def test_a_draw_that_leaves_too_few_samples_to_cut_counts_as_an_empty_selection(tmp_path: Path) -> None:
    run = finished(tmp_path, samples=60, seed=8)
    before = config_of(read_run(run), run)
    chosen = int(decide_run(run, before).selection.decision.chosen.sum())
    flags = {"selection.size_minimum": chosen, "selection.size_by": "cut"}
    decide_run(run, load_config(flags=flags, base=before))
    stability = compare_runs([run], draws=40).runs[0].stability
    assert stability is not None
    assert 0 < stability.unfit < 40
    assert stability.size_interval[0] == 0
    text = CliRunner().invoke(cli, ["compare", str(run), "--draws", "40", "--quiet"]).output
    assert f"{stability.unfit} of the draws leave fewer samples than the training needs" in text


def test_the_command_prints_prose_or_json_and_writes_probabilities(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "probabilities.parquet"
    runs = [str(run) for run in pair]
    result = CliRunner().invoke(cli, ["compare", *runs, "--draws", "4", "--quiet", "--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [run["run"] for run in found["runs"]] == runs
    assert found["runs"][0]["stability"]["draws"] == 4
    assert found["pairs"][0]["flow"]
    written = pq.read_table(out)
    assert len(written) == 2 * 147
    assert set(written["rap_probability"].to_pylist()) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    text = CliRunner().invoke(cli, ["compare", *runs, "--draws", "4", "--quiet"]).output
    assert "selected by both: overlap" in text
    assert "resampled 4 times" in text


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RapError, match="no run directory of rap"):
        compare_runs([tmp_path])
    with pytest.raises(RapError, match="no run given"):
        compare_runs([])


def test_probabilities_without_draws_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["compare", str(pair[0]), "--draws", "0", "--out", str(tmp_path / "x.parquet")])
    assert isinstance(result.exception, RapError)
    assert "leave --draws above 0" in str(result.exception)
