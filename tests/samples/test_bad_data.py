"""More than 400 broken and hostile inputs, each with the status expected of it; sound rows beside them stay sound."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.grading import GradingOptions, open_grader
from rap_plugin.samples.formats import BUILTIN_FORMATS
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Quarantined

from .bad_data import FILES, LINES, MAX_PIXELS, TYPED, VALUES, pictures, references
from .make import picture

PICTURES = pictures()


def statuses(path: Path, **options: Any) -> list[str]:
    """What became of every row, with every reason on one bounded line."""
    config = PoolConfig(path=str(path), max_pixels=MAX_PIXELS, **options)
    grader = open_grader("auto", options=GradingOptions(workers=1))
    try:
        items = list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS, check_gold=grader.check_gold))
    finally:
        grader.close()
    for item in items:
        if isinstance(item, Quarantined):
            assert 0 < len(item.reason) < 1000
            assert "\n" not in item.reason
            assert "Traceback" not in item.reason
    assert [item.row for item in items] == list(range(len(items)))
    return [item.status if isinstance(item, Quarantined) else "sample" for item in items]


def differences(expected: Mapping[str, str], found: list[str]) -> dict[str, str]:
    assert len(found) == len(expected)
    pairs = zip(expected.items(), found, strict=True)
    return {name: f"{status}, not {wanted}" for (name, wanted), status in pairs if status != wanted}


def to_path(data: bytes, number: int, folder: Path) -> str:
    # The wrong ending on purpose: what a file is called says nothing.
    (folder / f"{number}.jpg").write_bytes(data)
    return f"{number}.jpg"


HOLDERS: dict[str, Callable[[bytes, int, Path], Any]] = {
    "path": to_path,
    "base64": lambda data, number, folder: base64.b64encode(data).decode(),
    "data URL": lambda data, number, folder: f"data:image/png;base64,{base64.b64encode(data).decode()}",
    "mapping": lambda data, number, folder: {"path": to_path(data, number, folder)},
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_pictures_in_lines_of_json(holder: str, tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    with path.open("w") as file:
        for number, (data, _) in enumerate(PICTURES.values()):
            image = HOLDERS[holder](data, number, tmp_path)
            file.write(json.dumps({"question": f"Number {number}?", "answer": "1", "image": image}) + "\n")
    assert differences({name: status for name, (_, status) in PICTURES.items()}, statuses(path)) == {}


@pytest.mark.parametrize("nested", [True, False])
def test_pictures_as_bytes_in_parquet(nested: bool, tmp_path: Path) -> None:
    data = [encoded for encoded, _ in PICTURES.values()]
    images: list[Any] = [{"bytes": encoded, "path": None} for encoded in data] if nested else data
    questions = [f"Number {number}?" for number in range(len(data))]
    table = pa.table({"question": questions, "answer": ["1"] * len(data), "image": images})
    pq.write_table(table, tmp_path / "pool.parquet")
    found = statuses(tmp_path / "pool.parquet")
    assert differences({name: status for name, (_, status) in PICTURES.items()}, found) == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool's folder with links that lead out of it, a pipe and a folder; beside it another one."""
    top = tmp_path_factory.mktemp("references")
    (top / "pool" / "folder").mkdir(parents=True)
    (top / "outside").mkdir()
    (top / "pool" / "in.png").write_bytes(picture(1))
    (top / "outside" / "out.png").write_bytes(picture(2))
    (top / "pool" / "link.png").symlink_to("../outside/out.png")
    (top / "pool" / "linked").symlink_to("../outside")
    (top / "pool" / "nowhere.png").symlink_to("gone.png")
    (top / "pool" / "loop.png").symlink_to("loop.png")
    os.mkfifo(top / "pool" / "pipe.png")
    return top


@pytest.mark.parametrize("confined", [False, True])
def test_references_that_lead_elsewhere(confined: bool, folder: Path) -> None:
    known = references("in.png", str(folder / "outside" / "out.png"))
    path = folder / "pool" / f"pool-{confined}.jsonl"
    with path.open("w") as file:
        for number, (reference, _, _) in enumerate(known.values()):
            file.write(json.dumps({"question": f"Number {number}?", "answer": "1", "image": reference}) + "\n")
    expected = {name: of_confined if confined else free for name, (_, free, of_confined) in known.items()}
    assert differences(expected, statuses(path, confined=confined)) == {}
    assert not list(folder.rglob("hacked*"))


def as_json_lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_json(path: Path, rows: list[Any]) -> None:
    path.write_text(json.dumps(rows))


def as_parquet(path: Path, rows: list[Any]) -> None:
    text = [{name: None if value is None else str(value) for name, value in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(text), path)


def as_arrow(path: Path, rows: list[Any]) -> None:
    text = [{name: None if value is None else str(value) for name, value in row.items()} for row in rows]
    table = pa.Table.from_pylist(text)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


WRITERS = {".jsonl": as_json_lines, ".json": as_json, ".parquet": as_parquet, ".arrow": as_arrow}


@pytest.mark.parametrize("ending", WRITERS)
def test_values_in_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    known = VALUES | (TYPED if ending in (".jsonl", ".json") else {})
    (tmp_path / "a.png").write_bytes(picture())
    rows = [{**row, "image": "a.png"} if isinstance(row, dict) else row for row, _ in known.values()]
    WRITERS[ending](tmp_path / f"pool{ending}", rows)
    found = statuses(tmp_path / f"pool{ending}")
    assert differences({name: status for name, (_, status) in known.items()}, found) == {}
    assert not list(tmp_path.glob("hacked*"))


def test_lines_that_are_no_json(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    sound = [b'{"question": "Number %d?", "answer": "1"}' % number for number in range(len(LINES))]
    path.write_bytes(
        b"\n".join(line for pair in zip(sound, [line for line, _ in LINES.values()], strict=True) for line in pair)
    )
    found = statuses(path)
    assert set(found[::2]) == {"sample"}
    assert differences({name: status for name, (_, status) in LINES.items()}, found[1::2]) == {}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_pool_are_refused_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(FILES[name][1])
    config = PoolConfig(path=str(tmp_path / name))
    with pytest.raises(RapError) as error:
        list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert "must never" not in capfd.readouterr().out


def test_the_corpus_is_large() -> None:
    ways = len(HOLDERS) + 2
    values = len(WRITERS) * len(VALUES) + 2 * len(TYPED)
    count = ways * len(PICTURES) + 2 * len(references("in", "out")) + values + len(LINES) + len(FILES)
    assert count >= 400
