"""The numbers that a training logs of its selection."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rap_plugin import load_selection
from rap_plugin.pipeline.compare import compare_runs
from rap_plugin.pipeline.metrics import STABILITY_DRAWS, metrics_of_run, selection_metrics
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = fabricate(tmp_path_factory.mktemp("metrics"))
    found.store.close()
    return found.run


def test_they_are_those_of_the_runs_files(made: Path) -> None:
    found = metrics_of_run(made)
    scores = pq.read_table(made / "scores.parquet").to_pylist()
    selected = pq.read_table(made / "selected.parquet").to_pylist()
    between = [row for row in selected if 0 < row["rap_acc_image"] < 1]
    cost = json.loads((made / "cost.json").read_text())["total"]
    assert found["rap/selected"] == len(selected)
    assert found["rap/share"] == pytest.approx(len(selected) / len(scores))
    assert found["rap/informative"] == pytest.approx(len(between) / len(selected))
    assert found["rap/selection_seconds"] == cost["seconds"]
    assert found["rap/selection_rollouts"] == cost["rollouts"]
    verdicts = {name: value for name, value in found.items() if name.startswith("rap/verdict/")}
    assert sum(verdicts.values()) == pytest.approx(1)
    for name, share in verdicts.items():
        assert share == pytest.approx(
            sum(row["rap_verdict"] == name.rpartition("/")[2] for row in scores) / len(scores)
        )


def test_the_stability_is_that_of_rap_compare(made: Path) -> None:
    (view,) = compare_runs([made], draws=STABILITY_DRAWS).runs
    assert view.stability is not None
    assert metrics_of_run(made)["rap/stability"] == view.stability.agreement < 1


def test_what_stayed_is_known_beside_an_earlier_selection_only(made: Path) -> None:
    selection, store = load_selection(made)
    with closing(store):
        rows = selection.table.rows[selection.decision.chosen].tolist()
    assert "rap/stayed" not in metrics_of_run(made)
    assert selection_metrics(selection, made, before=rows)["rap/stayed"] == 1
    assert selection_metrics(selection, made, before=rows[1:])["rap/stayed"] == pytest.approx(1 - 1 / len(rows))
