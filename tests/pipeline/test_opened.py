"""A run from Python: what it tells is what its files hold, and nothing that is asked of it changes them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import rap_plugin
from rap_plugin.errors import RapError
from rap_plugin.pipeline.opened import Run, dotted_name
from rap_plugin.pipeline.selection import load_selection
from tests.fabricate import finished

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("opened"), samples=90, text=HOSTILE)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return rap_plugin.open_run(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the evidence, which SQLite may tidy up when it is closed."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("evidence")}


def test_scores_and_verdicts_are_those_of_the_files(run: Run, folder: Path) -> None:
    written = pq.read_table(folder / "scores.parquet")
    assert run.scores.equals(written)
    verdicts = written["rap_verdict"].to_pylist()
    assert run.verdicts == {word: verdicts.count(word) for word in run.verdicts}
    assert sum(run.verdicts.values()) == len(run) == len(run.scores.to_pandas())


def test_the_selected_rows_are_a_dataset_with_their_images(run: Run, folder: Path) -> None:
    pytest.importorskip("datasets")
    found, written = run.selected(), pq.read_table(folder / "selected.parquet")
    assert found.column_names == written.column_names
    assert found["rap_id"][:] == written["rap_id"].to_pylist()
    assert found[0]["images"][0]["bytes"] == written["images"].to_pylist()[0][0]["bytes"]


def test_a_run_stands_for_its_folder_unless_it_is_another_decision(run: Run, folder: Path, tmp_path: Path) -> None:
    assert rap_plugin.verify(run) == rap_plugin.verify(folder)
    assert rap_plugin.compare([run], draws=0).runs[0].run == str(folder)
    assert rap_plugin.export(run, "jsonl", tmp_path / "rows").rows == run.selected().num_rows
    other = run.decide(lambda_c=0.3)
    for use in (rap_plugin.verify, lambda one: rap_plugin.export(one, "jsonl", tmp_path / "other")):
        with pytest.raises(RapError, match="this decision is not written"):
            use(other)
    assert not (tmp_path / "other").exists()
    assert Path(run.decide(lambda_c=run.config.selection.lambda_c)) == folder


def test_scores_are_data_frames_too(run: Run) -> None:
    assert run.to_pandas()["rap_verdict"].value_counts().to_dict() == run.verdicts
    if importlib.util.find_spec("polars") is None:
        with pytest.raises(RapError, match="pip install polars"):
            run.to_polars()
    else:
        assert run.to_polars()["rap_id"].to_list() == run.scores["rap_id"].to_pylist()


def test_another_decision_is_that_of_rap_decide_and_writes_nothing(run: Run, folder: Path) -> None:
    before = contents(folder)
    other = run.decide(lambda_c=0.3, window=20, keep=0.2)
    config = rap_plugin.load_config(
        flags={"selection.lambda_c": 0.3, "ace.window": 20, "selection.keep": 0.2}, base=run.config
    )
    expected, store = load_selection(folder, config)
    store.close()
    assert other.verdicts == expected.decision.counts() != run.verdicts
    assert other.decide(keep=None, lambda_c=0.5, window=10).verdicts == run.verdicts
    assert contents(folder) == before


def test_a_sample_comes_with_its_images_and_rollouts(run: Run) -> None:
    row = run.scores.to_pylist()[5]
    sample = run.sample(row["rap_id"][:14])
    assert sample.verdict == row["rap_verdict"]
    assert sample.scores["discrepancy"] == row["rap_discrepancy"]
    assert [len(found) for found in sample.rollouts.values()] == [5, 5]
    assert sum(record.verdict == "right" for record in sample.rollouts["image"]) == row["rap_right_image"]
    assert sample.pictures[0].size == (48, 48)


@pytest.mark.parametrize(
    ("keyword", "says"),
    [("lambda_d", "did you mean lambda_c"), ("model", "unknown option"), ("grader", "unknown option")],
)
def test_a_keyword_that_is_no_such_option_is_refused(run: Run, keyword: str, says: str) -> None:
    with pytest.raises(RapError, match=says):
        run.decide(**{keyword: 1})


def test_a_keyword_of_two_sections_is_named_with_its_section() -> None:
    with pytest.raises(RapError, match="sampling__seed or selection__seed"):
        dotted_name("seed")
    assert dotted_name("sampling__seed") == "sampling.seed"


def test_an_id_of_no_one_sample_is_refused(run: Run) -> None:
    with pytest.raises(RapError, match="no sample"):
        run.sample("nothing")
    with pytest.raises(RapError, match="samples with an id"):
        run.sample(run.scores["rap_id"][0].as_py()[:1])


def test_what_is_printed_is_short_and_names_the_counts(run: Run) -> None:
    for shown in (repr(run), repr(run.selection), repr(run.sample(run.scores["rap_id"][0].as_py()))):
        assert len(shown) < 300
        assert "\n" not in shown
    assert f"selected {run.verdicts['selected']}" in repr(run)


def test_a_notebook_shows_flow_verdicts_and_samples_and_no_markup_of_a_model(run: Run) -> None:
    page = run._repr_html_()
    assert "data:image/svg+xml;base64," in page
    assert "data:image/png;base64," in page
    assert all(f"<td>{count}</td>" in page for count in run.verdicts.values())
    assert "<script" not in page


def test_everything_public_is_there_documented_and_costs_no_heavy_import() -> None:
    for name in rap_plugin.__all__:
        assert name == "__version__" or getattr(rap_plugin, name).__doc__ or name == "hookimpl", name
    code = (
        "import rap_plugin, sys; rap_plugin.__version__; "
        "assert not {'torch', 'datasets', 'transformers', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
