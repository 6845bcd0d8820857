"""The real lmms-eval over small data: its command line with the demo model, its evaluator with known responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.cli.path import PATHS
from rap_plugin.evaluation.benchmarks import find_task
from rap_plugin.evaluation.grade import SCORER
from rap_plugin.evaluation.prepared_data import item_of, part_file, read_items
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.evaluation.shown_answers import read_answers
from rap_plugin.evaluation.task_names import split_name
from tests.lmms_tasks.conftest import REAL_LOGICVISTA, Lmms

pytestmark = pytest.mark.slow
MODEL = f"pretrained={PATHS['demo-model']},dtype=float32"
SIX = ("mathvista", "mmstar", "wemath", "mmvet", "logicvista", "mathverse_vision_only", "mathverse_text_lite")


@pytest.fixture(scope="module")
def reported(lmms_eval: Lmms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of the six benchmarks of the RAP table, with and without images, and of PGPS9K in its two tasks."""
    out = tmp_path_factory.mktemp("out")
    tasks = "rap_reported,rap_reported_blind,rap_pgps9k"
    done = lmms_eval(
        *("--model", "rap", "--model_args", MODEL, "--tasks", tasks, "--device", "cpu"),
        *("--batch_size", "32", "--gen_kwargs", "max_new_tokens=24", "--limit", "20"),
        *("--output_path", str(out), "--log_samples"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "rap_reported" in done.stdout
    return out


def read(out: Path, task: str) -> list[dict[str, Any]]:
    (path,) = out.rglob(f"*_samples_{task}.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_reported_group_runs_offline_and_writes_results(reported: Path) -> None:
    (path,) = reported.rglob("*_results.json")
    results = json.loads(path.read_text("utf-8"))
    for task in SIX:
        for name in (f"rap_{task}", f"rap_{task}_blind"):
            assert 0 <= results["results"][name]["accuracy,none"] <= 1
            assert results["configs"][name]["metadata"]["judge"] == "none"
            assert len(results["configs"][name]["metadata"]["content_sha256"]) == 64
            assert results["versions"][name] == SCORER
    assert "score_strict,none" in results["results"]["rap_wemath"]


def test_logged_records_are_what_the_scorer_says_of_the_logged_responses(reported: Path, data_folder: Path) -> None:
    for task in SIX:
        benchmark, part = find_task(task)
        items = {item.id: item for item in read_items(part_file(benchmark, part.name, data_folder), images=False)}
        rows = read(reported, f"rap_{task}")
        assert len(rows) == min(20, len(items))
        for row in rows:
            record = row["accuracy"]
            grade = score_response(items[record["id"]], row["filtered_resps"])
            assert (record.get("score"), record["status"]) == (grade.score, grade.verdict)


def test_the_gap_report_reads_the_sample_files_as_they_are(reported: Path, tmp_path: Path) -> None:
    line = ["modality-gap", "report", str(reported), "--out", str(tmp_path / "gap.html")]
    done = CliRunner().invoke(cli, line, catch_exceptions=False)
    (said,) = (text for text in done.output.splitlines() if "PGPS9K" in text)
    rows = {side: read(reported, f"rap_pgps9k_{side}") for side in ("text", "image")}
    score = {side: sum(row["accuracy"]["score"] for row in some) / len(some) for side, some in rows.items()}
    assert len(rows["text"]) == len(rows["image"]) == 2
    assert f"text {100 * score['text']:.1f} %, image {100 * score['image']:.1f} %" in said
    assert said.endswith(", 2 problems")
    assert "PGPS9K" in (tmp_path / "gap.html").read_text("utf-8")


def test_rap_eval_read_shows_the_logged_responses_with_their_records(reported: Path) -> None:
    (path,) = reported.rglob("*_samples_rap_mathvista.jsonl")
    shown = list(read_answers(path))
    assert [one.record["id"] for one in shown] == [row["accuracy"]["id"] for row in read(reported, "rap_mathvista")]
    assert all(isinstance(one.response, str) for one in shown)
    assert any(one.response for one in shown)


def test_logicvista_runs_on_real_rows(reported: Path) -> None:
    if not REAL_LOGICVISTA.is_dir():
        pytest.skip("the real LogicVista rows are not at hand")
    rows = read(reported, "rap_logicvista")
    assert len(rows) == 20
    assert {row["accuracy"]["gold"] for row in rows} <= {"A", "B", "C", "D", "E", "BD", "3"}


def test_a_blind_task_has_the_same_problems_and_other_responses(reported: Path) -> None:
    differing = 0
    for task in SIX:
        seen, blind = read(reported, f"rap_{task}"), read(reported, f"rap_{task}_blind")
        assert [row["accuracy"]["id"] for row in seen] == [row["accuracy"]["id"] for row in blind]
        differing += sum(a["filtered_resps"] != b["filtered_resps"] for a, b in zip(seen, blind, strict=True))
    assert differing


@pytest.fixture(scope="module")
def host(offline: dict[str, str]) -> Iterator[Any]:
    """lmms-eval in this process, with a model that answers from a table."""
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in offline.items():
            patch.setenv(name, value)
        patch.delenv("RAP_JUDGE", raising=False)
        # Importing lmms-eval lets Pillow accept damaged images; the tests after these need it as it was.
        patch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", False)
        from lmms_eval import evaluator
        from lmms_eval.models import MODEL_REGISTRY_V2
        from lmms_eval.models.registry_v2 import ModelManifest

        MODEL_REGISTRY_V2.register_manifest(
            ModelManifest(model_id="scripted", chat_class_path="tests.lmms_tasks.scripted.Scripted"), overwrite=True
        )
        yield evaluator


@pytest.fixture(scope="module")
def manager(host: Any) -> Any:
    """lmms-eval's list of tasks, ours among them through the entry point."""
    from lmms_eval.tasks import TaskManager

    return TaskManager()


def evaluate(host: Any, manager: Any, tasks: list[str], threads: int = 4, model_args: str = "") -> dict[str, Any]:
    found: dict[str, Any] = host.simple_evaluate(
        model="scripted", model_args=model_args, tasks=tasks, task_manager=manager, batch_size=1, device="cpu",
        process_docs_parallel=threads, bootstrap_iters=0,
    )  # fmt: skip
    return found


ALL = [
    *("rap_reported", "rap_mathverse_text_only", "rap_pope", "rap_pgps9k", "rap_vlm_r3", "rap_mme_realworld"),
    *("rap_vcr_wiki_en_easy", "rap_vcr_wiki_zh_hard", "rap_mmstar_direct", "rap_hrbench_4k_blind"),
]


def test_right_responses_score_one_in_every_benchmark(host: Any, manager: Any) -> None:
    results = evaluate(host, manager, ALL)["results"]
    leaves = {name: found for name, found in results.items() if "unread,none" in found}
    assert len(leaves) == 29
    assert {name: found["accuracy,none"] for name, found in leaves.items()} == dict.fromkeys(leaves, 1.0)
    assert {found["unread,none"] for found in leaves.values()} == {0.0}
    assert results["rap_wemath"]["score_strict,none"] == 1.0
    assert results["rap_mmvp"]["pair_accuracy,none"] == 1.0
    assert results["rap_pope_popular"]["f1,none"] == 1.0
    assert results["rap_cv_bench"]["official,none"] == 1.0


def test_threads_do_not_change_a_result(host: Any, manager: Any) -> None:
    def scores(threads: int) -> dict[str, Any]:
        tasks = ["rap_mathvista", "rap_mathverse_text_dominant", "rap_mmvet", "rap_pgps9k_text", "rap_logicvista"]
        found = evaluate(host, manager, tasks, threads, "answers=every_other")
        return {name: [row["accuracy"] for row in rows] for name, rows in found["samples"].items()}

    one = scores(1)
    assert {record.get("score") for record in one["rap_mathvista"]} == {0.0, 1.0}
    assert scores(4) == one
    assert scores(16) == one


def test_our_tasks_do_not_hide_built_in_ones(manager: Any) -> None:
    from lmms_eval.tasks import TaskManager

    index = manager.task_index
    assert "rap_plugin" in index["rap_mmstar"]["yaml_path"]
    assert "rap_plugin" not in index["mmstar"]["yaml_path"]
    included = TaskManager(include_path=str(PATHS["lmms-tasks"]), include_defaults=False).task_index
    assert included["rap_reported"]["type"] == "group"


def test_every_task_loads_and_its_first_row_is_whole(manager: Any) -> None:
    names = [
        name
        for name in manager.all_subtasks
        if name.startswith("rap_") and "vcr_wiki_en_hard" not in name and "zh_easy" not in name
    ]
    assert len(names) > 60
    for name in names[::9]:
        task = manager.load_task_or_group([name])[name]
        task_name, variant = split_name(name)
        row = task.eval_docs[0]
        assert item_of({**row, "image": None}).gold
        shown = task.doc_to_visual(row)
        assert len(shown) == (0 if variant == "blind" or "text_only" in task_name else 1)
        assert row["question"] in task.doc_to_text(row)


def test_missing_data_ends_the_run_with_one_line_before_anything_is_generated(
    host: Any, manager: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAP_DATA_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        evaluate(host, manager, ["rap_mmstar"])
    assert stopped.value.code == f"rap: MMStar is not in {tmp_path}: `rap data prepare mmstar --from Lin-Chen/MMStar`"
