"""Every format, recognised by itself from a real file and read to the same problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.samples.formats import BUILTIN_FORMATS, Format, RowProblem
from rap_plugin.samples.formats.mulberry import final_answer
from rap_plugin.samples.ingest import choose_format, ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Quarantined, RawSample, Sample

from .make import picture, read_one, read_pool, write_jsonl

STRUCT = [{"bytes": picture(1), "path": None}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("1.png", "2.png", "images/side.png", "Diagram_Visual/img_423.png", "Diagram/img_7.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(2 if name == "2.png" else 1))
    return tmp_path


def write_parquet(folder: Path, row: dict[str, Any], images: bool = True) -> Path:
    columns = {name: pa.array([value]) for name, value in row.items()}
    if images:
        kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        columns["images"] = pa.array([STRUCT], kind)
    pq.write_table(pa.table(columns), folder / "pool.parquet")
    return folder / "pool.parquet"


def format_of(path: Path, **options: Any) -> str:
    config = PoolConfig(path=str(path), **options)
    return choose_format(open_pool(config), config, BUILTIN_FORMATS).format.name


def check(path: Path, name: str, question: str, gold: str, images: tuple[bytes, ...], source: str = "") -> Sample:
    assert format_of(path) == name
    sample = read_one(path)
    assert (sample.question, sample.gold, sample.images, sample.source) == (question, gold, images, source)
    # Named by the user, a format reads the same.
    assert read_one(path, format=name).id == sample.id
    return sample


ONE = (picture(1),)
TWO = (picture(1), picture(2))


def test_geometry3k(folder: Path) -> None:
    path = write_parquet(folder, {"problem": "<image>Find x.", "answer": "3"})
    check(path, "geometry3k", "<image>Find x.", "3", ONE)


def test_easyr1(folder: Path) -> None:
    path = write_parquet(folder, {"problem": "Find x.", "answer": "3", "level": 2})
    check(path, "easyr1", "<image>Find x.", "3", ONE)


def test_the_released_rap_pool(folder: Path) -> None:
    path = write_parquet(folder, {"problem": "<image>Find x.", "answer": "3", "onlyid": 0, "id": "k12_0"})
    check(path, "rap-pool", "<image>Find x.", "3", ONE)


def test_verl(folder: Path) -> None:
    row = {
        "data_source": "hiyouga/geometry3k",
        "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": "See <image>: find x."}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "3"},
        "extra_info": {"split": "train", "index": 0},
    }
    check(write_parquet(folder, row), "verl", "See <image>: find x.", "3", ONE, "hiyouga/geometry3k")


def test_verl_with_a_text_prompt_and_a_reward_in_json(folder: Path) -> None:
    row = {"prompt": "Find x.", "reward_model": json.dumps({"ground_truth": 3}), "images": ["1.png"]}
    check(write_jsonl(folder / "pool.jsonl", [row]), "verl", "<image>Find x.", "3", ONE)


@pytest.mark.parametrize(("name", "diagram"), [("prob_27", "img_423.png"), ("prob_1", "img_7.png")])
def test_pgps9k(folder: Path, name: str, diagram: str) -> None:
    row = {
        "diagram": diagram,
        "text": "Find y.",
        "parsing_stru_seqs": ["line A B"],
        "parsing_sem_seqs": [],
        "answer": "48.000",
        "type": "Trigonometry ",
        "choices": [24.0, 48.0],
    }
    path = folder / "train.json"
    path.write_text(json.dumps({name: row}))
    check(path, "pgps9k", "<image>Find y.", "48.000", ONE, "PGPS9K")
    assert open_pool(PoolConfig(path=str(path))).table([0]).column("id").to_pylist() == [name]


def test_logicvista_pictures_beside_the_file_and_under_an_image_root(folder: Path) -> None:
    path = folder / "dataset.json"
    row = {"imagename": "side.png", "question": "Next?", "answer": "B, D", "reasoning": "..", "skill": ["inductive"]}
    path.write_text(json.dumps({"v1_1": row}))
    sample = check(path, "logicvista", "<image>Next?", "B, D", ONE, "LogicVista")
    assert read_one(path, image_root=str(folder / "images")).id == sample.id


def test_vlm_r3_keeps_its_alternatives_for_its_grader(folder: Path) -> None:
    row = {"image_path": "1.png", "question": "Which?", "answer": "C/(C)/red", "source": "textvqa"}
    check(write_jsonl(folder / "pool.jsonl", [row]), "vlm-r3", "<image>Which?", "C/(C)/red", ONE, "textvqa")


def test_mm_eureka_with_conversations_and_image_urls(folder: Path) -> None:
    row = {
        "id": "0",
        "conversations": [{"role": "system", "content": "Think."}, {"role": "user", "content": "Find x."}],
        "answer": "3",
        "image_urls": [f"file://{folder}/1.png", "2.png"],
    }
    check(write_jsonl(folder / "pool.jsonl", [row]), "mm-eureka", "<image><image>Find x.", "3", TWO)


def test_mm_eureka_with_a_message_in_json_text(folder: Path) -> None:
    parts = [{"type": "image", "image": f"file://{folder}/1.png"}, {"type": "text", "text": "How many cats?"}]
    row = {"id": "0", "message": json.dumps([{"role": "user", "content": parts}]), "answer": 2}
    check(write_jsonl(folder / "pool.jsonl", [row]), "mm-eureka", "<image>How many cats?", "2", ONE)


def test_mm_eurekas_own_instruction_is_removed_where_that_is_asked_for(folder: Path) -> None:
    own = "Your answer must stand in <answer> </answer>, i.e. <answer> $2$ </answer>.\nQuestion:\n"
    turns = [{"role": "user", "content": f"<image>{own}Find x. Question: why?"}]
    path = write_jsonl(
        folder / "pool.jsonl", [{"id": "0", "conversations": turns, "answer": "3", "image_urls": ["1.png"]}]
    )
    assert read_one(path).question == f"<image>{own}Find x. Question: why?"
    assert read_one(path, own_instruction="remove").question == "<image>Find x. Question: why?"


def test_mulberry_for_fine_tuning(folder: Path) -> None:
    answer = "### Rationales:\nThe final answer is not yet here.\n### The final answer is: B: 30"
    messages = [{"role": "user", "content": "<image>\nFind x.\nA: 12 B: 30"}, {"role": "assistant", "content": answer}]
    path = folder / "pool.json"
    path.write_text(json.dumps([{"messages": messages, "images": ["1.png"]}]))
    check(path, "mulberry", "<image>\nFind x.\nA: 12 B: 30", "B: 30", ONE)


def test_mulberry_for_searching(folder: Path) -> None:
    row = {
        "image": "1.png",
        "question": "Question: Find x.\nChoices:\nA: 30\nB: 45",
        "conversations": [{"from": "human", "value": "<image>\nSelect."}, {"from": "gpt", "value": "Answer:B"}],
    }
    path = write_jsonl(folder / "pool.jsonl", [row])
    check(path, "mulberry", "<image>Question: Find x.\nChoices:\nA: 30\nB: 45", "B", ONE)


def test_mulberry_as_a_list_of_queries_is_plain(folder: Path) -> None:
    row = {"image": "1.png", "query": "Find x.", "gt": "30"}
    check(write_jsonl(folder / "pool.jsonl", [row]), "plain", "<image>Find x.", "30", ONE)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The final answer is: 3", "3"),
        ("the final answer is x.\nThe final answer is: \n 4 cm\nDone.", "4 cm"),
        ("Steps.\n### Answer: B", "B"),
        ("a red car", "a red car"),
        ("two lines\nwithout a marker", ""),
    ],
)
def test_the_final_answer_is_what_follows_its_last_marker(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize("column", ["messages", "prompt", "input", "context_messages"])
@pytest.mark.parametrize("label", ["label", "answer"])
def test_openrlhf_chat_columns(folder: Path, column: str, label: str) -> None:
    row = {column: [{"role": "user", "content": "<image>Find x."}], label: "3", "images": ["1.png"]}
    check(write_jsonl(folder / "pool.jsonl", [row]), "chat", "<image>Find x.", "3", ONE)


def test_openrlhf_plain_prompts_are_plain(folder: Path) -> None:
    row = {"input": "<image>Find x.", "label": "3", "images": ["1.png"], "datasource": "geo"}
    check(write_jsonl(folder / "pool.jsonl", [row]), "plain", "<image>Find x.", "3", ONE, "geo")


def test_chat_golds_are_in_the_first_column_that_has_some(folder: Path) -> None:
    row = {
        "messages": [{"role": "user", "content": "<image>Find x."}],
        "final_answer": None,
        "label": "3",
        "images": ["1.png"],
    }
    check(write_jsonl(folder / "pool.jsonl", [row]), "chat", "<image>Find x.", "3", ONE)


def test_chat_parts_bring_their_images_in_order(folder: Path) -> None:
    parts = [
        {"type": "text", "text": "Compare", "image": None},
        {"type": "image", "image": "1.png", "text": None},
        {"type": "image_url", "image_url": {"url": str(folder / "2.png")}},
        {"type": "text", "text": "and"},
        {"type": "text", "text": "decide."},
    ]
    row = {"messages": [{"role": "user", "content": parts}], "label": "B"}
    path = write_jsonl(folder / "pool.jsonl", [row])
    check(path, "chat", "Compare<image><image>and\ndecide.", "B", TWO)


def test_chat_parts_that_mark_a_place_are_filled_from_the_column(folder: Path) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "against"}, {"type": "image"}]
    row = {"prompt": [{"role": "user", "content": parts}], "label": "B", "images": ["1.png", "2.png"]}
    path = folder / "pool.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    check(path, "chat", "<image>against<image>", "B", TWO)


def test_earlier_turns_stay_in_front_and_the_system_message_is_put_aside(folder: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Its colour?"},
        {"role": "assistant", "content": "Red."},
    ]
    row = {"messages": messages, "label": "red", "images": ["1.png"]}
    question = "User: <image>What is it?\n\nAssistant: A cat.\n\nUser: Its colour?"
    check(write_jsonl(folder / "pool.jsonl", [row]), "chat", question, "red", ONE)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "the messages are empty"),
        ("not JSON", "the question"),
        ([{"role": "assistant", "content": "x"}], "no message of the user"),
        ([{"content": "x"}], "a message has no role"),
        (["x"], "a message is a str"),
        ([{"role": "user", "content": 3}], "a message's content is a int"),
        ([{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}], "a video part"),
        ([{"role": "user", "content": [{"type": "image"}]}], "1 image place(s) in the messages, and no image"),
        ([{"role": "user", "content": [{"type": "text"}]}], "a text part without text"),
        (None, "the messages are empty"),
    ],
)
def test_malformed_messages_are_quarantined_with_their_reason(folder: Path, messages: Any, reason: str) -> None:
    good = {"messages": [{"role": "user", "content": "Find x."}], "label": "3"}
    path = write_jsonl(folder / "pool.jsonl", [good, {"messages": messages, "label": "3"}])
    _, item = read_pool(path)
    if messages == "not JSON":
        # A row may hold a plain text where the others hold messages.
        assert isinstance(item, Sample)
        return
    assert isinstance(item, Quarantined)
    assert item.status == "malformed_row"
    assert reason in item.reason


@pytest.mark.parametrize(
    ("row", "gold", "count"),
    [
        ({"question": "Q?", "answer": 7, "image": "1.png"}, "7", 1),
        ({"Problem": "Q?", "Ground-Truth": 25.0, "img_path": "1.png"}, "25.0", 1),
        ({"instruction": "Q?", "solution": "<answer> B </answer>", "picture": "1.png"}, "B", 1),
        ({"query": "Q?", "label": ["B"], "images": ["1.png", "2.png"]}, "B", 2),
        ({"prompt": "Q?", "gt": True, "screenshot": "1.png"}, "True", 1),
        ({"question": "Q?", "answer": "B", "image": 12, "file": "1.png"}, "B", 1),
        ({"question": "Q?", "answer": "B", "images": '["1.png", "2.png"]'}, "B", 2),
        ({"question": "Q?", "answer": "B", "image": None}, "B", 0),
        ({"question": "Q?", "answer": "B", "images": [None]}, "B", 0),
        ({"question": "Q?", "answer": "B", "image": ""}, "B", 0),
        ({"question": "Q?", "answer": "B"}, "B", 0),
    ],
)
def test_plain_columns_are_told_by_name_and_by_value(folder: Path, row: Any, gold: str, count: int) -> None:
    sample = read_one(write_jsonl(folder / "pool.jsonl", [row]))
    assert (sample.question, sample.gold) == ("<image>" * count + "Q?", gold)
    assert sample.images == TWO[:count]


@pytest.mark.parametrize(
    ("solution", "gold"),
    [
        ("We count: \\boxed{3}.", "3"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("<think>two and\none</think>\n<answer>3</answer>", "3"),
        ("<think>\\boxed{4}?</think><answer>\\boxed{3}</answer>", "3"),
        ("\\boxed{3", "\\boxed{3"),
    ],
)
def test_of_a_worked_solution_the_marked_answer_is_the_gold(folder: Path, solution: str, gold: str) -> None:
    row = {"problem": "How many?", "answer": None, "solution": solution, "image": "1.png"}
    assert read_one(write_jsonl(folder / "pool.jsonl", [row])).gold == gold
    talk = [{"role": "user", "content": "<image>How many?"}, {"role": "assistant", "content": solution}]
    sample = read_one(write_jsonl(folder / "talk.jsonl", [{"messages": talk, "images": ["1.png"]}]))
    assert sample.gold == gold


def test_a_solution_with_two_boxes_is_no_gold(folder: Path) -> None:
    row = {"problem": "How many?", "solution": "\\boxed{3} or \\boxed{4}", "image": "1.png"}
    (item,) = read_pool(write_jsonl(folder / "pool.jsonl", [row]))
    assert isinstance(item, Quarantined)
    assert (item.status, item.reason) == ("ungradable_gold", "the gold answer has 2 boxes, not one answer")


def test_verl_rows_with_one_image_in_a_column_of_that_name(folder: Path) -> None:
    row = {"prompt": "How many?", "reward_model": {"ground_truth": "3"}, "image": "1.png"}
    check(write_jsonl(folder / "pool.jsonl", [row]), "verl", "<image>How many?", "3", ONE)


def test_counted_columns_are_all_read_in_their_order_but_for_the_one_that_the_user_names(folder: Path) -> None:
    question = "<image 1>, <image 2>?"
    row = {"image_1": "1.png", "image_2": "2.png", "image_10": "1.png", "question": question, "answer": "3"}
    path = write_jsonl(folder / "pool.jsonl", [row, {**row, "image_10": None}])
    three, two = read_pool(path)
    assert isinstance(three, Sample)
    assert isinstance(two, Sample)
    # One more than are named: in front in their order, so that "image 1" is the first of them.
    assert (three.images, three.question) == ((*TWO, *ONE), "<image><image><image>image 1, image 2?")
    assert (two.images, two.question) == (TWO, "<image>, <image>?")
    (one, _) = read_pool(path, images="image_2")
    assert isinstance(one, Quarantined)
    assert one.reason == "2 <image> placeholders for 1 image"


def test_columns_named_by_the_user_win(folder: Path) -> None:
    row = {"question": "no", "answer": "no", "image": "gone.png", "q": "Q?", "a": "yes", "i": ["1.png"]}
    path = write_jsonl(folder / "pool.jsonl", [row])
    sample = read_one(path, question="q", answer="a", images="i")
    assert (sample.question, sample.gold, sample.images) == ("<image>Q?", "yes", ONE)
    chat = {"turns": [{"role": "user", "content": "Q?"}], "a": "yes"}
    assert read_one(write_jsonl(path, [chat]), question="turns", answer="a").question == "Q?"


@pytest.mark.parametrize(
    ("row", "options", "line"),
    [
        (
            {"foo": "x", "bar": "y"},
            {},
            "cannot tell which column holds the questions; columns: foo, bar; name the columns",
        ),
        ({"question": "x", "bar": "y"}, {}, "cannot tell which column holds the gold answers; columns: question, bar"),
        (
            {"question": "<image>x", "answer": "y", "pic": 3},
            {},
            "the questions have <image> placeholders, but no column is recognised as their images",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}]},
            {},
            "the gold answers; columns: messages; name it with --answer",
        ),
        (
            {"question": "x", "answer": "y"},
            {"answer": "gold"},
            r"no column 'gold' \(--answer\); columns: question, answer",
        ),
        (
            {"question": "x", "answer": "y"},
            {"format": "gibberish"},
            r"unknown format 'gibberish' \(--format\); known: verl,",
        ),
    ],
)
def test_columns_that_cannot_be_told_are_one_line(tmp_path: Path, row: Any, options: Any, line: str) -> None:
    path = write_jsonl(tmp_path / "pool.jsonl", [row])
    with pytest.raises(RapError, match=line):
        read_pool(path, **options)


def test_a_pool_without_a_readable_row_says_why(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text("one\ntwo\n")
    with pytest.raises(
        RapError, match=r"none of the first 2 rows can be read \(the line is not JSON .+is this a jsonl file"
    ):
        read_pool(tmp_path / "pool.jsonl")


def test_a_format_from_a_plugin_is_asked_before_the_built_in_ones(folder: Path) -> None:
    def read(row: Any, columns: Any) -> RawSample:
        if row["answer"] == "2":
            raise KeyError("shape")
        if row["answer"] == "3":
            raise RowProblem("threes are not for us")
        return RawSample(f"Mine: {row['problem']}", row["answer"], (row["images"][0],))

    mine = Format("mine", "a test's own", lambda columns, rows: "problem" in columns, read)
    rows = [{"problem": "Q?", "answer": str(n), "images": ["1.png"]} for n in (1, 2, 3)]
    config = PoolConfig(path=str(write_jsonl(folder / "pool.jsonl", rows)))
    sample, broken, refused = ingest(open_pool(config), config, formats={**BUILTIN_FORMATS, "mine": mine})
    assert isinstance(sample, Sample)
    assert sample.question == "<image>Mine: Q?"
    assert isinstance(broken, Quarantined)
    assert broken.reason == "not readable as mine (KeyError: 'shape')"
    assert isinstance(refused, Quarantined)
    assert refused.reason == "threes are not for us"


def test_the_documentation_describes_every_format() -> None:
    text = (Path(__file__).parents[2] / "docs" / "pools.md").read_text(encoding="utf-8")
    missing = [name for name in BUILTIN_FORMATS if f"`{name}`" not in text]
    assert not missing
