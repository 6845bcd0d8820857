"""Pools that strangers made, and pools that are none: one line, or one quarantined row, and nothing told of other files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.grading import GradingOptions, open_grader
from rap_plugin.samples.containers.jsonl import JsonlPool
from rap_plugin.samples.formats import BUILTIN_FORMATS
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Quarantined


def nested(depth: int, mapping: bool) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = {"a": value} if mapping else [value]
    return value


@pytest.mark.parametrize("depth", [10, 60, 400, 900])
@pytest.mark.parametrize("mapping", [True, False])
def test_a_column_nested_deep_is_kept_in_a_file_that_can_be_read(depth: int, mapping: bool, tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    rows = [{"question": "Q?", "answer": "1", "extra": nested(depth, mapping)}, {"question": "R?", "answer": "2"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pool = JsonlPool(path, str(path))
    pq.write_table(pool.table([0, 1]), tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["question"].to_pylist() == ["Q?", "R?"]
    if depth > 16:
        assert json.loads(table["extra"][0].as_py()) == rows[0]["extra"]
        again = open_pool(PoolConfig(path=str(tmp_path / "out.parquet")))
        assert len(again.rows([0, 1])) == 2


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_split_of_a_file_that_has_none_is_not_passed_over(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pool{suffix}"
    path.write_text("question,answer\nQ?,1\n")
    with pytest.raises(RapError, match="one file of this kind has no splits"):
        open_pool(PoolConfig(path=str(path), split="validation"))


def test_a_file_named_after_the_split_is_that_split(tmp_path: Path) -> None:
    path = tmp_path / "validation-00000-of-00001.csv"
    path.write_text("question,answer\nQ?,1\n")
    assert len(open_pool(PoolConfig(path=str(path), split="validation"))) == 1


def test_what_is_neither_a_file_nor_a_folder_is_called_that(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pool.jsonl")
    (tmp_path / "lost.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RapError, match=r"pool\.jsonl: is neither a file nor a folder"):
        open_pool(PoolConfig(path=str(tmp_path / "pool.jsonl")))
    with pytest.raises(RapError, match=r"lost\.jsonl: leads nowhere"):
        open_pool(PoolConfig(path=str(tmp_path / "lost.jsonl")))


@pytest.mark.parametrize("path", ["~nobody-of-this-name/pool.jsonl", "a\0b.jsonl", "x" * 5000, "~"])
def test_a_path_that_no_system_takes_is_one_line(path: str) -> None:
    with pytest.raises(RapError):
        open_pool(PoolConfig(path=path))


def test_a_confined_pool_quarantines_what_leads_out_and_tells_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "secret.txt").write_text("the password is swordfish")
    rows = [{"question": "Q?", "answer": "1", "image": name} for name in ("../secret.txt", "../nothing.txt", "x.png")]
    path = tmp_path / "pool" / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for confined in (True, False):
        config = PoolConfig(path=str(path), confined=confined)
        found = list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS))
        assert all(isinstance(item, Quarantined) and "swordfish" not in item.reason for item in found)
    confined_reasons = [
        item.reason
        for item in ingest(
            open_pool(PoolConfig(path=str(path))), PoolConfig(path=str(path), confined=True), formats=BUILTIN_FORMATS
        )
        if isinstance(item, Quarantined)
    ]
    assert "leads out of the pool's folder" in confined_reasons[0]


def test_a_token_in_a_url_of_a_row_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    url = "https://me:swordfish@localhost/a.png?X-Amz-Signature=swordfish&b=1"
    path.write_text(json.dumps({"question": "Q?", "answer": "1", "image": url}) + "\n")
    config = PoolConfig(path=str(path))
    [item] = ingest(open_pool(config), config, formats=BUILTIN_FORMATS)
    assert isinstance(item, Quarantined)
    assert "swordfish" not in item.reason
    assert "https://***@localhost/a.png?X-Amz-Signature=***&b=1" in item.reason


ENDLESS = (
    "9**9**9", "9**-9**9", "1e999999999", "-2.5E-0099999", "5!!!!", r"\Gamma(10^9)", "9^{9^{9}}", "10^(10^10)", "2^{2^{2^{2^{2^2}}}}", "100000!", "(10^9)!", r"\binom{10^9}{5\cdot10^8}", "$9^{9^9}$",
    r"\sum_{i=1}^{10^{12}} i^{50}", "10^{-10^{10}}",
)  # fmt: skip
FINE = (
    "2^{10}", "10^{100}", r"6.02\times10^{23}", "x^{2}+1", "5!", "100!", r"\binom{10}{3}", "2^n", r"\sum_{i=1}^{100} i", "(x+1)^{10}",
    "2^{2^{3}}", r"\frac{1}{2^{99}}", "n!", "(n-1)!", "2^{1000}", "e^{100000}",
)  # fmt: skip


@pytest.mark.parametrize("grader", ["math", "auto"])
def test_numbers_that_nobody_can_write_out_are_refused_at_ingest_and_not_computed(grader: str) -> None:
    opened = open_grader(grader, options=GradingOptions(workers=1))
    try:
        for gold in ENDLESS:
            assert opened.check_gold(gold, "How many?"), gold
        for gold in FINE:
            assert opened.check_gold(gold, "How many?") is None, gold
    finally:
        opened.close()
