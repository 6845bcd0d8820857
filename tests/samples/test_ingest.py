"""The ingest as a whole: every row is accounted for, in order, as a stream."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.samples.formats import BUILTIN_FORMATS
from rap_plugin.samples.ingest import ingest, load_samples
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool, Row
from rap_plugin.samples.sample import Quarantined, Sample, sample_id

from .make import blank_png, picture, read_pool, samples_of, write_jsonl


def test_all_real_logicvista_rows_are_samples(logicvista: Path) -> None:
    items = read_pool(logicvista / "dataset.json")
    rows = json.loads((logicvista / "dataset.json").read_text())
    assert [item.row for item in items] == list(range(120))
    for item, row in zip(items, rows.values(), strict=True):
        assert isinstance(item, Sample)
        assert item.images == ((logicvista / "images" / row["imagename"]).read_bytes(),)
        assert (item.question, item.gold) == ("<image>" + row["question"], row["answer"].strip())


def test_five_spoilt_logicvista_rows_are_quarantined_for_five_reasons(logicvista: Path, tmp_path: Path) -> None:
    shutil.copytree(logicvista, tmp_path / "pool")
    path = tmp_path / "pool" / "dataset.json"
    rows = json.loads(path.read_text())
    images = [path.parent / "images" / row["imagename"] for row in rows.values()]
    images[10].write_bytes(images[10].read_bytes()[:-3000])
    images[20].write_text("hello, I am a text")
    images[30].write_bytes(blank_png(30_000, 30_000))
    images[40].unlink()
    rows[list(rows)[50]]["answer"] = "  "
    path.write_text(json.dumps(rows))

    items = read_pool(path)
    assert len(items) == 120
    assert len(list(samples_of(items))) == 115
    spoilt = {item.row: item for item in items if isinstance(item, Quarantined)}
    assert {row: item.status for row, item in spoilt.items()} == {
        10: "unreadable_image",
        20: "unreadable_image",
        30: "too_large",
        40: "unreadable_image",
        50: "ungradable_gold",
    }
    expected = {
        10: "damaged PNG image",
        20: "not an image",
        30: "900,000,000 pixels",
        40: "no such file",
        50: "is empty",
    }
    for row, reason in expected.items():
        assert reason in spoilt[row].reason
    assert images[20].name in spoilt[20].reason
    assert len({item.reason for item in spoilt.values()}) == 5


SPOILERS = ["sound", "cut", "text", "bomb", "gone", "no gold", "no question", "places", "duplicate", "list", "number"]
EXPECTED = {
    "sound": None,
    "cut": "unreadable_image",
    "text": "unreadable_image",
    "bomb": "too_large",
    "gone": "unreadable_image",
    "no gold": "ungradable_gold",
    "no question": "malformed_row",
    "places": "malformed_row",
    "duplicate": "duplicate",
    "list": "malformed_row",
    "number": "malformed_row",
}


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return blank_png(3000, 3000)


def spoilt_row(number: int, how: str, folder: Path, bomb: bytes) -> Any:
    file = folder / f"{number}.png"
    file.write_bytes({"cut": picture(number)[:-60], "text": b"text", "bomb": bomb}.get(how, picture(number)))
    row: dict[str, Any] = {"question": f"<image>Number {number}?", "answer": str(number), "image": file.name}
    if how == "gone":
        file.unlink()
    elif how == "no gold":
        row["answer"] = None
    elif how == "no question":
        row["question"] = " <image> "
    elif how == "places":
        row["question"] += "<image>"
    elif how == "duplicate":
        row = {"question": "<image>First?", "answer": "first", "image": "first.png"}
    elif how == "number":
        row["image"] = 3
    return [row] if how == "list" else row


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=st.lists(st.sampled_from(SPOILERS), min_size=1, max_size=40), threads=st.integers(1, 4))
def test_whatever_is_spoilt_the_counts_add_up(
    how: list[str], threads: int, tmp_path_factory: pytest.TempPathFactory, bomb: bytes
) -> None:
    folder = tmp_path_factory.mktemp("pool")
    (folder / "first.png").write_bytes(picture(999))
    first = {"question": "<image>First?", "answer": "first", "image": "first.png"}
    rows = [first, *(spoilt_row(number, kind, folder, bomb) for number, kind in enumerate(how, start=1))]
    config = PoolConfig(path=str(write_jsonl(folder / "pool.jsonl", rows)), max_pixels=1_000_000)
    seen: list[int] = []
    items = list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS, on_progress=seen.append, threads=threads))
    assert [item.row for item in items] == list(range(len(rows)))
    assert seen == list(range(1, len(rows) + 1))
    statuses = [item.status if isinstance(item, Quarantined) else None for item in items]
    assert statuses == [None, *(EXPECTED[kind] for kind in how)]
    assert all(item.reason and "\n" not in item.reason for item in items if isinstance(item, Quarantined))
    assert Counter(type(item) for item in items)[Sample] == 1 + how.count("sound")


def test_text_only_rows_are_samples_and_need_no_images(tmp_path: Path) -> None:
    rows = [{"question": "1 + 1?", "answer": 2, "images": []}, {"question": "<image>?", "answer": 2, "images": []}]
    sample, quarantined = read_pool(write_jsonl(tmp_path / "pool.jsonl", rows))
    assert isinstance(sample, Sample)
    assert (sample.images, sample.image_sizes, sample.question) == ((), (), "1 + 1?")
    assert isinstance(quarantined, Quarantined)
    assert quarantined.reason == "1 <image> placeholder for no images"


def test_one_bad_image_of_several_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(picture(1, (9, 4)))
    (tmp_path / "2.png").write_bytes(b"text")
    rows = [
        {"question": "Q?", "answer": 2, "images": ["1.png", "2.png"]},
        {"question": "Q?", "answer": 2, "images": ["1.png"] * 2},
    ]
    bad, good = read_pool(write_jsonl(tmp_path / "pool.jsonl", rows))
    assert isinstance(bad, Quarantined)
    assert bad.reason == "image 2 of 2 2.png: not an image but text"
    assert isinstance(good, Sample)
    assert good.image_sizes == ((9, 4), (9, 4))


def test_duplicates_are_told_by_content_and_name_the_first_row(tmp_path: Path) -> None:
    for name in ("a.png", "copy.png"):
        (tmp_path / name).write_bytes(picture(1))
    (tmp_path / "other.png").write_bytes(picture(2))
    rows = [
        {"question": "<image>Q?", "answer": "1", "image": name, "source": name}
        for name in ("a.png", "other.png", "copy.png")
    ]
    first, other, copy = read_pool(write_jsonl(tmp_path / "pool.jsonl", [*rows]))
    assert isinstance(first, Sample)
    assert isinstance(other, Sample)
    assert copy == Quarantined(2, "duplicate", "same images, question and answer as row 0", first.id)
    assert first.id == sample_id("<image>Q?", "1", (picture(1),))


def test_the_grader_has_its_say_about_gold_answers(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": f"gold {n}"} for n in (0, 1, 2, 1)]
    config = PoolConfig(path=str(write_jsonl(tmp_path / "pool.jsonl", rows)))

    def check_gold(gold: str, question: str) -> str | None:
        if gold == "gold 2":
            raise ZeroDivisionError("oh")
        return f"{gold} of {question} is\nno number" if gold == "gold 1" else None

    items = list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS, check_gold=check_gold))
    assert isinstance(items[0], Sample)
    reasons = [item.reason for item in items[1:] if isinstance(item, Quarantined)]
    assert reasons == [
        "gold 1 of 1? is no number",
        "the grader failed on the gold answer (ZeroDivisionError: oh)",
        "gold 1 of 1? is no number",
    ]
    assert {item.status for item in items[1:] if isinstance(item, Quarantined)} == {"ungradable_gold"}


@pytest.mark.parametrize("answer", [None, "", "  ", [], ["a", "b"], {"a": 1}, float("nan")])
def test_a_gold_answer_that_is_none_is_refused_without_a_grader(tmp_path: Path, answer: Any) -> None:
    rows = [{"question": "Q?", "answer": "fine"}, {"question": "Q?", "answer": answer}]
    _, item = read_pool(write_jsonl(tmp_path / "pool.jsonl", rows))
    assert isinstance(item, Quarantined)
    assert item.status == "ungradable_gold"


def test_half_characters_and_control_characters_never_leave_the_ingest(tmp_path: Path) -> None:
    rows = [
        {"question": "Q?", "answer": "fine", "image": None},
        {"question": "half \ud83d", "answer": "1", "image": None},
        {"question": "Q2?", "answer": "1", "image": "\x1b[2J\udc80.png"},
    ]
    _, half, control = read_pool(write_jsonl(tmp_path / "pool.jsonl", rows))
    assert isinstance(half, Quarantined)
    assert "a lone surrogate" in half.reason
    assert isinstance(control, Quarantined)
    assert control.reason.isprintable()


def test_the_limit_takes_the_first_rows(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "pool.jsonl", [{"question": f"{n}?", "answer": n} for n in range(50)])
    assert [item.row for item in read_pool(path, limit=3)] == [0, 1, 2]
    assert len(read_pool(path, limit=5000)) == 50


class CountedPool(Pool):
    """A million rows, made when asked for."""

    kind = "json"

    def __init__(self) -> None:
        super().__init__("counted", Path(), [])
        self.columns = ["question", "answer"]
        self.asked = 0

    def __len__(self) -> int:
        return 1_000_000

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.asked += len(numbers)
        return [{"question": f"{number}?", "answer": "1"} for number in numbers]

    def table(self, numbers: Sequence[int]) -> pa.Table:
        raise NotImplementedError


def test_rows_are_streamed_a_few_at_a_time_and_a_consumer_may_stop() -> None:
    pool = CountedPool()
    items: Iterator[Sample | Quarantined] = ingest(pool, PoolConfig(path="counted"), formats=BUILTIN_FORMATS, threads=2)
    for number in range(100):
        assert next(items).row == number
    assert pool.asked < 200
    items.close()  # type: ignore[attr-defined]
    assert pool.asked < 200


def test_samples_load_again_with_the_same_ids_and_a_change_is_noticed(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(picture(number, (10 + number, 7)))
    rows = [{"question": f"{n}?", "answer": n, "image": f"{n}.png"} for n in range(6)]
    config = PoolConfig(path=str(write_jsonl(tmp_path / "pool.jsonl", rows)))
    pool = open_pool(config)
    first = list(samples_of(ingest(pool, config, formats=BUILTIN_FORMATS)))
    wanted = [4, 0, 5]
    again = load_samples(pool, config, wanted, BUILTIN_FORMATS)
    assert again == [first[number] for number in wanted]
    ids = [first[number].id for number in wanted]
    assert load_samples(pool, config, wanted, BUILTIN_FORMATS, ids) == again

    (tmp_path / "0.png").write_bytes(picture(77))
    with pytest.raises(RapError, match="row 0 has changed since it was ingested; restore it or start a new run"):
        load_samples(pool, config, wanted, BUILTIN_FORMATS, ids)
    (tmp_path / "5.png").unlink()
    with pytest.raises(RapError, match=r"row 5 was usable before \(no such file '5\.png'"):
        load_samples(pool, config, wanted, BUILTIN_FORMATS)
    with pytest.raises(RapError, match="row 6 is gone, there are 6 rows"):
        load_samples(pool, config, [6], BUILTIN_FORMATS)


def test_the_same_problems_in_another_container_and_order_have_the_same_ids(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    import datasets

    rows = [{"problem": f"<image>{n}?", "answer": str(n), "images": [f"{n}.png"]} for n in range(5)]
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    lines = {item.id for item in samples_of(read_pool(write_jsonl(tmp_path / "pool.jsonl", rows)))}
    features = datasets.Features(
        {
            "problem": datasets.Value("string"),
            "answer": datasets.Value("string"),
            "images": datasets.Sequence(datasets.Image()),
        }
    )
    reverse = [{**row, "images": [str(tmp_path / row["images"][0])]} for row in rows[::-1]]
    saved = datasets.Dataset.from_list(reverse, features=features)
    saved.save_to_disk(tmp_path / "saved")
    saved.to_parquet(tmp_path / "pool.parquet")
    assert len(lines) == 5
    assert {item.id for item in samples_of(read_pool(tmp_path / "saved"))} == lines
    assert {item.id for item in samples_of(read_pool(tmp_path / "pool.parquet"))} == lines


def test_importing_the_ingest_loads_no_heavy_library() -> None:
    import subprocess
    import sys

    code = "import sys, rap_plugin.samples.ingest; print({'torch', 'datasets', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
