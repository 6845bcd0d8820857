"""`rap modality-gap prepare`: rows field by field, in the forms that trainers' own classes load."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.modality_gap import make_pool
from rap_plugin.modality_gap.prepare import prepare, prompts_of
from rap_plugin.samples.conditions import LOOK
from rap_plugin.samples.sample import Sample
from tests.conftest import png

PROB_27 = {
    "diagram": "img_423.png",
    "text": "Find y.",
    "parsing_stru_seqs": ["line A B", "line C B", "line C A"],
    "parsing_sem_seqs": ["CB \\perp CA on C", "AC = 24", "BC = x", "AB = y", "m \\angle CBA = 30"],
    "expression": "Get y",
    "answer": "48.000",
    "type": "Trigonometry ",
    "book": "Geometry",
    "page": 12,
    "choices": [24.0, 33.941125496954285, 41.569219381653056, 48.0],
}
PROB_1 = {
    "diagram": "img_9.png",
    "text": "Line m is the perpendicular bisector of XZ, WZ = 14.9. Find WX.",
    "parsing_stru_seqs": ["line m lieson A W Y B", "line X Y Z", "line W Z", "line X W"],
    "parsing_sem_seqs": ["line m \\perp XZ on Y", "XY = YZ"],
    "expression": "Get WX",
    "answer": "14.900",
    "type": "Perpendicular Bisector",
    "book": "Geometry",
    "page": 3,
    "choices": [7.45, 14.9, 22.35, 29.8],
}
ASKED_27 = "CB \\perp CA on C, AC = 24, BC = x, AB = y, m \\angle CBA = 30, answer the question: Find y."


@pytest.fixture
def pgps9k(tmp_path: Path) -> Path:
    """A folder as users have it: two good training problems, three bad ones, one test problem."""
    folder = tmp_path / "PGPS9K"
    (folder / "Diagram_Visual").mkdir(parents=True)
    for number, name in enumerate(("img_423.png", "img_9.png")):
        (folder / "Diagram_Visual" / name).write_bytes(png(number))
    (folder / "Diagram_Visual" / "broken.png").write_bytes(b"\x89PNG no more")
    four = {**PROB_1, "parsing_stru_seqs": ["line A P Q B", "arc A B", 7, "line X Y"], "text": "Find WZ."}
    bad = {
        "prob_2": {**PROB_1, "diagram": "missing.png"},
        "prob_3": {**PROB_1, "diagram": "broken.png"},
        "prob_4": {**PROB_1, "parsing_stru_seqs": "line A B"},
    }
    train = {"prob_27": PROB_27, "prob_1": PROB_1, **bad, "prob_5": four}
    (folder / "train.json").write_text(json.dumps(train))
    (folder / "test.json").write_text(json.dumps({"prob_8": PROB_27}))
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def test_a_text_row_is_the_documented_one_field_by_field(pgps9k: Path, tmp_path: Path) -> None:
    prepare(pgps9k, "text", tmp_path / "out")
    first, second, _ = rows_of(tmp_path / "out" / "train.parquet")
    assert first == {
        "data_source": "PGPS9K",
        "prompt": [{"role": "user", "content": f"<image>{ASKED_27}"}],
        "images": [{"bytes": png(0), "path": None}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "48.000"},
        "extra_info": {"split": "train", "index": 0, "answer": "48.000", "question": "Find y."},
    }
    assert second["prompt"][0]["content"] == (
        "<image>A, W, Y, B lie on line m, Y is on line XZ, line m \\perp XZ on Y, XY = YZ, answer the question: "
        "Line m is the perpendicular bisector of XZ, WZ = 14.9. Find WX."
    )
    assert [row["extra_info"]["split"] for row in rows_of(tmp_path / "out" / "test.parquet")] == ["test"]


@pytest.mark.parametrize(("parity", "ends"), [(False, "AB"), (True, "QB")])
def test_four_points_on_a_line_are_corrected_or_as_published(
    parity: bool, ends: str, pgps9k: Path, tmp_path: Path
) -> None:
    prepare(pgps9k, "text", tmp_path / "out", parity=parity)
    assert f"P, Q are on line {ends}, line m" in rows_of(tmp_path / "out" / "train.parquet")[2]["prompt"][0]["content"]


def test_conditions_differ_in_prompts_alone(pgps9k: Path, tmp_path: Path) -> None:
    made = {}
    for condition in ("text", "image", "mix", "contrastive"):
        prepare(pgps9k, condition, tmp_path / condition)
        made[condition] = rows_of(tmp_path / condition / "train.parquet")
    assert made["image"][0]["prompt"][0]["content"] == f"<image>{LOOK} Find y."
    assert made["mix"] == [*made["text"], *made["image"]]
    for row, text, image in zip(made["contrastive"], made["text"], made["image"], strict=True):
        assert row == {**text, "contrastive_prompt": image["prompt"], "is_contrastive": True}


def test_unusable_rows_are_quarantined_and_dropped_clauses_counted(pgps9k: Path, tmp_path: Path) -> None:
    train, test = prepare(pgps9k, "text", tmp_path / "out")
    quarantine = rows_of(tmp_path / "out" / "quarantine.parquet")
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [
        (2, "unreadable_image"),
        (3, "unreadable_image"),
        (4, "malformed_row"),
    ]
    assert "the clauses are a str, not a list (column 'parsing_stru_seqs')" in quarantine[2]["rap_reason"]
    assert (train.rows, train.problems, train.quarantined) == (3, 3, {"malformed_row": 1, "unreadable_image": 2})
    told = json.loads((tmp_path / "out" / "prepared.json").read_text())
    # prob_4's clauses cannot be read at all; every clause of the other five is counted.
    assert told["splits"]["train"]["clauses"] == {
        "facts": 5 + 4 + 4 + 4 + 3,
        "silent": 3 + 2 + 2 + 2 + 1,
        "unreadable": 2,
        "examples": ["arc A B", "7"],
    }
    assert test.quarantined == {}
    assert [split.split for split in prepare(pgps9k, "text", tmp_path / "out", pool=PoolConfig(split="test"))] == [
        "test"
    ]


def test_rows_that_are_there_twice_stay_under_parity(pgps9k: Path, tmp_path: Path) -> None:
    (pgps9k / "train.json").write_text(json.dumps({"prob_1": PROB_1, "prob_2": PROB_1}))
    assert prepare(pgps9k, "text", tmp_path / "corrected")[0].quarantined == {"duplicate": 1}
    assert prepare(pgps9k, "text", tmp_path / "parity", parity=True)[0].rows == 2


def diagrams(path: Path, facts: Any = None) -> Path:
    """The drawn pool with its facts in a column."""
    pool = make_pool(12, seed=3, renderings=("plain",))
    table = pa.table(
        {
            "problem": [d.question for d in pool],
            "answer": [d.answer for d in pool],
            "image": [d.images["plain"] for d in pool],
            "facts": [list(d.facts) if facts is None else facts(d) for d in pool],
        }
    )
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("form", [None, lambda d: json.dumps(d.facts), lambda d: "\n".join(d.facts)])
def test_any_pool_with_a_column_of_facts_is_prepared_alike(form: Any, tmp_path: Path) -> None:
    pool = diagrams(tmp_path / "pool.parquet", form)
    prepare(pool, "contrastive", tmp_path / "out")
    for row, diagram in zip(rows_of(tmp_path / "out" / "train.parquet"), make_pool(12, seed=3), strict=True):
        assert row["prompt"][0]["content"] == f"<image>{diagram.text_prompt}"
        assert row["contrastive_prompt"][0]["content"] == f"<image>{diagram.image_prompt}"
        assert row["images"] == [{"bytes": diagram.images["plain"], "path": None}]


def test_a_function_writes_the_facts_and_its_failures_are_those_of_the_row(tmp_path: Path) -> None:
    pool = diagrams(tmp_path / "pool.parquet")
    writer = tmp_path / "writer.py"
    writer.write_text(
        "def say(row):\n    if row['answer'].startswith('7'):\n        raise KeyError('seven')\n    return [f\"answer {row['answer']}\"]\n"
    )
    (done,) = prepare(pool, "text", tmp_path / "out", pool=PoolConfig(facts=f"{writer}:say"))
    sevens = [d for d in make_pool(12, seed=3, renderings=()) if d.answer.startswith("7")]
    assert sevens
    assert done.quarantined == {"malformed_row": len(sevens)}
    row = rows_of(tmp_path / "out" / "train.parquet")[0]
    assert row["prompt"][0]["content"].startswith(
        f"<image>answer {row['reward_model']['ground_truth']}, answer the question: "
    )


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ("nothing", "no column 'nothing'"),
        ("missing.py:say", "cannot be loaded"),
        (None, "no column facts or clauses; name the one"),
    ],
)
def test_a_pool_without_such_facts_says_what_to_give(facts: str | None, what: str, tmp_path: Path) -> None:
    pool = diagrams(tmp_path / "pool.parquet")
    table = pq.read_table(pool).rename_columns(["problem", "answer", "image", "said"])
    pq.write_table(table, pool)
    with pytest.raises(RapError, match=what):
        prepare(pool, "text", tmp_path / "out", pool=PoolConfig(facts=facts))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_not_replaced(pgps9k: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(RapError, match="exists and is no export"):
        prepare(pgps9k, "text", tmp_path / "out")


def test_hostile_rows_never_stop_the_rest(tmp_path: Path) -> None:
    """Every value of a record replaced by every kind of damage: rows in = rows out + quarantine."""
    folder = tmp_path / "PGPS9K"
    (folder / "Diagram_Visual").mkdir(parents=True)
    (folder / "Diagram_Visual" / "img_423.png").write_bytes(png(1))
    damage: list[Any] = [
        None,
        "",
        0,
        1e400,
        -1,
        True,
        [],
        {},
        ["line A B", None, {}],
        "\ud800",
        "x" * 50_000,
        {"a": []},
    ]
    rng = random.Random(0)
    records = {
        f"prob_{i}": {**PROB_27, key: value} for i, (key, value) in enumerate((k, v) for k in PROB_27 for v in damage)
    }
    records |= {f"odd_{i}": rng.choice([None, [], "text", 7]) for i in range(5)}
    (folder / "train.json").write_text(json.dumps(records))
    (done,) = prepare(folder, "text", tmp_path / "out", parity=True)
    assert done.rows + sum(done.quarantined.values()) == len(records)
    assert pq.read_metadata(tmp_path / "out" / "quarantine.parquet").num_rows == sum(done.quarantined.values())


@pytest.mark.slow
def test_verls_own_data_set_loads_the_rows(pgps9k: Path, tmp_path: Path) -> None:
    module = pytest.importorskip("verl.utils.dataset.rl_dataset", reason="verl is not installed", exc_type=ImportError)
    config = pytest.importorskip("omegaconf").OmegaConf.create(
        {"filter_overlong_prompts": False, "cache_dir": str(tmp_path / "cache")}
    )
    prepare(pgps9k, "contrastive", tmp_path / "out")
    loaded = module.RLHFDataset(str(tmp_path / "out" / "train.parquet"), None, config, processor=object())
    assert len(loaded) == 3
    parts = loaded[0]["raw_prompt"][0]["content"]
    assert [part["type"] for part in parts] == ["image", "text"]
    assert parts[1]["text"] == ASKED_27
    assert loaded[0]["reward_model"] == {"style": "rule", "ground_truth": "48.000"}
    assert loaded[0]["contrastive_prompt"][0]["content"] == f"<image>{LOOK} Find y."


@pytest.mark.slow
def test_openrlhfs_own_data_set_loads_the_rows(pgps9k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    prompts = pytest.importorskip("openrlhf.datasets", reason="openrlhf is not installed", exc_type=ImportError)
    prepare(pgps9k, "text", tmp_path / "out", to=("openrlhf",))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out" / "openrlhf" / "train.jsonl"
    flags = {"input_key": "prompt", "label_key": "label", "image_key": "images", "apply_chat_template": True}
    strategy = SimpleNamespace(args=SimpleNamespace(data=SimpleNamespace(**flags)), is_rank_0=lambda: False)
    tokenizer = SimpleNamespace(apply_chat_template=lambda chat, **options: json.dumps(chat))
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    source, prompt, label, images = prompts.PromptDataset(rows, tokenizer, strategy)[0]
    assert (source, label) == ("PGPS9K", "48.000")
    assert json.loads(prompt)[0]["content"] == [{"type": "image"}, {"type": "text", "text": ASKED_27}]
    assert [Path(name).read_bytes() for name in images] == [png(0)]


@pytest.mark.slow
def test_the_trl_form_holds_both_prompts_with_the_image_in_its_place(pgps9k: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    prepare(pgps9k, "contrastive", tmp_path / "out", to=("trl",))
    row = datasets.load_from_disk(str(tmp_path / "out" / "trl" / "train"))[0]
    for name, text in (("prompt", ASKED_27), ("contrastive_prompt", f"{LOOK} Find y.")):
        (message,) = row[name]
        assert [part["type"] for part in message["content"]] == ["image", "text"]
        assert message["content"][1]["text"] == text
    assert (row["solution"], row["is_contrastive"], row["images"][0].size) == ("48.000", True, (12, 10))


def test_the_command_says_what_it_wrote(pgps9k: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["modality-gap", "prepare", "--data", str(pgps9k), "--condition", "mix", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    assert f"train: 6 rows of 3 problems: {tmp_path / 'out' / 'train.parquet'}" in done.output
    assert "clauses: 20 in words, 10 that add nothing, 2 unreadable, such as arc A B" in done.output
    assert "quarantined: 1 malformed_row, 2 unreadable_image" in done.output


def test_a_placeholder_in_a_fact_asks_for_no_image_that_is_not_there() -> None:
    sample = Sample("a", 0, "<image>Find <image> y.", "4", (b"1", b"2"), facts=("<image>", "AB = <image>4", "C"))
    text, image = prompts_of(sample)
    assert text == "<image>AB =  4, C, answer the question: Find <image> y."
    assert text.count("<image>") == image.count("<image>") == 2
