"""Examples: few, fairly drawn, bounded in size, and harmless."""

from __future__ import annotations

import base64
import io
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rap_plugin.evidence.tokens import store_tokens
from rap_plugin.evidence.variants import Variant
from rap_plugin.plugins import get_plugins
from rap_plugin.report.examples import (
    EVERY_PICTURE,
    MAX_THUMBNAIL,
    SIDE,
    Example,
    PageLimits,
    find_examples,
    shorten,
    thumbnail,
)
from rap_plugin.report.gallery import BORDERLINE, SAMPLES, choose_samples
from rap_plugin.report.joint import build_joint, with_variants
from rap_plugin.report.page import render_page
from rap_plugin.rollout import TokenAttention
from tests.fabricate import Fabricated, fabricate


def examples_of(made: Fabricated, most: int = SAMPLES, limits: PageLimits | None = None) -> list[Example]:
    formats = get_plugins().registry().things["formats"]
    wanted = choose_samples(made.selection, build_joint(with_variants(made.store, made.selection)), most)
    return find_examples(made.store, made.selection, made.pool, formats, wanted, limits or PageLimits())


def encoded(size: tuple[int, int], kind: str = "PNG") -> bytes:
    draws = np.random.default_rng(1)
    buffer = io.BytesIO()
    Image.fromarray(draws.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def test_every_verdict_shows_the_samples_with_the_lowest_ids_in_turn(made: Fabricated) -> None:
    found = examples_of(made, 12)
    words = list(made.selection.decision.counts())
    assert [example.verdict for example in found] == (words * 3)[:12]
    for verdict in words:
        ids = sorted(made.selection.table.ids[made.selection.decision.verdicts == verdict])
        shown = [example.id for example in found if example.verdict == verdict]
        assert shown == ids[: len(shown)]


def test_the_samples_nearest_to_both_thresholds_are_shown(made: Fabricated) -> None:
    found = examples_of(made)
    assert len(found) == len({example.id for example in found}) == SAMPLES
    gain = made.selection.scores["discrepancy"]
    shown = gain[[example.index for example in found]]
    lambda_c = made.selection.decision.thresholds["lambda_c"]
    for side in (gain[gain > lambda_c].min(), gain[gain <= lambda_c].max()):
        assert (shown == side).sum() >= min(BORDERLINE, (gain == side).sum())


def test_a_page_has_room_for_some_pictures_only(made: Fabricated) -> None:
    found = examples_of(made, 40, PageLimits(pictures=2_000))
    assert found[0].thumbnails
    assert not found[-1].thumbnails
    assert found[-1].unshown


def test_all_pictures_of_the_shown_samples_are_there_when_asked_for(tmp_path: Path) -> None:
    pool = tmp_path / "pool.parquet"
    pictures = [[{"bytes": encoded((20 + i, 20 + j)), "path": f"{i}-{j}.png"} for j in range(5)] for i in range(6)]
    questions = [f"{'<image>' * 5} What is {i}?" for i in range(6)]
    pq.write_table(pa.table({"problem": questions, "answer": ["1"] * 6, "images": pictures}), pool)
    with closing((made := fabricate(tmp_path, pool=pool, roles=False)).store):
        assert {(len(one.thumbnails), one.more_images) for one in examples_of(made)} == {(2, 3)}
        assert {(len(one.thumbnails), one.more_images) for one in examples_of(made, limits=EVERY_PICTURE)} == {(5, 0)}
        assert not examples_of(made, limits=PageLimits(pictures=1))[-1].thumbnails


def test_a_page_has_room_for_some_shades_only(tmp_path: Path) -> None:
    with closing((made := fabricate(tmp_path, 40)).store):
        shade_all(made)
        every = examples_of(made)
        assert all(said.shades for one in every for said in one.arms[0].rollouts)
        some = examples_of(made, limits=PageLimits(shades=2_000))
        shaded = [said.shades for one in some for said in one.arms[0].rollouts if said.shades]
        assert 2_000 <= sum(one.size for one in shaded) < 2_500
        assert len(shaded) + sum(one.unshaded for one in some) == 5 * len(some)
        page = render_page(made.run, made.selection, made.pool, made.store)
        written = re.findall(r'<span class="shaded">.*?</blockquote>', page)
        assert len(written) == 5 * len(every)
        sizes = sum(said.shades.size for one in every for said in one.arms[0].rollouts if said.shades)
        assert 0.9 < sum(map(len, written)) / sizes < 1.5, "the limit speaks of characters of the page"


def shade_all(made: Fabricated) -> None:
    """Stores attention by token for every response with the image."""
    ace, probe = made.config.ace, made.selection.table.probes["image"]
    draws = np.random.default_rng(0)
    seen = {}
    for record in made.store.records({"image": probe}, made.selection.table.sample.tolist()):
        ends = tuple(range(3, len(record.text), 3))
        shares = draws.exponential(0.1, len(ends))
        seen[record.sample, record.rollout] = TokenAttention(tuple(shares.tolist()), int(shares.argmax()), ends)
    store_tokens(made.store, probe, Variant(ace.reduction, ace.heads, ace.window), seen)


def test_a_sample_shows_every_rollout_with_what_was_read(made: Fabricated) -> None:
    for example in examples_of(made, 30):
        image, blind = example.arms
        assert (image.arm, blind.arm) == ("image", "blind")
        assert len(image.rollouts) == len(blind.rollouts) == 5
        assert {said.mark for said in image.rollouts} <= {"right", "wrong"}
        assert all(said.extracted in "0123456789" and said.extracted in said.text for said in image.rollouts)
        assert all(said.log_psi is not None for said in image.rollouts)
        assert example.thumbnails
        if example.verdict == "easy":
            assert image.right == 5
        if example.verdict == "unsolved":
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
        every = examples_of(made)
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
