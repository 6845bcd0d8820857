"""Interleaved rows from a pool with known boxes: what is kept, what is refused, and that the loop reads what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.vlm_r3.boxes import AskedBox, read_box
from rap_plugin.vlm_r3.build_data import Judges, Refused, build_row
from rap_plugin.vlm_r3.coordinates import Frame, to_region
from rap_plugin.vlm_r3.evidence_boxes import known_boxes, read_boxes
from rap_plugin.vlm_r3.interleaved import read_interleaved
from rap_plugin.vlm_r3.scenes import make_scenes, pool_rows

FRAME = Frame("normalised", 1)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (100, 200, 3), dtype=np.uint8))
BOX = (20, 20, 60, 60)


def test_a_row_becomes_one_turn_whose_boxes_mean_the_known_regions() -> None:
    other = (100, 10, 160, 90)
    row = build_row(NOISE, "How many?", "7", [BOX, other], FRAME)
    assert len(row.segments) == 3
    for segment, region in zip(row.segments, (BOX, other), strict=False):
        asked = read_box(segment)
        assert isinstance(asked, AskedBox)
        assert np.allclose(to_region(FRAME, asked.corners, NOISE.size), region, atol=1)
    assert row.segments[0].startswith("<think>")
    assert row.segments[-1].endswith("</think><answer>7</answer>")


@pytest.mark.parametrize(
    ("boxes", "rationale", "answer", "name"),
    [
        ([], None, "7", "boxes"),
        ([BOX] * 9, None, "7", "boxes"),
        ([(300, 300, 400, 400)], None, "7", "region"),
        ([(20, 20, 22, 60)], None, "7", "region"),
        ([(0, 0, 200, 100)], None, "7", "region"),
        ([BOX, (21, 20, 60, 60)], None, "7", "reasoning"),
        ([BOX], ["I look."], "7", "reasoning"),
        ([BOX], ["I look.", " "], "7", "reasoning"),
        ([BOX], ["It is 7.", "it is 7."], "7", "reasoning"),
        ([BOX], ["I look.", "<answer>7</answer> 7"], "7", "reasoning"),
        ([BOX], ["I look.", "So it is 8."], "7", "answer"),
        ([BOX], ["I look.", "So it is 17."], "7", "answer"),
        ([BOX], ["I look.", "So it is -7."], "7", "answer"),
        ([BOX], ["I look.", "So it is 7.5."], "7", "answer"),
        ([BOX], ["I look.", "It is coloured."], "colour", "answer"),
        ([BOX], "ab", "b", "reasoning"),
        ([BOX], 7, "7", "reasoning"),
        ([BOX], ["I look.", 7], "7", "reasoning"),
        ([BOX], {"a": 1, "7": 2}, "7", "reasoning"),
        ([BOX], None, "</answer>", "answer"),
    ],
)
def test_every_filter_refuses_what_it_is_for(boxes: Any, rationale: Any, answer: str, name: str) -> None:
    with pytest.raises(Refused) as refused:
        build_row(NOISE, "How many?", answer, boxes, FRAME, rationale)
    assert refused.value.name == name


def test_the_first_of_several_golds_is_what_a_row_teaches() -> None:
    row = build_row(NOISE, "Which colour?", "red/crimson", [BOX], FRAME, ["I look.", "It is crimson, a red."])
    assert row.segments[-1].endswith("<answer>red</answer>")
    row = build_row(NOISE, "哪种颜色?", "红色", [BOX], FRAME, ["我看。", "所以是红色的。"])
    assert row.segments[-1].endswith("<answer>红色</answer>")


@pytest.mark.parametrize(
    ("value", "boxes"),
    [
        ("[[1, 2, 30, 40]]", ((1, 2, 30, 40),)),
        ([{"bbox_2d": [1, 2, 30, 40], "label": "cat"}], ((1, 2, 30, 40),)),
        ({"bbox": [1, 2, 30, 40]}, ((1, 2, 30, 40),)),
        ([[1, 2, 30, 40], "1234"], ((1, 2, 30, 40), None)),
        ([[1, 2, 30, 40], [30, 40, 1, 2]], ((1, 2, 30, 40), None)),
        ([None, [1, 2, 30, 40]], (None, (1, 2, 30, 40))),
        ([[0.1, 0.2, 0.5, 0.6]], (None,)),
        ([[True, 0, 5, 6]], (None,)),
        ("[" * 20_000, ()),
        ("somewhere", ()),
    ],
)
def test_boxes_are_read_in_every_form_that_means_pixels(value: Any, boxes: Any) -> None:
    assert read_boxes({"bboxes": value}) == boxes
    assert known_boxes({"bboxes": value}) == tuple(box for box in boxes if box)


def test_a_region_with_nothing_in_it_is_refused() -> None:
    with pytest.raises(Refused, match="is empty"):
        build_row(Image.new("RGB", (200, 100), (250, 250, 250)), "How many?", "7", [BOX], FRAME)


def test_judges_are_asked_about_what_the_rules_let_through() -> None:
    seen: list[Any] = []
    judges = Judges(region=lambda crop, question: not seen.append(crop.size), reasoning=lambda question, text: False)
    with pytest.raises(Refused, match="reasoning: the judge"):
        build_row(NOISE, "How many?", "7", [BOX], FRAME, None, None, judges)
    assert seen == [(40, 40)]
    with pytest.raises(Refused, match="region: the judge"):
        build_row(NOISE, "How many?", "7", [BOX], FRAME, judges=Judges(region=lambda crop, question: False))


def test_the_command_writes_rows_that_training_reads_and_says_what_it_left_out(tmp_path: Path) -> None:
    from rap_plugin.cli import cli

    rows = pool_rows(make_scenes(5, seed=2))
    rows[1]["evidence_boxes"] = []
    rows[3]["images"] = [{"bytes": b"no picture", "path": None}]
    rows.append({**rows[0], "problem": "<image>Another one?", "evidence_boxes": [[9, 9, 90, 90], [90, 90, 9, 9]]})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pool.parquet")
    out = tmp_path / "data"
    done = CliRunner().invoke(cli, ["r3", "build-data", str(tmp_path / "pool.parquet"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "3 rows in" in done.output
    assert "boxes 2" in done.output
    assert "1 of 2 are not" in (out / "refused.jsonl").read_text()
    assert "unreadable 1" in done.output
    written = [json.loads(line) for line in (out / "sft.jsonl").read_text().splitlines()]
    reinforced = [json.loads(line) for line in (out / "rl.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in reinforced] == [rows[at]["answer"] for at in (0, 2, 4)]
    for row, at in zip(written, (0, 2, 4), strict=True):
        turn = read_interleaved(row, out)
        assert len(turn.crops) == len(rows[at]["evidence_boxes"])
        assert turn.question == rows[at]["problem"].removeprefix("<image>")
        assert turn.images[0].size == (432, 432)


def test_a_pool_without_a_usable_row_is_an_error(tmp_path: Path) -> None:
    from rap_plugin.cli import cli
    from rap_plugin.errors import RapError

    rows = [{**row, "evidence_boxes": [[0.1, 0.2, 0.3, 0.4]]} for row in pool_rows(make_scenes(2, seed=2))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pool.parquet")
    done = CliRunner().invoke(
        cli, ["r3", "build-data", str(tmp_path / "pool.parquet"), "--out", str(tmp_path / "data")]
    )
    assert isinstance(done.exception, RapError)
    assert "no row could be used, reasons in" in str(done.exception)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"question": ""}, "no question"),
        ({"response_list": "seg"}, "no list of texts"),
        ({"response_list": ["a"]}, "1 segments for 1 crops"),
        ({"response_list": ["a", " "]}, "a segment is empty"),
        ({"image_path": None}, "there is no image"),
        ({"image_path": "gone.png"}, "no such file 'gone.png'"),
        ({"img_crop_list": [b"not a picture"]}, "not an image but text"),
    ],
)
def test_a_row_that_is_no_interleaved_turn_is_told_in_one_line(change: dict[str, Any], reason: str) -> None:
    row = {"image_path": NOISE, "question": "?", "response_list": ["a", "b"], "img_crop_list": [NOISE], **change}
    with pytest.raises(RowProblem, match=reason) as problem:
        read_interleaved(row)
    assert "\n" not in str(problem.value)
