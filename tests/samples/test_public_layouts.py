"""Rows in the layouts of public data sets, read to what a careful person reads in them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.errors import RapError
from rap_plugin.samples.sample import Quarantined, Sample

from .make import picture, read_one, read_pool, write_jsonl

ONE = (picture(1),)
TWO = (picture(1), picture(2))
URI = "data:image/png;base64," + base64.b64encode(picture(1)).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    return tmp_path


def read(folder: Path, row: dict[str, Any], **options: Any) -> Sample | Quarantined:
    (item,) = read_pool(write_jsonl(folder / "pool.jsonl", [row]), **options)
    return item


def refused(item: Sample | Quarantined, status: str, reason: str) -> None:
    assert isinstance(item, Quarantined), item
    assert (item.status, reason in item.reason) == (status, True), item


# -- gold answers


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("['14']", "14"),
        ('["14"]', "14"),
        ("[1, 2]", "[1, 2]"),
        ("3 + 2 = <<3+2=5>>5\n#### 5", "5"),
        ("#### One\ntext\n#### Two", "#### One\ntext\n#### Two"),
        ("##### 5", "##### 5"),
    ],
)
def test_a_gold_that_is_packed_in_a_text_is_unpacked(folder: Path, answer: str, gold: str) -> None:
    item = read(folder, {"question": "How many?", "answer": answer})
    assert isinstance(item, Sample)
    assert item.gold == gold


@pytest.mark.parametrize("answer", ["['24/7', '3.429']", '["a", "b"]', "['b' 'b']"])
def test_several_answers_are_several_also_where_they_are_printed(folder: Path, answer: str) -> None:
    refused(read(folder, {"question": "Who?", "answer": answer}), "ungradable_gold", "a list of 2, not one answer")


def test_texts_that_a_file_has_as_bytes_are_texts(folder: Path) -> None:
    rows = [{"question": b"How many?", "answer": b"42"}, {"question": b"Who?", "answer": b"\xff"}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "pool.parquet")
    one, other = read_pool(folder / "pool.parquet")
    assert isinstance(one, Sample)
    assert (one.question, one.gold) == ("How many?", "42")
    refused(other, "malformed_row", "the gold answer is bytes that are no UTF-8 text")


def test_a_class_label_is_the_name_of_its_class(folder: Path) -> None:
    kinds = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "tags": [{"a": {"_type": "Value"}}]}
    schema = pa.schema([("question", pa.string()), ("label", pa.int64())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": kinds}})})
    rows = [{"question": "Is it?", "label": 1}, {"question": "Was it?", "label": -1}]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "pool.parquet")
    named, unknown = read_pool(folder / "pool.parquet")
    assert isinstance(named, Sample)
    assert named.gold == "yes"
    refused(unknown, "ungradable_gold", "empty")


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_a_short_fraction_is_the_number_that_was_meant(folder: Path, kind: Any) -> None:
    table = pa.table({"question": ["How long?"], "answer": pa.array(np.array([0.1], kind))})
    pq.write_table(table, folder / "pool.parquet")
    assert read_one(folder / "pool.parquet").gold == "0.1"


@pytest.mark.parametrize(
    ("row", "gold"),
    [
        ({"answers": ["1/8/93"]}, "1/8/93"),
        ({"multiple_choice_answer": "net", "answers": [{"answer": "net"}, {"answer": "nets"}]}, "net"),
        ({"answers": ["a", "b"], "solution": "a"}, "a"),
        ({"answerKey": "B"}, "B"),
        ({"answer": "Two lines\nof work", "short_answer": "7"}, "7"),
        ({"answer": "7", "final_answer": None}, "7"),
    ],
)
def test_golds_under_the_names_of_visual_question_answering(folder: Path, row: Any, gold: str) -> None:
    assert read_one(write_jsonl(folder / "pool.jsonl", [{"question": "Which? A. x B. y", **row}])).gold == gold


# -- conversations whose end is the gold


def talk(folder: Path, said: str, **more: Any) -> Sample | Quarantined:
    turns = [{"from": "human", "value": "<image>\nWhich?"}, {"from": "gpt", "value": said}]
    return read(folder, {"image": "1.png", "conversations": turns, **more})


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("The answer is B", "B"),
        ("Steps.\nTherefore, the correct answer is 0.33.", "0.33"),
        ("Steps.\n\n**Answer:** B", "B"),
        ("<SUMMARY>s</SUMMARY>\n\n<REASONING>r</REASONING>\n\n<CONCLUSION> B </CONCLUSION>", "B"),
        ("<SUMMARY>s</SUMMARY>\n<CONCLUSION>The answer is B.</CONCLUSION>", "B"),
        ("The answer is 3. It may be 4.", "The answer is 3. It may be 4."),
    ],
)
def test_the_assistants_answer_is_read_as_it_is_said(folder: Path, said: str, gold: str) -> None:
    item = talk(folder, said)
    assert isinstance(item, Sample)
    assert item.gold == gold


def test_a_conversation_that_ends_with_a_question_has_no_gold(folder: Path) -> None:
    turns = [("human", "<image>\nOne?"), ("gpt", "1"), ("human", "Two?")]
    good = {"image": "1.png", "conversations": [{"from": who, "value": what} for who, what in turns[:2]]}
    bad = {"image": "1.png", "conversations": [{"from": who, "value": what} for who, what in turns]}
    one, other = read_pool(write_jsonl(folder / "pool.jsonl", [good, bad]))
    assert isinstance(one, Sample)
    refused(other, "ungradable_gold", "does not end with the assistant's answer")


def test_an_answer_that_is_nowhere_marked_is_told(folder: Path) -> None:
    refused(talk(folder, "Two lines\nof reasoning"), "ungradable_gold", "says nowhere what its answer is")


def test_a_column_of_golds_is_believed_before_the_conversations_end(folder: Path) -> None:
    item = talk(folder, "I think it is C", correct_answer="B")
    assert isinstance(item, Sample)
    assert item.gold == "B"


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"type": "image", "image": "1.png"}, {"type": "text", "text": "Which?"}]),
        [{"type": "input_image", "image_url": URI}, {"type": "input_text", "text": "Which?"}],
        [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": URI.partition(",")[2]}},
            {"type": "text", "text": "Which?"},
        ],
    ],
)
def test_parts_of_a_message_in_other_hosts_words(folder: Path, content: Any) -> None:
    item = read(folder, {"messages": [{"role": "user", "content": content}], "answer": "B"})
    assert isinstance(item, Sample)
    assert (item.question, item.images) == ("<image>Which?", ONE)


# -- questions


def test_a_question_in_a_list_of_one_is_that_question(folder: Path) -> None:
    item = read(folder, {"Question": ["How many?"], "Answer": ["3"], "image": '{"bytes": null, "path": "1.png"}'})
    assert isinstance(item, Sample)
    assert (item.question, item.gold, item.images) == ("<image>How many?", "3", ONE)


def test_alpacas_input_belongs_to_its_instruction(folder: Path) -> None:
    row = {"instruction": "<image>Answer briefly.", "input": "How many?", "output": "3", "images": ["1.png"]}
    item = read(folder, row, answer="output")
    assert isinstance(item, Sample)
    assert item.question == "<image>Answer briefly.\nHow many?"
    named = read(folder, row, answer="output", question="instruction")
    assert isinstance(named, Sample)
    assert named.question == "<image>Answer briefly."


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "<video>What?", "answer": "3", "images": [], "videos": ["a.mp4"]},
        {"problem": "What?", "solution": "<answer>3</answer>", "path": "./v/1.mp4", "data_type": "video"},
        {"prompt": "What?", "images": None, "videos": [{"video": "a.mp4"}], "reward_model": {"ground_truth": "3"}},
        {"question": "What is said?", "answer": "3", "audio": {"bytes": None, "path": "a.wav"}},
        {"question": "<image><video>What?", "answer": "3", "image": "1.png", "video": "a.mp4"},
    ],
)
def test_a_row_about_a_video_or_a_sound_is_no_text_only_problem(folder: Path, row: Any) -> None:
    refused(read(folder, row), "malformed_row", "about a video or a sound")


@pytest.mark.parametrize("videos", [None, [], [None], {"bytes": None}, ""])
def test_an_empty_column_of_videos_is_nothing(folder: Path, videos: Any) -> None:
    assert isinstance(read(folder, {"question": "What?", "answer": "3", "videos": videos}), Sample)


def test_a_frame_may_name_its_video(folder: Path) -> None:
    item = read(folder, {"question": "What?", "answer": "3", "image": "1.png", "video": "a.mp4"})
    assert isinstance(item, Sample)
    assert item.images == ONE


# -- images


@pytest.mark.parametrize(
    "row",
    [
        {"images": [], "image": "1.png"},
        {"image": None, "image_path": "1.png"},
        {"image": "images/0.jpg", "decoded_image": URI},
        {"images": [{"file_name": "1.png"}]},
        {"images": {"image": ["1.png"]}},
        {"image": {"<image_00>": "1.png"}},
        {"image": "['1.png']"},
        {"image": ".\\1.png"},
    ],
)
def test_the_image_is_found_where_it_is(folder: Path, row: Any) -> None:
    item = read(folder, {"question": "How many?", "answer": "3", **row})
    assert isinstance(item, Sample)
    assert item.images == ONE


def test_lists_of_bytes_and_paths_are_as_many_images(folder: Path) -> None:
    row = {"question": "How many?", "answer": "3", "images": {"bytes": list(TWO), "path": [None, None]}}
    pq.write_table(pa.Table.from_pylist([row]), folder / "pool.parquet")
    assert read_one(folder / "pool.parquet").images == TWO


def test_an_image_that_is_not_understood_is_not_no_image(folder: Path) -> None:
    item = read(folder, {"question": "How many?", "answer": "3", "images": [{"key": "7", "size": 3}]})
    refused(item, "malformed_row", "the image is an object of key, size, and none of bytes, path")


def test_rows_that_name_their_images_otherwise_than_the_first_keep_them(folder: Path) -> None:
    rows = [
        {"question": "Which?", "answer": "3", "images": ["1.png", "2.png"]},
        {"question": "How many?", "answer": "7", "image": "1.png"},
        {"question": "Who?", "answer": "8", "image": "none"},
    ]
    both, one, none = read_pool(write_jsonl(folder / "pool.jsonl", rows))
    assert isinstance(both, Sample)
    assert isinstance(one, Sample)
    assert isinstance(none, Sample)
    assert (both.images, one.images, none.images) == (TWO, ONE, ())
    named = read_pool(folder / "pool.jsonl", images="images")[1]
    assert isinstance(named, Sample)
    assert named.images == ()


def test_images_that_appear_after_the_first_rows_are_not_lost(folder: Path) -> None:
    plain = [{"question": f"{number} + 1?", "answer": "1"} for number in range(70)]
    *_, usual, other = read_pool(
        write_jsonl(
            folder / "pool.jsonl",
            [
                *plain,
                {"question": "a?", "answer": "2", "image": "1.png"},
                {"question": "b?", "answer": "2", "ref": "1.png"},
            ],
        )
    )
    assert isinstance(usual, Sample)
    assert usual.images == ONE
    refused(
        other, "malformed_row", "column 'ref' holds an image, and in the first rows it did not; name it with --images"
    )


def test_an_avif_in_base64_is_an_image(folder: Path) -> None:
    data = picture(1, kind="AVIF")
    item = read(folder, {"question": "How many?", "answer": "3", "image": base64.b64encode(data).decode()})
    assert isinstance(item, Sample)
    assert item.images == (data,)


# -- containers


def test_hidden_files_are_no_part_of_a_folder(folder: Path) -> None:
    (folder / "data").mkdir()
    row = {"question": "How many?", "answer": "3"}
    pq.write_table(pa.Table.from_pylist([row]), folder / "data" / "train-00000-of-00001.parquet")
    (folder / "data" / "._train-00000-of-00001.parquet").write_bytes(b"\0\5\x16\7")
    (folder / ".ipynb_checkpoints").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), folder / ".ipynb_checkpoints" / "train-checkpoint.parquet")
    assert read_one(folder).gold == "3"


def test_a_json_file_of_named_lists_says_which_there_are(folder: Path) -> None:
    path = folder / "pool.json"
    path.write_text(json.dumps({"info": {}, "questions": [{"question": "How many?", "answer": "3"}]}))
    with pytest.raises(RapError, match=r"name one of its lists \('questions'\) with --split"):
        read_pool(path)
    assert read_one(path, split="questions").gold == "3"
