"""The pipeline on a real pool, store and grader, with an engine that answers by ability."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin import RapError, RunConfig, decide_run, load_config, select_run
from rap_plugin.pipeline import probing
from rap_plugin.pipeline.verify import verify_run
from tests.fabricate import finished

PLUGIN = str(Path(__file__).parents[1] / "ability_engine.py")


def make_config(pool: Path, log: Path | None = None, assignments: tuple[str, ...] = (), **flags: Any) -> RunConfig:
    values = {"pool.path": str(pool), "model.id": "m", "model.engine": "ability", "plugins": [PLUGIN]}
    values |= {"grading.grader": "text", "selection.lambda_c": 0.3}
    if log:
        values["model.options"] = {"log": str(log)}
    return load_config(flags={**values, **{k.replace("__", "."): v for k, v in flags.items()}}, assignments=assignments)


def verdicts(run: Path) -> dict[str, str]:
    table = pq.read_table(run / "scores.parquet")
    return dict(zip(table["rap_id"].to_pylist(), table["rap_verdict"].to_pylist(), strict=True))


def test_a_run_directory_holds_everything_that_the_design_names(tmp_path: Path, write_pool) -> None:
    pool = write_pool(40)
    result = select_run(make_config(pool), tmp_path / "run", quiet=True)
    names = {path.name for path in result.run.iterdir()}
    assert names >= {
        "run.json", "evidence.sqlite", "scores.parquet", "selected.parquet", "quarantine.parquet", "report.html",
        "README.md", "cost.json",
    }  # fmt: skip
    scores = pq.read_table(result.run / "scores.parquet")
    for column in ["id", "acc_image", "acc_blind", "discrepancy", "psi", "difficulty", "verdict", "reason"]:
        assert f"rap_{column}" in scores.column_names
    assert scores.num_rows + pq.read_table(result.run / "quarantine.parquet").num_rows == 40
    assert result.sampled == 40 * 10
    assert verify_run(result.run)


def test_selected_rows_keep_their_original_columns_and_image_bytes(tmp_path: Path, write_pool) -> None:
    pool = write_pool(40)
    select_run(make_config(pool), tmp_path / "run", quiet=True)
    original = pq.read_table(pool)
    selected = pq.read_table(tmp_path / "run" / "selected.parquet")
    assert 0 < selected.num_rows < 40
    for name in original.column_names:
        assert selected.schema.field(name).type == original.schema.field(name).type
    by_answer = {row["answer"]: row for row in original.to_pylist()}
    for row in selected.to_pylist():
        assert {name: row[name] for name in original.column_names} == by_answer[row["answer"]]
        assert row["rap_verdict"] in ("selected", "hard_replacement")


def test_a_second_run_samples_nothing_and_writes_the_same_bytes(tmp_path: Path, write_pool) -> None:
    pool, log = write_pool(30), tmp_path / "log"
    first = select_run(make_config(pool, log), tmp_path / "run", quiet=True)
    before = {name: (first.run / name).read_bytes() for name in ("selected.parquet", "scores.parquet")}
    asked = log.read_text()
    second = select_run(make_config(pool, log), tmp_path / "run", quiet=True)
    assert second.sampled == 0
    assert log.read_text() == asked
    assert before == {name: (first.run / name).read_bytes() for name in before}


def test_evidence_on_the_local_disk_gives_the_same_run_and_survives_the_loss_of_it(tmp_path: Path, write_pool) -> None:
    pytest.importorskip("fsspec", reason="a bucket is reached through fsspec")
    pool, log = write_pool(20), tmp_path / "log"
    place = {"storage__snapshots": f"file://{tmp_path}/bucket", "storage__local_dir": str(tmp_path / "disk")}
    select_run(make_config(pool), tmp_path / "plain", quiet=True)
    run = select_run(make_config(pool, log, **place), tmp_path / "run", quiet=True).run
    asked = log.read_text()
    wanted = (tmp_path / "plain" / "scores.parquet").read_bytes()
    assert (run / "scores.parquet").read_bytes() == wanted
    assert verify_run(run)
    decide_run(run, make_config(pool, **place))
    shutil.rmtree(run)
    again = select_run(make_config(pool, log, **place), tmp_path / "run", quiet=True)
    assert again.sampled == 0
    assert log.read_text() == asked
    assert (run / "scores.parquet").read_bytes() == wanted
    assert not list((tmp_path / "disk").iterdir())


def test_a_run_in_rays_copy_of_the_working_directory_is_refused(tmp_path: Path, write_pool) -> None:
    copy = tmp_path / "session_1" / "runtime_resources" / "working_dir_files" / "_ray_pkg_0123456789abcdef"
    with pytest.raises(RapError, match=r"in Ray's copy of the job's working directory, .*choose another --out"):
        select_run(make_config(write_pool(4)), copy / "run", quiet=True)
    assert not copy.exists()


def test_a_job_that_is_submitted_again_finds_its_images_under_another_name_and_goes_on(
    tmp_path: Path, write_pool
) -> None:
    pool, log = write_pool(12), tmp_path / "log"
    copies = tmp_path / "session_1" / "runtime_resources" / "working_dir_files"
    for name in ("_ray_pkg_0123456789abcdef", "_ray_pkg_fedcba9876543210"):
        (copies / name).mkdir(parents=True)
        result = select_run(make_config(pool, log, pool__image_root=str(copies / name)), tmp_path / "run", quiet=True)
    assert result.sampled == 0
    with pytest.raises(RapError, match="holds a run with --image-root"):
        select_run(make_config(pool, log, pool__image_root=str(tmp_path)), tmp_path / "run", quiet=True)


def test_shuffled_rows_keep_their_verdicts_and_their_evidence(tmp_path: Path, write_pool) -> None:
    order = list(range(40))
    random.Random(1).shuffle(order)
    log = tmp_path / "log"
    select_run(make_config(write_pool(40, "one.parquet"), log), tmp_path / "run", quiet=True)
    before, asked = verdicts(tmp_path / "run"), log.read_text()
    shuffled = write_pool(40, "two.parquet", order)
    select_run(make_config(shuffled, log), tmp_path / "run", extend=True, quiet=True)
    assert verdicts(tmp_path / "run") == before
    assert log.read_text() == asked
    rows = pq.read_table(tmp_path / "run" / "scores.parquet")["rap_row"].to_pylist()
    assert rows == list(range(40))


@pytest.mark.parametrize("batch_size", [1, 7, 400])
def test_the_batch_size_changes_no_verdict(tmp_path: Path, write_pool, batch_size: int) -> None:
    pool = write_pool(30)
    select_run(make_config(pool), tmp_path / "one", quiet=True)
    select_run(make_config(pool, model__batch_size=batch_size), tmp_path / "two", quiet=True)
    assert (tmp_path / "one" / "scores.parquet").read_bytes() == (tmp_path / "two" / "scores.parquet").read_bytes()


def test_new_thresholds_need_no_engine(tmp_path: Path, write_pool) -> None:
    pool, log = write_pool(40), tmp_path / "log"
    config = make_config(pool, log)
    select_run(config, tmp_path / "run", quiet=True)
    asked, before = log.read_text(), verdicts(tmp_path / "run")
    loose = load_config(flags={"selection.lambda_c": 0.0, "selection.drm": False}, base=config)
    result = decide_run(tmp_path / "run", loose)
    assert log.read_text() == asked
    assert verdicts(tmp_path / "run") != before
    assert result.selection.decision.chosen.sum() == list(verdicts(tmp_path / "run").values()).count("selected")
    decide_run(tmp_path / "run", config)
    assert verdicts(tmp_path / "run") == before


def test_another_grader_grades_the_stored_texts_again(tmp_path: Path, write_pool) -> None:
    pool, log = write_pool(20), tmp_path / "log"
    config = make_config(pool, log, selection__selector="random", sampling__curtail=False)
    select_run(config, tmp_path / "run", quiet=True)
    asked = log.read_text()
    reward = tmp_path / "reward.py"
    reward.write_text("def always(response, gold):\n    return 1.0\n")
    generous = load_config(flags={"grading.grader": f"{reward}:always"}, base=config)
    decide_run(tmp_path / "run", generous)
    assert log.read_text() == asked
    assert set(pq.read_table(tmp_path / "run" / "scores.parquet")["rap_acc_blind"].to_pylist()) == {1.0}


def test_more_rollouts_sample_only_what_is_missing(tmp_path: Path, write_pool) -> None:
    pool, log = write_pool(20), tmp_path / "log"
    select_run(make_config(pool, log, sampling__rollouts=2), tmp_path / "run", quiet=True)
    more = select_run(make_config(pool, log, sampling__rollouts=5), tmp_path / "run", extend=True, quiet=True)
    assert more.sampled == 20 * 2 * 3
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 20 * 2 * 5
    fewer = select_run(make_config(pool, log, sampling__rollouts=2), tmp_path / "run", extend=True, quiet=True)
    assert fewer.sampled == 0
    assert fewer.selection.table.arms["image"].stored.tolist() == [2] * 20


def test_one_sample_that_the_engine_fails_on_goes_to_quarantine_and_the_rest_goes_on(
    tmp_path: Path, write_pool
) -> None:
    pool = write_pool(20)
    result = select_run(make_config(pool, model__options={"fail": "3"}), tmp_path / "run", quiet=True)
    quarantine = pq.read_table(tmp_path / "run" / "quarantine.parquet").to_pylist()
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [(3, "engine_error")]
    assert len(result.selection.table) == 19


@pytest.mark.parametrize("blind", ["blank", "noise", "shuffle"])
def test_another_intervention_reuses_the_image_arm(tmp_path: Path, write_pool, blind: str) -> None:
    pool, log = write_pool(12), tmp_path / "log"
    select_run(
        make_config(pool, log, selection__selector="random", sampling__curtail=False), tmp_path / "run", quiet=True
    )
    config = make_config(pool, log, selection__selector="random", prompt__blind=blind, sampling__curtail=False)
    second = select_run(config, tmp_path / "run", extend=True, quiet=True)
    assert second.sampled == 12 * 5
    assert {line.split()[1] for line in log.read_text().splitlines()[120:]} == {"blind"}


def test_an_output_folder_of_another_configuration_is_refused_in_one_line(tmp_path: Path, write_pool) -> None:
    pool = write_pool(12)
    select_run(make_config(pool), tmp_path / "run", quiet=True)
    with pytest.raises(RapError, match=r"holds a run with --temperature=1.0, not 0.5; choose another --out"):
        select_run(make_config(pool, sampling__temperature=0.5), tmp_path / "run", quiet=True)


def test_a_folder_that_is_no_run_is_not_written_into(tmp_path: Path, write_pool) -> None:
    pool = write_pool(12)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(RapError, match="not empty and not a run of rap"):
        select_run(make_config(pool), tmp_path / "mine", quiet=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_an_empty_selection_names_the_verdict_that_caused_it_and_keeps_the_files(tmp_path: Path, write_pool) -> None:
    pool = write_pool(12)
    with pytest.raises(RapError, match=r"selection is empty: \d+ of 12 samples are language_prior; lower --lambda-c"):
        select_run(make_config(pool, selection__lambda_c=1.0), tmp_path / "run", quiet=True)
    assert pq.read_table(tmp_path / "run" / "scores.parquet").num_rows == 12
    assert pq.read_table(tmp_path / "run" / "selected.parquet").num_rows == 0


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, write_pool, monkeypatch: pytest.MonkeyPatch) -> None:
    from rap_plugin.evidence.store import EvidenceStore

    pool, log = write_pool(40), tmp_path / "log"
    opened = EvidenceStore.__init__

    def on_a_small_disk(self: EvidenceStore, path: Path, **options: Any) -> None:
        opened(self, path, **options)
        self._db.execute("PRAGMA max_page_count=24")  # SQLite then reports SQLITE_FULL as it does on a full disk

    monkeypatch.setattr(EvidenceStore, "__init__", on_a_small_disk)
    with pytest.raises(RapError, match="the disk is full; nothing stored is lost"):
        select_run(make_config(pool, log), tmp_path / "run", quiet=True)
    with sqlite3.connect(tmp_path / "run" / "evidence.sqlite") as db:
        kept = db.execute("SELECT count(*) FROM rollouts").fetchone()[0]
    assert kept > 0
    monkeypatch.undo()
    result = select_run(make_config(pool, log), tmp_path / "run", quiet=True)
    assert result.sampled == 400 - kept


def test_a_run_that_is_not_finished_cannot_be_decided(tmp_path: Path, write_pool) -> None:
    pool = write_pool(12)
    config = make_config(pool)
    select_run(config, tmp_path / "run", quiet=True)
    more = load_config(flags={"sampling.rollouts": 9}, base=config)
    with pytest.raises(RapError, match="12 samples lack rollouts that this configuration needs"):
        decide_run(tmp_path / "run", more)


def test_a_changed_file_is_found_by_verify(tmp_path: Path, write_pool) -> None:
    pool = write_pool(20)
    select_run(make_config(pool), tmp_path / "run", quiet=True)
    path = tmp_path / "run" / "scores.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("rap_discrepancy")
    changed = [value + 0.1 for value in table["rap_discrepancy"].to_pylist()]
    pq.write_table(table.set_column(at, "rap_discrepancy", [changed]), path)
    with pytest.raises(RapError, match="rap_discrepancy of row 0 does not follow from the evidence"):
        verify_run(tmp_path / "run")


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = finished(tmp_path_factory.mktemp("verified"), samples=24)
    assert len(verify_run(run)) == 4
    return run


@pytest.mark.parametrize(
    ("file", "column", "value"),
    [
        ("scores", "rap_row", 7),
        ("scores", "rap_reason", "because"),
        ("quarantine", "rap_status", "too_large"),
        ("quarantine", "rap_reason", "because"),
        ("selected", "rap_verdict", "easy"),
        ("selected", "rap_acc_image", 0.123),
    ],
)
def test_verify_derives_every_column_that_rap_writes(
    file: str, column: str, value: object, verified: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(verified, tmp_path / "run"))
    path = run / f"{file}.parquet"
    table = pq.read_table(path)
    at = table.column_names.index(column)
    changed = pa.array([value, *table[column].to_pylist()[1:]], table.schema.field(column).type)
    pq.write_table(table.set_column(at, table.schema.field(column), changed), path)
    with pytest.raises(RapError, match=rf"{file}.parquet: {column} of row 0 does not follow from the evidence"):
        verify_run(run)


def test_the_run_says_enough_to_be_run_again(tmp_path: Path, write_pool) -> None:
    pool = write_pool(20)
    select_run(make_config(pool), tmp_path / "one", quiet=True)
    about = json.loads((tmp_path / "one" / "run.json").read_text())
    again = RunConfig.model_validate(about["config"])
    select_run(again, tmp_path / "two", quiet=True)
    assert (tmp_path / "one" / "selected.parquet").read_bytes() == (tmp_path / "two" / "selected.parquet").read_bytes()


def test_the_cost_ledger_counts_every_rollout_once(tmp_path: Path, write_pool) -> None:
    pool = write_pool(20)
    select_run(make_config(pool, sampling__rollouts=2), tmp_path / "run", quiet=True)
    select_run(make_config(pool, sampling__rollouts=4), tmp_path / "run", extend=True, quiet=True)
    cost = json.loads((tmp_path / "run" / "cost.json").read_text())
    assert cost["stages"]["sample image"]["rollouts"] == cost["stages"]["sample blind"]["rollouts"] == 80
    with sqlite3.connect(tmp_path / "run" / "evidence.sqlite") as db:
        tokens = db.execute("SELECT sum(tokens) FROM rollouts").fetchone()[0]
    assert cost["total"]["response_tokens"] == tokens


def test_plugins_hear_of_probed_samples_and_of_the_selection(tmp_path: Path, write_pool, monkeypatch) -> None:
    from rap_plugin import hookimpl
    from rap_plugin.plugins import get_plugins

    heard: dict[str, Any] = {"samples": [], "runs": []}

    class Listener:
        @hookimpl
        def rap_sample_probed(self, sample: Any, rollouts: Any) -> None:
            heard["samples"].append((sample.id, {record.verdict for record in rollouts}))

        @hookimpl
        def rap_selection_made(self, run: Path, selection: Any) -> None:
            heard["runs"].append((run, len(selection.table)))

    def grade_slowly(*arguments: Any, **keywords: Any) -> int:
        time.sleep(0.1)  # so that the other arm is stored, and not graded, when an item is told of
        return grade_pending(*arguments, **keywords)

    grade_pending = probing.grade_pending
    monkeypatch.setattr(probing, "grade_pending", grade_slowly)
    listener = Listener()
    get_plugins().register(listener, "listener")
    try:
        select_run(make_config(write_pool(8), model__options={"pause": 0.06}), tmp_path / "run", quiet=True)
    finally:
        get_plugins().unregister(listener)
    assert len({sample for sample, _ in heard["samples"]}) == 8
    assert all(found <= {"right", "wrong"} for _, found in heard["samples"])
    assert heard["runs"] == [(tmp_path / "run", 8)]


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"selection__drm": False},
        {"selection__preset": "released", "grading__format_weight": 0.0},
        {"selection__selector": "random"},
        {"selection__selector": "band"},
        {"selection__selector": "limr"},
    ],
)
def test_a_curtailed_run_has_the_verdicts_of_the_full_run_at_a_lower_cost(
    tmp_path: Path, write_pool, flags: Any
) -> None:
    pool = write_pool(60)
    whole = select_run(make_config(pool, sampling__curtail=False, **flags), tmp_path / "full", quiet=True)
    short = select_run(make_config(pool, sampling__curtail=True, **flags), tmp_path / "short", quiet=True)
    assert verdicts(tmp_path / "short") == verdicts(tmp_path / "full")
    assert short.sampled < whole.sampled == 600
    table = pq.read_table(tmp_path / "short" / "scores.parquet")
    stored = sum(sum(table[f"rap_rollouts_{arm}"].to_pylist()) for arm in ("image", "blind"))
    assert stored == short.sampled
    for row in table.to_pylist():
        if row["rap_rollouts_image"] < 5:
            assert row["rap_acc_image"] is None
            assert row["rap_discrepancy"] is None
            assert "not sampled" in row["rap_reason"]
    assert any("curtailment left" in note for note in short.selection.decision.notes)
    assert select_run(make_config(pool, sampling__curtail=True, **flags), tmp_path / "short", quiet=True).sampled == 0
    assert verify_run(tmp_path / "short")


def test_thresholds_that_a_curtailed_run_cannot_answer_are_refused_and_select_goes_on(
    tmp_path: Path, write_pool
) -> None:
    pool, log = write_pool(60), tmp_path / "log"
    config = make_config(pool, log, selection__drm=False)
    first = select_run(config, tmp_path / "run", quiet=True)
    assert first.sampled < 600
    looser = load_config(flags={"selection.lambda_c": 0.0}, base=config)
    with pytest.raises(RapError, match=r"\d+ samples lack rollouts that this configuration needs; `rap select`"):
        decide_run(tmp_path / "run", looser)
    select_run(looser, tmp_path / "run", quiet=True)
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines))


def test_curtailment_that_cannot_work_is_refused(tmp_path: Path, write_pool) -> None:
    with pytest.raises(RapError, match=r"sampling.curtail: selector rap needs every rollout here"):
        select_run(
            make_config(write_pool(8), sampling__curtail=True, selection__keep=0.5), tmp_path / "run", quiet=True
        )
