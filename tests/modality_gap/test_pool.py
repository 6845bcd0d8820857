"""The embedded pool is what its script makes."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest
from make_diagram_pool import diagram_pool
from PIL import Image

from rap_plugin.modality_gap import POOL_DIR


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_shipped_pool_is_what_its_script_makes(split: str) -> None:
    """Pictures are compared by their pixels: another Pillow may pack them otherwise."""
    shipped, made = pq.read_table(POOL_DIR / f"{split}.parquet"), diagram_pool(split)
    assert shipped.drop_columns(["images"]).equals(made.drop_columns(["images"]))
    for one, other in zip(shipped["images"].to_pylist(), made["images"].to_pylist(), strict=True):
        assert Image.open(io.BytesIO(one[0]["bytes"])).tobytes() == Image.open(io.BytesIO(other[0]["bytes"])).tobytes()


def test_training_and_test_problems_are_different_drawings() -> None:
    train, test = (
        set(pq.read_table(POOL_DIR / f"{split}.parquet")["problem_id"].to_pylist()) for split in ("train", "test")
    )
    assert (len(train), len(test), len(train & test)) == (960, 200, 0)
