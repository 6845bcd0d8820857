"""The shipped model of the drawn diagrams: small, whole, and with the gap that makes the pool a test."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from rap_plugin.config import ModelConfig, PoolConfig
from rap_plugin.modality_gap import MODEL_DIR, POOL_DIR
from rap_plugin.modality_gap.gap import measure_gap
from rap_plugin.modality_gap.measure import measure
from rap_plugin.modality_gap.records import read_records

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_the_weights_are_less_than_four_megabytes_and_read_whole_into_float32() -> None:
    from transformers import AutoModelForImageTextToText

    assert (MODEL_DIR / "model.safetensors").stat().st_size < 4_000_000
    model, info = AutoModelForImageTextToText.from_pretrained(MODEL_DIR, output_loading_info=True)
    assert not any(info.values())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_prompts_of_the_pool_hold_no_unknown_character() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    for row in pq.read_table(POOL_DIR / "test.parquet", columns=["text", "image"]).to_pylist():
        for prompt in row.values():
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert len(ids) < 110


@pytest.mark.slow
def test_words_are_solved_far_more_often_than_drawings_which_are_solved_sometimes(tmp_path) -> None:
    """72 drawings of 24 problems, two responses each at temperature 1: wide bounds around 0.73 and 0.16."""
    pool = PoolConfig(path=str(POOL_DIR / "test.parquet"), limit=72)
    measure(ModelConfig(id=str(MODEL_DIR)), pool, tmp_path, samples=2, temperature=1.0, max_new_tokens=64, quiet=True)
    gap = measure_gap(read_records([tmp_path])[0])
    assert gap is not None
    assert gap.low > 0.15
    assert 0.05 < gap.image < 0.45
    assert gap.image_passed > 0.1
