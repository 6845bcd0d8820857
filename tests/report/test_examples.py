"""Examples: few, fairly drawn, bounded in size, and harmless."""

from __future__ import annotations

import base64
import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rap_plugin.plugins import get_plugins
from rap_plugin.report.examples import MAX_THUMBNAIL, SIDE, Example, find_examples, shorten, thumbnail
from tests.fabricate import Fabricated, fabricate


def examples_of(made: Fabricated) -> dict[str, list[Example]]:
    return find_examples(made.store, made.selection, made.pool, get_plugins().registry().things["formats"])


def encoded(size: tuple[int, int], kind: str = "PNG") -> bytes:
    draws = np.random.default_rng(1)
    buffer = io.BytesIO()
    Image.fromarray(draws.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def test_every_verdict_shows_the_samples_with_the_lowest_ids(made: Fabricated) -> None:
    found = examples_of(made)
    assert list(found) == list(made.selection.decision.counts())
    for verdict, examples in found.items():
        ids = made.selection.table.ids[made.selection.decision.verdicts == verdict]
        assert [example.id for example in examples] == sorted(ids)[:4]


def test_an_example_shows_its_rollouts_with_a_right_and_a_wrong_one(made: Fabricated) -> None:
    for verdict, examples in examples_of(made).items():
        for example in examples:
            image, blind = example.arms
            assert (image.arm, blind.arm) == ("image", "blind")
            assert len(image.marks) == len(blind.marks) == 5
            assert {quote.verdict for quote in image.quotes} == set(image.marks)
            assert example.thumbnails
            if verdict == "easy":
                assert image.right == 5
            if verdict == "unsolved":
                assert image.right == 0


def test_a_sample_whose_row_is_gone_is_shown_without_its_picture(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    names = []
    for i in range(12):
        name = f"{i}.png"
        Image.new("RGB", (30, 30), (i, 20, 30)).save(tmp_path / "images" / name)
        names.append(f"images/{name}")
    pool = tmp_path / "pool.parquet"
    columns = {
        "problem": [f"What is {i}?" for i in range(12)],
        "answer": ["1"] * 12,
        "images": [[name] for name in names],
    }
    pq.write_table(pa.table(columns), pool)
    made = fabricate(tmp_path, pool=pool, roles=False)
    with closing(made.store):
        for name in names[:6]:
            (tmp_path / name).unlink()
        every = [example for examples in examples_of(made).values() for example in examples]
    gone = [example for example in every if example.row < 6]
    assert gone
    assert all(not example.thumbnails and "cannot be read any more" in example.question for example in gone)
    assert all(example.thumbnails for example in every if example.row >= 6)


@pytest.mark.parametrize("size", [(4000, 3000), (8000, 4), (3, 5000), (300, 300)])
def test_a_thumbnail_is_small_whatever_the_picture(size: tuple[int, int]) -> None:
    found = thumbnail(encoded(size))
    assert found is not None
    data = base64.b64decode(found.url.removeprefix("data:image/jpeg;base64,"))
    assert len(data) <= MAX_THUMBNAIL
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (found.width, found.height)
        assert max(picture.size) <= SIDE


def test_a_tiny_picture_keeps_its_pixels() -> None:
    data = encoded((40, 30))
    found = thumbnail(data)
    assert found is not None
    assert found.enlarged
    with (
        Image.open(io.BytesIO(base64.b64decode(found.url.split(",")[1]))) as shown,
        Image.open(io.BytesIO(data)) as given,
    ):
        assert shown.convert("RGB").tobytes() == given.convert("RGB").tobytes()


def test_a_damaged_picture_has_no_thumbnail() -> None:
    assert thumbnail(encoded((200, 200))[:500]) is None
    assert thumbnail(b"<svg onload=alert(1)>") is None


def test_long_texts_keep_their_beginning_and_their_end() -> None:
    short = shorten(f"start {'x ' * 100_000} \\boxed{{7}}", 200)
    assert len(short) < 210
    assert short.startswith("start x")
    assert short.endswith("\\boxed{7}")
    assert shorten("a\n b\tc", 10) == "a b c"
    assert shorten("\x1b[31mred\x00\u202e", 50) == "[31mred"
