"""Exports, read back by the real `datasets` library and by the trainers' own classes where they are installed."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from rap_plugin.cli import cli
from rap_plugin.cli.export import TARGETS as NAMED
from rap_plugin.errors import RapError
from rap_plugin.exports import MARK, TARGETS, export_run
from rap_plugin.exports.files import suffix_of
from rap_plugin.plugins import get_plugins
from rap_plugin.samples.ingest import load_samples
from tests.fabricate import Fabricated, fabricate

datasets = pytest.importorskip("datasets", reason="exports are read back by the datasets library")

SYSTEM, INSTRUCTION = "Look closely.", "Put the answer in \\boxed{}."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabricated]:
    """A run over PNG and JPEG pictures, with a system message and an instruction."""
    folder = tmp_path_factory.mktemp("made")
    made = fabricate(folder, 90, prompt__system=SYSTEM, prompt__instruction=INSTRUCTION)
    with closing(made.store):
        yield made


@pytest.fixture(scope="module")
def wanted(made: Fabricated) -> list[Any]:
    """The selected samples, from the original pool."""
    rows = made.selection.table.rows[made.selection.decision.chosen].tolist()
    formats = get_plugins().registry().things["formats"]
    return load_samples(made.pool, made.config.pool, rows, formats)


def exported(made: Fabricated, to: str, folder: Path) -> Path:
    found = export_run(made.run, to, folder / to)
    assert found.rows == int(made.selection.decision.chosen.sum()) > 10
    return found.path


@pytest.fixture
def cache(tmp_path: Path) -> dict[str, str]:
    return {"cache_dir": str(tmp_path / "cache")}


def check_scores(rows: Any, made: Fabricated) -> None:
    selected = pq.read_table(made.run / "selected.parquet").to_pylist()
    for row, known in zip(rows, selected, strict=True):
        for name in (name for name in known if name.startswith("rap_")):
            assert row[name] == known[name], name


def test_openrlhf_rows_load_with_chat_prompts_labels_and_identical_image_files(
    made: Fabricated, wanted: list[Any], tmp_path: Path, cache: dict[str, str]
) -> None:
    path = exported(made, "openrlhf", tmp_path)
    rows = datasets.load_dataset("json", data_files=str(path), split="train", **cache)
    check_scores(rows, made)
    for row, sample in zip(rows, wanted, strict=True):
        assert row["prompt"] == [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"{sample.question} {INSTRUCTION}"},
        ]
        assert row["label"] == sample.gold
        assert [Path(name).read_bytes() for name in row["images"]] == list(sample.images)
        for name, data in zip(row["images"], sample.images, strict=True):
            assert Path(name).is_absolute()
            assert Path(name).stem == hashlib.blake2b(data, digest_size=16).hexdigest()
            assert Path(name).suffix == {"PNG": ".png", "JPEG": ".jpg"}[Image.open(io.BytesIO(data)).format or ""]
    assert len({Path(name).suffix for row in rows for name in row["images"]}) == 2


def test_openrlhfs_own_classes_read_the_export(
    made: Fabricated, wanted: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = pytest.importorskip("openrlhf.datasets", reason="openrlhf is not installed", exc_type=ImportError)
    vlm_utils = pytest.importorskip(
        "openrlhf.utils.vlm_utils", reason="openrlhf is not installed", exc_type=ImportError
    )
    path = exported(made, "openrlhf", tmp_path)
    monkeypatch.chdir(tmp_path)
    flags = {"input_key": "prompt", "label_key": "label", "image_key": "images", "apply_chat_template": True}
    strategy = SimpleNamespace(args=SimpleNamespace(data=SimpleNamespace(**flags)), is_rank_0=lambda: False)
    tokenizer = SimpleNamespace(apply_chat_template=lambda chat, **options: json.dumps(chat))
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    loaded = prompts.PromptDataset(rows, tokenizer, strategy)
    assert len(loaded) == len(wanted)
    source, prompt, label, images = loaded[0]
    assert (source, label) == ("rap", wanted[0].gold)
    text = wanted[0].question.replace("<image>", "").strip()
    assert json.loads(prompt)[1]["content"] == [{"type": "image"}, {"type": "text", "text": f"{text} {INSTRUCTION}"}]
    assert [image.size for image in vlm_utils.load_images(images)] == [(48, 48)]


def test_the_trl_folder_loads_with_conversational_prompts_and_decoded_images(
    made: Fabricated, wanted: list[Any], tmp_path: Path
) -> None:
    path = exported(made, "trl", tmp_path)
    rows = datasets.load_from_disk(str(path))
    check_scores(rows, made)
    for row, sample in zip(rows, wanted, strict=True):
        assert row["solution"] == sample.gold
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert [part["type"] for part in row["prompt"][1]["content"]] == ["image", "text"]
        assert all(isinstance(image, Image.Image) for image in row["images"])
    encoded = rows.cast_column("images", datasets.Sequence(datasets.Image(decode=False)))
    assert [[image["bytes"] for image in row["images"]] for row in encoded] == [
        list(sample.images) for sample in wanted
    ]


def test_trls_own_preparation_puts_every_image_in_its_place(made: Fabricated, tmp_path: Path) -> None:
    data_utils = pytest.importorskip("trl.data_utils", reason="trl is not installed", exc_type=ImportError)
    rows = datasets.load_from_disk(str(exported(made, "trl", tmp_path)))
    assert data_utils.is_conversational(rows[0])
    prepared = data_utils.prepare_multimodal_messages(rows[0]["prompt"], images=rows[0]["images"])
    parts = prepared[1]["content"]
    assert isinstance(parts[0]["image"], Image.Image)
    assert parts[1]["text"].endswith(INSTRUCTION)


def test_verl_rows_have_the_layout_that_verl_reads(
    made: Fabricated, wanted: list[Any], tmp_path: Path, cache: dict[str, str]
) -> None:
    path = exported(made, "verl", tmp_path)
    rows = datasets.load_dataset("parquet", data_files=str(path), split="train", **cache)
    check_scores(rows, made)
    for row, sample in zip(rows, wanted, strict=True):
        assert row["prompt"][-1] == {"role": "user", "content": f"{sample.question} {INSTRUCTION}"}
        assert [image["bytes"] for image in row["images"]] == list(sample.images)
        assert row["reward_model"] == {"style": "rule", "ground_truth": sample.gold}
        assert (row["data_source"], row["ability"]) == ("rap", "math")
        assert (row["extra_info"]["split"], row["extra_info"]["answer"]) == ("train", sample.gold)
        assert row["extra_info"]["question"] == sample.question
    assert [row["extra_info"]["index"] for row in rows] == list(range(len(rows)))


def test_verls_own_data_set_reads_the_export(made: Fabricated, tmp_path: Path) -> None:
    module = pytest.importorskip("verl.utils.dataset.rl_dataset", reason="verl is not installed", exc_type=ImportError)
    config = pytest.importorskip("omegaconf", reason="verl's configuration library").OmegaConf.create(
        {"filter_overlong_prompts": False, "cache_dir": str(tmp_path / "cache")}
    )
    loaded = module.RLHFDataset(str(exported(made, "verl", tmp_path)), None, config, processor=object())
    row = loaded[0]
    parts = row["raw_prompt"][-1]["content"]
    assert [part["type"] for part in parts] == ["image", "text"]
    assert parts[0]["image"].size == (48, 48)
    assert row["reward_model"]["ground_truth"] == loaded.dataframe[0]["reward_model"]["ground_truth"]


def test_easyr1_rows_hold_problem_answer_and_images(
    made: Fabricated, wanted: list[Any], tmp_path: Path, cache: dict[str, str]
) -> None:
    rows = datasets.load_dataset("parquet", data_files=str(exported(made, "easyr1", tmp_path)), split="train", **cache)
    check_scores(rows, made)
    for row, sample in zip(rows, wanted, strict=True):
        assert (row["problem"], row["answer"]) == (sample.question, sample.gold)
        assert [image["bytes"] for image in row["images"]] == list(sample.images)


def test_jsonl_rows_name_images_beside_the_file_and_are_a_pool_again(
    made: Fabricated, wanted: list[Any], tmp_path: Path, cache: dict[str, str]
) -> None:
    from rap_plugin.config import load_config
    from rap_plugin.samples.opening import open_pool

    path = exported(made, "jsonl", tmp_path)
    rows = datasets.load_dataset("json", data_files=str(path), split="train", **cache)
    check_scores(rows, made)
    assert [[(path.parent / name).read_bytes() for name in row["images"]] for row in rows] == [
        list(sample.images) for sample in wanted
    ]
    config = load_config(flags={"pool.path": str(path)}).pool
    formats = get_plugins().registry().things["formats"]
    again = load_samples(open_pool(config), config, list(range(len(wanted))), formats)
    assert [sample.id for sample in again] == [sample.id for sample in wanted]


def test_images_between_words_stay_there(tmp_path: Path) -> None:
    images = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    buffers = [io.BytesIO(), io.BytesIO()]
    for shade, buffer in enumerate(buffers):
        Image.new("L", (20, 10), 40 * shade).save(buffer, "PNG")
    row = {
        "problem": "Is <image> darker than <image>?",
        "answer": "0",
        "images": [{"bytes": buffer.getvalue(), "path": None} for buffer in buffers],
    }
    pool = tmp_path / "pool.parquet"
    schema = pa.schema([("problem", pa.string()), ("answer", pa.string()), ("images", images)])
    pq.write_table(pa.Table.from_pylist([row], schema=schema), pool)
    made = fabricate(tmp_path, pool=pool, roles=False, selection__selector="random", selection__keep=1.0)
    with closing(made.store):
        rows = datasets.load_from_disk(str(export_run(made.run, "trl", tmp_path / "trl").path))
    parts = rows[0]["prompt"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image", "text", "image", "text"]
    assert [image.getpixel((0, 0)) for image in rows[0]["images"]] == [0, 40]


def test_an_export_replaces_an_earlier_one_and_nothing_else(made: Fabricated, tmp_path: Path) -> None:
    path = exported(made, "jsonl", tmp_path)
    stale = path.parent / "stale"
    stale.write_text("of the earlier export")
    exported(made, "jsonl", tmp_path)
    assert not stale.exists()
    (path.parent / MARK).unlink()
    with pytest.raises(RapError, match="exists and is no export of rap; choose another --out"):
        export_run(made.run, "jsonl", path.parent)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["jsonl"]


def test_an_export_that_fails_leaves_nothing_half_written(
    made: Fabricated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rap_plugin.exports.openrlhf.write_image", full)
    with pytest.raises(RapError, match=r"No space left on device\); free some space"):
        export_run(made.run, "openrlhf", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_selection_changed_on_disk_is_noticed(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 60)
    with closing(made.store):
        path = made.run / "selected.parquet"
        table = pq.read_table(path)
        answers = pa.array(["changed", *table["answer"].to_pylist()[1:]])
        pq.write_table(table.set_column(table.column_names.index("answer"), "answer", answers), path)
        with pytest.raises(RapError, match="row 0 has changed"):
            export_run(made.run, "jsonl", tmp_path / "out")


def test_a_run_without_a_selection_says_what_to_do(tmp_path: Path, made: Fabricated) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_bytes((made.run / "run.json").read_bytes())
    with pytest.raises(
        RapError, match=r"the run is not finished \(there is no selected\.parquet\); `rap select` goes on"
    ):
        export_run(run, "verl")
    (run / "scores.parquet").write_bytes((made.run / "scores.parquet").read_bytes())
    with pytest.raises(RapError, match=r"there is no selected\.parquet; `rap decide"):
        export_run(run, "verl")
    empty = pq.read_table(made.run / "selected.parquet").slice(0, 0)
    pq.write_table(empty, run / "selected.parquet")
    with pytest.raises(RapError, match="the selection is empty"):
        export_run(run, "verl")


def test_exports_need_no_original_pool_when_rows_hold_their_images(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 60)
    made.store.close()
    (tmp_path / "pool.parquet").unlink()
    assert export_run(made.run, "easyr1", tmp_path / "out").rows == int(made.selection.decision.chosen.sum())


def test_a_pool_that_is_another_one_now_is_said_and_refused_where_it_was_given(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 40)
    made.store.close()
    pool = Path(made.pool.path)
    table = pq.read_table(pool)
    pq.write_table(table.slice(1), pool)
    done = CliRunner().invoke(cli, ["export", str(made.run), "--to", "jsonl"])
    assert done.exit_code == 0, done.output
    assert "warning: " in done.stderr
    assert "39 rows where the run read 40: it is another pool or was edited" in done.stderr
    refused = CliRunner().invoke(cli, ["export", str(made.run), "--to", "jsonl", "--pool", str(pool)])
    assert "it is another pool or was edited" in str(refused.exception)
    pq.write_table(table, pool)
    assert CliRunner().invoke(cli, ["export", str(made.run), "--to", "jsonl"]).stderr == ""


def test_the_command_writes_into_the_run_and_prints_the_trainers_flags(made: Fabricated) -> None:
    assert set(NAMED) == set(TARGETS)
    result = CliRunner().invoke(cli, ["export", str(made.run), "--to", "openrlhf"])
    assert result.exit_code == 0, result.output
    assert (made.run / "export-openrlhf" / "train.jsonl").is_file()
    assert "--data.image_key images" in result.output


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_image_files_get_the_ending_of_what_they_are(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, kind)
    assert suffix_of(buffer.getvalue()) == {"JPEG": ".jpg"}.get(kind, f".{kind.lower()}")
    assert suffix_of(b"something else") == ".img"


def test_a_folder_for_the_hub_loads_offline_with_images_scores_and_rollouts(
    made: Fabricated, wanted: list[Any], tmp_path: Path, cache: dict[str, str]
) -> None:
    found = export_run(made.run, "hub-folder", tmp_path / "hub", scores=True, rollouts=True, license="cc-by-4.0")
    rows = datasets.load_dataset(str(found.path), split="train", **cache)
    assert rows["question"][:] == [sample.question for sample in wanted]
    assert rows[0]["images"][0].size == (48, 48)
    scores = datasets.load_dataset(str(found.path), "scores", split="train", **cache)
    assert scores["rap_verdict"][:] == made.selection.decision.verdicts.tolist()
    rollouts = datasets.load_dataset(str(found.path), "rollouts", split="train", **cache)
    assert len(rollouts) == 10 * len(made.selection.table)
    card = (found.path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    for elsewhere in ("selected.parquet", "report.html", "quarantine.parquet"):
        assert elsewhere not in card, "the folder does not hold it"
    assert found.hint == f"hf upload OWNER/NAME {found.path} --repo-type dataset"
    [printed] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, Any] = {}
    exec(printed.replace("OWNER/NAME", str(found.path)), names)
    assert [len(names[name]) for name in ("selection", "scores", "rollouts")] == [len(rows), len(scores), len(rollouts)]
    assert "| **`selected`** |" in card
    with pytest.raises(RapError, match="hub-folder only"):
        export_run(made.run, "trl", tmp_path / "other", scores=True)
