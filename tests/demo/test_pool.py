"""The shipped demo pool is what its script makes, and keeps what it promises."""

import io
from collections import Counter

import pyarrow.parquet as pq
import pytest
from PIL import Image

from rap_plugin.demo import POOL_PATH

ROLES = {"needs_image", "given_away", "trivial", "hard", "distracted"}


def test_the_pool_has_its_columns_and_roles() -> None:
    table = pq.read_table(POOL_PATH)
    assert table.column_names == ["id", "problem", "answer", "images", "role", "needs_image", "kind"]
    assert len(table) >= 600
    roles = Counter(table["role"].to_pylist())
    assert set(roles) == ROLES
    assert min(roles.values()) >= 30


def test_at_most_half_of_the_pool_needs_the_image() -> None:
    needs = pq.read_table(POOL_PATH, columns=["needs_image"])["needs_image"].to_pylist()
    assert 0.4 <= sum(needs) / len(needs) <= 0.5


def test_the_pool_is_small() -> None:
    assert POOL_PATH.stat().st_size < 2_000_000


def test_ids_and_pictures_are_distinct() -> None:
    table = pq.read_table(POOL_PATH)
    assert len(set(table["id"].to_pylist())) == len(table)
    assert len({images[0]["bytes"] for images in table["images"].to_pylist()}) == len(table)


def test_every_problem_has_one_placeholder_and_one_readable_picture() -> None:
    for row in pq.read_table(POOL_PATH).to_pylist():
        assert row["problem"].count("<image>") == 1
        assert len(row["images"]) == 1
        picture = Image.open(io.BytesIO(row["images"][0]["bytes"]))
        picture.load()
        assert picture.size == (48, 48)


def test_the_shipped_pool_is_what_its_script_makes() -> None:
    pytest.importorskip("sklearn")
    from make_demo_pool import demo_pool

    assert demo_pool().equals(pq.read_table(POOL_PATH))


def test_the_shipped_file_comes_out_byte_for_byte(tmp_path) -> None:
    pytest.importorskip("sklearn")
    from make_demo_pool import demo_pool, write_pool

    write_pool(demo_pool(), tmp_path / "pool.parquet")
    made = pq.ParquetFile(tmp_path / "pool.parquet").metadata.created_by
    shipped = pq.ParquetFile(POOL_PATH).metadata.created_by
    if made != shipped:
        pytest.skip(f"the shipped file was written by {shipped}, this is {made}")
    assert (tmp_path / "pool.parquet").read_bytes() == POOL_PATH.read_bytes()
