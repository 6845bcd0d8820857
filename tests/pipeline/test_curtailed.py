"""A curtailed and a full run of one pool agree, and whoever reads a curtailed one reads what is settled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.pipeline.compare import compare_runs
from rap_plugin.pipeline.metrics import metrics_of_run
from rap_plugin.pipeline.select import select_run
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.report.charts import accuracy_chart
from rap_plugin.report.sensitivity import measure_sensitivity
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.selectors.base import Selection
from rap_plugin.selectors.curtailed import stopped
from tests.fabricate import write_pool
from tests.pipeline.test_select import make_config


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(full, curtailed) runs of preset paper."""
    folder = tmp_path_factory.mktemp("curtailed")
    pool = write_pool(folder / "pool.parquet", 80, roles=False)
    rows = pq.read_table(pool)
    # The engine's answer to "What is number N?" is N.
    answers = pa.array([str(i) for i in range(80)])
    pq.write_table(rows.set_column(rows.column_names.index("answer"), "answer", answers), pool)
    for name, curtail in (("full", False), ("short", True)):
        select_run(make_config(pool, sampling__curtail=curtail), folder / name, quiet=True)
    return folder / "full", folder / "short"


@pytest.fixture(scope="module")
def short(runs: tuple[Path, Path]) -> Iterator[tuple[EvidenceStore, Selection]]:
    selection, store = load_selection(runs[1])
    with closing(store):
        assert 0 < stopped(selection.table).sum() < len(selection.table)
        yield store, selection


def test_a_curtailed_and_a_full_run_agree_and_what_is_not_known_is_not_said(runs: tuple[Path, Path]) -> None:
    comparison = compare_runs(runs, draws=3)
    full, curtailed = comparison.runs
    pair = comparison.pairs[0]
    assert pair.jaccard == 1.0
    assert all(list(counts) == [verdict] for verdict, counts in pair.flow.items())
    assert pair.known < pair.common
    assert pair.spearman is None
    assert full.counts == curtailed.counts
    assert full.stability is not None
    assert curtailed.stability is None


def test_the_metrics_of_a_curtailed_run_leave_out_what_is_not_known(runs: tuple[Path, Path]) -> None:
    full, short = map(metrics_of_run, runs)
    assert short["rap/share"] == full["rap/share"]
    assert set(full) - set(short) >= {"rap/stability", "rap/accuracy_blind"}


def test_the_command_says_what_a_curtailed_run_cannot_tell(runs: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["compare", *map(str, runs), "--draws", "3", "--quiet"]
    said = " ".join(CliRunner().invoke(cli, words).output.split())
    assert "curtailed: sampling stopped early for" in said
    assert "overlap 100.0%" in said
    assert re.search(r"rank correlation of discrepancy not known: only \d+ of the 80 common samples", said)
    found = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)
    assert [bool(run["stopped"]) for run in found["runs"]] == [False, True]
    result = CliRunner().invoke(cli, ["compare", str(runs[1]), "--quiet", "--out", str(tmp_path / "x.parquet")])
    assert isinstance(result.exception, RapError)
    assert "curtailed" in str(result.exception)


def test_the_sensitivity_of_a_curtailed_run_holds_what_the_full_run_says(
    runs: tuple[Path, Path], short: tuple[EvidenceStore, Selection]
) -> None:
    sensitivity = measure_sensitivity(*short)
    own = [outcome for outcome in sensitivity.lambda_c if outcome.own]
    assert [outcome.chosen for outcome in own] == [int(short[1].decision.chosen.sum())]
    assert sensitivity.left_out
    assert {f"λc = {outcome.label}" for outcome in sensitivity.lambda_c}.isdisjoint(sensitivity.left_out)
    before = config_of(read_run(runs[0]), runs[0])
    for outcome in sensitivity.lambda_c:
        config = load_config(flags={"selection.lambda_c": float(outcome.label)}, base=before)
        selection, store = load_selection(runs[0], config)
        with closing(store):
            assert outcome.counts == selection.decision.counts(), outcome.label


def test_the_report_and_the_card_of_a_curtailed_run_speak_of_it(
    runs: tuple[Path, Path], short: tuple[EvidenceStore, Selection]
) -> None:
    early = int(stopped(short[1].table).sum())
    page = " ".join((runs[1] / "report.html").read_text(encoding="utf-8").split())
    card = " ".join((runs[1] / "README.md").read_text(encoding="utf-8").split())
    assert "answered every problem up to 5 times with its images and up to 5 times without" in page
    assert f"For {early} of the 80 usable samples sampling stopped early" in page
    assert f"Only the {80 - early} samples that were sampled to the end" in page
    assert "Left out: λc = " in page
    assert f"For {early} samples sampling stopped early" in card
    assert "They rest on up to 5 rollouts per arm" in card
    for name in ("report.html", "README.md"):
        text = (runs[0] / name).read_text(encoding="utf-8")
        assert "up to 5" not in text
        assert "stopped early" not in text


def test_the_chart_of_accuracies_counts_samples_that_were_sampled_to_the_end(
    short: tuple[EvidenceStore, Selection],
) -> None:
    _, selection = short
    counts = [int(number) for number in re.findall(r">(\d+)</text>", accuracy_chart(selection))]
    assert sum(counts) == int((~stopped(selection.table)).sum())
