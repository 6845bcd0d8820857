"""Every container: the same rows, in any order, with their bytes."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.samples.containers import parquet as parquet_module
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import BadRow, Pool, UnreadableValue

from .make import picture, write_jsonl

IMAGES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
TEXT_ROWS = [{"question": f'Was ist\n"{n}"?', "answer": str(n), "image": f"{n}.png"} for n in range(9)]


def image_table(count: int, first: int = 0) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "problem": pa.array([f"<image>Read {n}." for n in numbers]),
            "answer": pa.array([str(n) for n in numbers]),
            "images": pa.array([[{"bytes": picture(n), "path": None}] for n in numbers], IMAGES),
        }
    )


def opened(path: Path | str, **options: Any) -> Pool:
    return open_pool(PoolConfig(path=str(path), **options))


def write_json_list(path: Path) -> Path:
    (path / "pool.json").write_text(json.dumps(TEXT_ROWS))
    return path / "pool.json"


def write_json_data(path: Path) -> Path:
    (path / "pool.json").write_text(json.dumps({"version": 1, "data": TEXT_ROWS}))
    return path / "pool.json"


def write_json_lines_as_json(path: Path) -> Path:
    return write_jsonl(path / "pool.json", TEXT_ROWS)


def write_lines(path: Path) -> Path:
    # A byte order mark, blank lines between, and no line break at the end.
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in TEXT_ROWS)
    (path / "pool.jsonl").write_text(text, encoding="utf-8-sig")
    return path / "pool.jsonl"


def write_csv(path: Path, name: str = "pool.csv", delimiter: str = ",") -> Path:
    with (path / name).open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(TEXT_ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(TEXT_ROWS)
    return path / name


def write_tsv(path: Path) -> Path:
    return write_csv(path, "pool.tsv", "\t")


def write_semicolons(path: Path) -> Path:
    return write_csv(path, delimiter=";")


def write_parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(TEXT_ROWS), path / "pool.parquet", row_group_size=2)
    return path / "pool.parquet"


def write_arrow_file(path: Path) -> Path:
    table = pa.Table.from_pylist(TEXT_ROWS)
    with pa.ipc.new_file(path / "pool.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return path / "pool.arrow"


def write_arrow_stream(path: Path) -> Path:
    table = pa.Table.from_pylist(TEXT_ROWS)
    with pa.ipc.new_stream(path / "pool.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return path / "pool.arrow"


def write_parquet_folder(path: Path) -> Path:
    for start in (6, 0, 3):
        pq.write_table(pa.Table.from_pylist(TEXT_ROWS[start : start + 3]), path / f"part-{start}.parquet")
    return path


def write_saved(path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(TEXT_ROWS).save_to_disk(path / "saved", num_shards=2)
    return path / "saved"


def write_saved_splits(path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    train, test = datasets.Dataset.from_list(TEXT_ROWS), datasets.Dataset.from_list(TEXT_ROWS[:1])
    datasets.DatasetDict({"test": test, "train": train}).save_to_disk(path / "saved")
    return path / "saved"


CONTAINERS = [
    (write_json_list, "json"),
    (write_json_data, "json"),
    (write_json_lines_as_json, "jsonl"),
    (write_lines, "jsonl"),
    (write_csv, "csv"),
    (write_tsv, "csv"),
    (write_semicolons, "csv"),
    (write_parquet, "parquet"),
    (write_arrow_file, "arrow"),
    (write_arrow_stream, "arrow"),
    (write_parquet_folder, "parquet"),
    (write_saved, "datasets"),
    (write_saved_splits, "datasets"),
]


@pytest.mark.parametrize(("write", "kind"), CONTAINERS)
def test_every_container_gives_its_rows_in_any_order(tmp_path: Path, write: Callable[[Path], Path], kind: str) -> None:
    pool = opened(write(tmp_path))
    assert (len(pool), pool.kind, pool.columns) == (9, kind, ["question", "answer", "image"])
    numbers = [8, 0, 3, 4, 3, 7]
    assert pool.rows(numbers) == [TEXT_ROWS[number] for number in numbers]
    assert pool.table(numbers).to_pylist() == pool.rows(numbers)
    assert pool.table([]).schema.equals(pool.table([1]).schema)
    with pytest.raises(RapError, match="row 9 is gone"):
        pool.rows([9])


@pytest.mark.parametrize(("write", "kind"), CONTAINERS)
def test_a_fingerprint_is_stable_until_the_file_changes(
    tmp_path: Path, write: Callable[[Path], Path], kind: str
) -> None:
    pool = opened(write(tmp_path))
    known = pool.fingerprint()
    assert pool.fingerprint() == known == opened(pool.path).fingerprint()
    # The same length and, set back, the same time: a small file is known by its content.
    file = pool.files[-1]
    state = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert pool.fingerprint() != known


def test_a_json_object_of_ids_becomes_rows_with_an_id_column(tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_text(json.dumps({"a": {"question": "1?"}, "b": {"question": "2?", "id": "own"}}))
    pool = opened(path)
    assert pool.columns == ["id", "question"]
    assert [row["id"] for row in pool.rows([0, 1])] == ["a", "own"]


def test_a_split_of_a_json_object_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_text(json.dumps({"train": TEXT_ROWS, "test": TEXT_ROWS[:2]}))
    assert len(opened(path, split="test")) == 2
    with pytest.raises(RapError, match="not rows; expected a list of rows"):
        opened(path)
    with pytest.raises(RapError, match=r"no list of rows named 'dev' \(--split\); it has 'train', 'test'"):
        opened(path, split="dev")


def test_parquet_tables_keep_types_metadata_and_image_bytes(tmp_path: Path) -> None:
    table = image_table(5).append_column("when", pa.array([1, 2, 3, None, 5], pa.timestamp("ns")))
    table = table.replace_schema_metadata({b"huggingface": b'{"info": {}}'})
    pq.write_table(table, tmp_path / "pool.parquet", row_group_size=2)
    pool = opened(tmp_path / "pool.parquet")
    assert pool.table([4, 1]).equals(table.take([4, 1]))
    assert pool.table([1]).schema.metadata == table.schema.metadata
    assert pool.rows([2])[0]["images"] == [{"bytes": picture(2), "path": None}]


def test_a_large_row_group_is_streamed_and_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = image_table(200)
    pq.write_table(table, tmp_path / "pool.parquet", row_group_size=100)
    monkeypatch.setattr(parquet_module, "WHOLE_GROUP_BYTES", 4096)
    pool = opened(tmp_path / "pool.parquet")
    assert isinstance(pool, parquet_module.ParquetPool)
    for numbers in ([*range(16)], [*range(16, 32)], [150, 20, 21, 199, 0, 20], [99, 100]):
        assert pool.table(numbers).equals(table.take(numbers))
        assert [row["answer"] for row in pool.rows(numbers)] == [str(number) for number in numbers]
        assert pool._cursor is not None
        assert pool._cursor.table.num_rows < 20
        assert not pool._kept


def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "pool.parquet"
    pq.write_table(image_table(30), path, row_group_size=10, use_dictionary=False, write_page_checksum=True)
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(2)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    rows = opened(path).rows(range(30))
    assert [number for number, row in enumerate(rows) if isinstance(row, BadRow)] == [*range(10, 20)]
    assert isinstance(rows[12], BadRow)
    assert "row group 1 of pool.parquet cannot be read" in rows[12].reason
    assert rows[29]["answer"] == "29"
    assert opened(path).table([9, 10]).column("answer").to_pylist() == ["9", None]


def test_one_column_of_a_parquet_pool_is_read_in_the_order_asked(tmp_path: Path) -> None:
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"level": list(range(50)), "image": [b"x" * 1000] * 50}), path, row_group_size=7)
    pool = open_pool(PoolConfig(path=str(path)))
    assert pool.column("level", [48, 0, 7, 6, 13, 48]) == [48, 0, 7, 6, 13, 48]
    assert pool.column("level", range(50)) == pool.table(range(50)).column("level").to_pylist()


def test_a_parquet_folder_takes_the_train_split_and_refuses_to_guess(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, count in (("train-00000-of-00002", 3), ("train-00001-of-00002", 2), ("test-00000-of-00001", 4)):
        pq.write_table(image_table(count), tmp_path / "data" / f"{name}.parquet")
    assert len(opened(tmp_path)) == 5
    assert len(opened(tmp_path, split="test")) == 4
    with pytest.raises(RapError, match=r"no split 'dev'; it has test, train \(--split\)"):
        opened(tmp_path, split="dev")
    for file in (tmp_path / "data").glob("train*"):
        file.rename(file.with_name(file.name.replace("train", "validation")))
    with pytest.raises(RapError, match=r"several splits \(test, validation\); choose one with --split"):
        opened(tmp_path)


def test_a_column_without_values_in_one_file_takes_the_others_type(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["1?"], "hint": pa.nulls(1)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"question": ["2?"], "hint": ["look"]}), tmp_path / "b.parquet")
    assert opened(tmp_path).table([0, 1]).column("hint").to_pylist() == [None, "look"]


def test_files_of_different_columns_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["1?"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"problem": ["2?"]}), tmp_path / "b.parquet")
    with pytest.raises(
        RapError, match=r"b\.parquet: its columns differ from those of a\.parquet \(problem, question\)"
    ):
        opened(tmp_path)


def test_a_folder_with_one_data_file_is_that_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "pool.jsonl", TEXT_ROWS)
    (tmp_path / "images").mkdir()
    assert len(opened(tmp_path)) == 9
    write_jsonl(tmp_path / "more.jsonl", TEXT_ROWS)
    with pytest.raises(RapError, match=r"several files \(more\.jsonl, pool\.jsonl\); give the path of one"):
        opened(tmp_path)


def test_text_that_is_not_utf8_spoils_its_value_only(tmp_path: Path) -> None:
    texts = pa.array([b"fine", b"\xff\xfe"], pa.binary()).view(pa.string())
    table = pa.table({"question": texts, "answer": ["1", "2"]})
    pq.write_table(table, tmp_path / "pool.parquet")
    with pa.ipc.new_file(tmp_path / "pool.arrow", table.schema) as writer:
        writer.write_table(table)
    for name in ("pool.parquet", "pool.arrow"):
        good, bad = opened(tmp_path / name).rows([0, 1])
        assert good == {"question": "fine", "answer": "1"}
        assert isinstance(bad["question"], UnreadableValue)
        assert bad["answer"] == "2"


def test_damaged_arrow_offsets_are_rows_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "pool.arrow"
    table = pa.table({"question": ["aaaaaaaa", "bbbbbbbb"], "answer": ["1", "2"]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    data = path.read_bytes()
    offsets = (0).to_bytes(4, "little") + (8).to_bytes(4, "little") + (16).to_bytes(4, "little")
    assert data.count(offsets) == 1
    path.write_bytes(data.replace(offsets, offsets[:8] + (2**30).to_bytes(4, "little")))
    rows = opened(path).rows([0, 1])
    assert rows[0] == {"question": "aaaaaaaa", "answer": "1"}
    assert isinstance(rows[1], BadRow)
    assert "the Arrow data is damaged here" in rows[1].reason


def test_bad_text_in_one_arrow_column_does_not_hide_damage_in_another(tmp_path: Path) -> None:
    path = tmp_path / "pool.arrow"
    bad_text = pa.array([b"\xff" * 8, b"fine"], pa.binary()).view(pa.string())
    table = pa.table({"question": bad_text, "answer": ["a" * 7, "b" * 9]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    offsets = b"".join(number.to_bytes(4, "little") for number in (0, 7, 16))
    data = path.read_bytes()
    assert data.count(offsets) == 1
    path.write_bytes(data.replace(offsets, offsets[:8] + (2**30).to_bytes(4, "little")))
    first, second = opened(path).rows([0, 1])
    assert isinstance(first["question"], UnreadableValue)
    assert first["answer"] == "a" * 7
    assert isinstance(second, BadRow)
    assert opened(path).table([1]).to_pylist() == [{"question": None, "answer": None}]


def test_broken_json_lines_are_bad_rows_with_their_reasons(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    broken = ['{"question": "cut', "[1, 2]", "[" * 100_000, '{"n": 1' + "0" * 5000 + "}"]
    lines = [json.dumps(TEXT_ROWS[0]), *broken, json.dumps(TEXT_ROWS[1])]
    path.write_text("\n".join(lines))
    rows = opened(path).rows(range(6))
    assert [row.reason if isinstance(row, BadRow) else "" for row in rows] == [
        "",
        "the line is not JSON (Unterminated string starting at, character 14)",
        "the line is no JSON object but a list",
        "the line is not usable JSON (nested too deeply)",
        rows[4].reason if isinstance(rows[4], BadRow) else "no reason",
        "",
    ]
    assert "4300 digits" in getattr(rows[4], "reason", "")
    assert opened(path).table([1, 5]).to_pylist() == [dict.fromkeys(TEXT_ROWS[0]), TEXT_ROWS[1]]


def test_a_line_beyond_the_bound_is_a_bad_row_and_its_neighbours_are_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rap_plugin.samples.containers import csv_file, jsonl

    monkeypatch.setattr(jsonl, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(csv_file, "MAX_ROW_BYTES", 1000)
    write_jsonl(tmp_path / "pool.jsonl", [TEXT_ROWS[0], {"question": "x" * 2_000_000}, TEXT_ROWS[1]])
    (tmp_path / "pool.csv").write_text("question,answer\n1?,1\n" + "x" * 2_000_000 + ",2\n3?,3\n")
    for name in ("pool.jsonl", "pool.csv"):
        first, long, last = opened(tmp_path / name).rows(range(3))
        assert isinstance(long, BadRow)
        assert "longer than" in long.reason
        assert not isinstance(first, BadRow)
        assert not isinstance(last, BadRow)


def test_an_unclosed_quote_costs_one_csv_row(tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_bytes(b'question,answer\r\n1?,1\r\n"2?,2\r\n\r\n"3\r\n?",3\r\n4?\r\n5?,5,5\r\n\xff?,6\r\n7?,7')
    rows = opened(path).rows(range(7))
    assert [row["answer"] if row else None for row in rows] == ["1", None, "3", None, None, None, "7"]
    reasons = [row.reason for row in rows if isinstance(row, BadRow)]
    assert "not a CSV record" in reasons[0]
    assert reasons[1] == "1 fields where the header has 2"
    assert reasons[2] == "3 fields where the header has 2"
    assert reasons[3] == "not UTF-8 text (byte 1 of the record)"
    assert rows[2]["question"] == "3\r\n?"


def test_long_csv_fields_are_read_and_the_process_wide_limit_is_left_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "pool.csv").write_text(f"question,image\n1?,{'A' * 300_000}\n")
    assert len(opened(tmp_path / "pool.csv").rows([0])[0]["image"]) == 300_000
    assert csv.field_size_limit() == before == 131_072


def test_columns_of_mixed_types_become_json_and_read_back_alike(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"answer": 3, "size": [1, 2], "extra": {"a": 1}, "n": 1, "empty": {}, "big": 2**70},
        {"answer": "B", "size": [1.5], "extra": {"b": ["x"]}, "n": None, "empty": {}, "big": 1, "text": "\ud83d"},
        {"answer": 2.5, "size": [], "extra": None, "n": 4, "late": True, "text": "é"},
    ]
    pool = opened(write_jsonl(tmp_path / "pool.jsonl", rows))
    table = pool.table([0, 1, 2])
    marked = {field.name for field in table.schema if field.metadata == {b"rap_json": b"1"}}
    assert marked == {"answer", "size", "empty", "big", "text"}
    assert table.column("answer").to_pylist() == ["3", '"B"', "2.5"]
    assert table.column("n").type == pa.int64()
    assert table.column("extra").to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": ["x"]}, None]
    pq.write_table(table, tmp_path / "again.parquet")
    again = opened(tmp_path / "again.parquet").rows([0, 1, 2])
    for name in ("answer", "size", "big", "text", "late"):
        assert [row.get(name) for row in again] == [row.get(name) for row in rows]
    assert pool.table([2]).schema.equals(table.schema, check_metadata=True)


def test_the_hub_is_asked_only_when_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    with pytest.raises(RapError, match="not a file here; to download from the hub add --allow-urls"):
        opened("hiyouga/geometry3k")
    asked = []
    saved = datasets.Dataset(image_table(4))

    def load_dataset(path: str, split: str) -> Any:
        asked.append((path, split))
        return saved

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    pool = opened("hiyouga/geometry3k", allow_urls=True, split="test")
    assert asked == [("hiyouga/geometry3k", "test")]
    assert (pool.kind, len(pool), pool.rows([3])[0]["answer"]) == ("hub", 4, "3")


def test_a_missing_datasets_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(RapError, match=r"pip install 'rap-plugin\[datasets\]'"):
        opened("hiyouga/geometry3k", allow_urls=True)


BROKEN = [
    ("gone.jsonl", None, r"gone\.jsonl: no such file or folder; check the path"),
    ("pool.txt", b"text", r"unknown kind of file \.txt; give a \.json, "),
    ("pool", b"text", r"unknown kind of file \(no ending\)"),
    ("pool.jsonl", b"", "the file is empty"),
    ("pool.json", b" \n ", "the file is empty"),
    ("pool.json", b'[{"a": 1}, {"a"', r"not JSON \(Expecting ':' delimiter, line 1, column 16\); is the file whole\?"),
    ("pool.json", b"[" * 100_000, "nested too deeply"),
    ("pool.json", b'{"a": 1}', "not rows; expected a list of rows, an object of id -> row"),
    ("pool.json", b"[]", "no rows; give a pool with at least one problem"),
    ("pool.csv", b"question,answer\n", "no rows; give a pool"),
    ("pool.csv", b"a,a\n1,2\n", "column 'a' is named twice"),
    ("pool.csv", "question,größe\n1,2\n".encode("latin-1"), r"the header line cannot be read \(not UTF-8 text"),
    ("pool.parquet", b"PAR1 not really", r"not a whole Parquet file \(.+\); download or write it again"),
    ("pool.arrow", b"ARROW1\0\0 not really", r"not a whole Arrow file \(.+\); write it again"),
    ("pool.parquet", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the data"),
]


@pytest.mark.parametrize(("name", "data", "line"), BROKEN)
def test_every_unusable_pool_is_one_line_that_says_what_to_do(
    tmp_path: Path, name: str, data: bytes | None, line: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(RapError, match=line) as error:
        opened(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_truncated_parquet_or_saved_folder_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RapError, match="not a whole Parquet file"):
        opened(path)
    saved = write_saved(tmp_path)
    next(saved.glob("*.arrow")).unlink()
    with pytest.raises(RapError, match=r"missing, though state\.json names it"):
        opened(saved)
    (saved / "state.json").write_text("{}")
    with pytest.raises(RapError, match="names no Arrow files"):
        opened(saved)


def test_no_pool_an_empty_folder_and_a_wrong_image_root_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RapError, match="no pool given"):
        opened("")
    with pytest.raises(RapError, match="no pool in this folder"):
        opened(tmp_path)
    with pytest.raises(RapError, match="--image-root is where relative image paths start"):
        opened(write_lines(tmp_path), image_root=str(tmp_path / "gone"))


def test_a_json_file_too_large_for_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rap_plugin.samples.containers import json_file

    monkeypatch.setattr(json_file, "MAX_BYTES", 100)
    with pytest.raises(RapError, match="save it as JSONL or Parquet"):
        opened(write_json_list(tmp_path))
