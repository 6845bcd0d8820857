"""Pools that come packed: `.jsonl.gz`, WebDataset shards, image folders with metadata further down, images by class."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.samples.formats import BUILTIN_FORMATS
from rap_plugin.samples.ingest import ingest, load_samples
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Quarantined, Sample

from .make import picture


def read(path: Path, **options: object) -> list[Sample | Quarantined]:
    config = PoolConfig(path=str(path), **options)  # type: ignore[arg-type]
    return list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS))


def selected_again(path: Path, tmp_path: Path) -> list[str]:
    """The ids of all rows, written as `selected.parquet` is and read as a pool."""
    pool = open_pool(PoolConfig(path=str(path)))
    pq.write_table(pool.table(range(len(pool))), tmp_path / "selected.parquet")
    again = PoolConfig(path=str(tmp_path / "selected.parquet"), image_root=str(pool.root))
    return [sample.id for sample in load_samples(open_pool(again), again, range(len(pool)), BUILTIN_FORMATS)]


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def test_compressed_lines_read_as_the_lines_do(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"question": f"Number {i}?", "answer": str(i)}) + "\n" for i in range(300))
    (tmp_path / "pool.jsonl").write_text(lines + "no json\n")
    with gzip.open(tmp_path / "pool.jsonl.gz", "wt") as file:
        file.write(lines + "no json\n")
    assert read(tmp_path / "pool.jsonl.gz") == read(tmp_path / "pool.jsonl")
    pool = open_pool(PoolConfig(path=str(tmp_path / "pool.jsonl.gz")))
    assert [row["answer"] for row in pool.rows([200, 3, 299, 0])] == ["200", "3", "299", "0"]


def test_a_cut_gzip_and_another_compressed_kind_are_one_line(tmp_path: Path) -> None:
    data = gzip.compress(b'{"question": "Q?", "answer": "1"}\n' * 5000)
    (tmp_path / "pool.jsonl.gz").write_bytes(data[: len(data) // 2])
    (tmp_path / "pool.csv.gz").write_bytes(data)
    with pytest.raises(RapError, match="damaged gzip"):
        open_pool(PoolConfig(path=str(tmp_path / "pool.jsonl.gz")))
    with pytest.raises(RapError, match=r"only \.jsonl\.gz is read"):
        open_pool(PoolConfig(path=str(tmp_path / "pool.csv.gz")))


def test_shards_of_a_webdataset_are_one_pool(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for shard in range(2):
        with tarfile.open(tmp_path / "set" / f"train-{shard:05}.tar", "w") as archive:
            for i in range(3):
                name = f"part/{shard}{i}"
                add(archive, f"{name}.png", picture(10 * shard + i))
                add(archive, f"{name}.json", json.dumps({"question": f"What is {name}?", "answer": str(i)}).encode())
            add(archive, f"{shard}9.json", b"{")
    found = read(tmp_path / "set")
    assert [type(item) for item in found] == [Sample, Sample, Sample, Quarantined] * 2
    samples = [item for item in found if isinstance(item, Sample)]
    assert samples[4].images == (picture(11),)
    assert samples[4].question == "<image>What is part/11?"
    good = tmp_path / "good.tar"
    with tarfile.open(good, "w") as archive:
        add(archive, "a.jpg", picture(1))
        add(archive, "a.txt", b"Which?")
        add(archive, "a.cls", b"7\n")
    [one] = read(good)
    assert isinstance(one, Sample)
    assert (one.question, one.gold) == ("<image>Which?", "7")
    assert selected_again(good, tmp_path) == [one.id]


def test_a_tar_that_is_none_or_leads_out_gives_one_line_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "pool.tar").write_bytes(gzip.compress(b"x" * 2000))
    with pytest.raises(RapError, match="not a plain tar file"):
        open_pool(PoolConfig(path=str(tmp_path / "pool.tar")))
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        add(archive, "a.json", b'{"question": "Q?", "answer": "1"}')
    [only] = read(tmp_path / "links.tar")
    assert isinstance(only, Sample)
    assert only.images == ()


def test_a_tar_that_was_cut_is_not_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "pool.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(6):
            add(archive, f"{number}.json", json.dumps({"question": f"Number {number}?", "answer": "1"}).encode())
            add(archive, f"{number}.png", picture(number))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(picture(3)) + 20])
    with pytest.raises(RapError, match=r"ends in the middle of 3\.png; is the file whole\?"):
        open_pool(PoolConfig(path=str(path)))
    header = data.index(b"4.json")
    for damaged in (data[: header + 90], data[:header] + b"?" * 512 + data[header + 512 :]):
        path.write_bytes(damaged)
        with pytest.raises(RapError, match=f"cut off or damaged at byte {header:,}"):
            open_pool(PoolConfig(path=str(path)))
    path.write_bytes(data[:header])  # without an end, as some programs write it
    assert len(open_pool(PoolConfig(path=str(path)))) == 4


def test_a_folder_of_which_a_part_goes_away_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Path, pattern: str) -> None:
        raise FileNotFoundError(2, "No such file or directory", f"{self}/part")

    monkeypatch.setattr(Path, "rglob", gone)
    with pytest.raises(RapError, match=r"cannot be looked through .*part\); give the file that holds the pool"):
        open_pool(PoolConfig(path=str(tmp_path)))


def test_an_image_folder_whose_metadata_lie_further_down(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir(parents=True)
        (tmp_path / "set" / split / "1.png").write_bytes(picture(1))
        (tmp_path / "set" / split / "metadata.csv").write_text(f"file_name,question,answer\n1.png,{split}?,1\n")
    [train] = read(tmp_path / "set")
    [test] = read(tmp_path / "set", split="test")
    assert isinstance(train, Sample)
    assert isinstance(test, Sample)
    assert (train.question, test.question) == ("<image>train?", "<image>test?")
    assert train.images == (picture(1),)


def test_images_sorted_into_folders_ask_for_the_folders_name(tmp_path: Path) -> None:
    for i, name in enumerate(("cat", "dog", "dog")):
        (tmp_path / "set" / name / "more").mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name / "more" / f"{i}.png").write_bytes(picture(i))
    found = read(tmp_path / "set")
    assert [(item.question, item.gold) for item in found if isinstance(item, Sample)] == [
        ("<image>Which of these does the image show: cat, dog?", name) for name in ("cat", "dog", "dog")
    ]
    assert selected_again(tmp_path / "set", tmp_path) == [item.id for item in found]
