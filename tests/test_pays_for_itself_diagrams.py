"""The proof's second pool: drawn diagrams whose text shows, tells or misleads."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_on_the_path() -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts")]
    yield
    sys.path[:] = before


@pytest.fixture(scope="module")
def pool(_benchmarks_on_the_path: None) -> list:
    from pays_for_itself_diagrams import make_drawings

    return make_drawings(160, 5)


def solve(text: str, figure: str) -> int:
    """The answer from facts in words, by the geometry of the figure alone."""
    values = [int(value) for value in re.findall(r"= (\d+)", text)]
    (length,) = [part for part, what in enumerate(re.findall(r"= (\w+)", text)) if what == "x"] or [None]
    if figure == "triangle_angle":
        return 180 - sum(values)
    if figure == "right_triangle":
        return 90 - values[0]
    if figure == "perimeter":
        return sum(values)
    if figure == "segments":  # both parts, then the whole
        return sum(values) if length == 2 else values[1] - values[0]
    if figure in ("adjacent_angle", "same_side_angle"):
        return 180 - values[0]
    if figure in ("vertical_angle", "corresponding_angle"):
        return values[0]
    return 2 * values[0] if figure in ("diameter", "central_angle") else values[0] // 2


def test_the_same_seed_makes_the_same_pool_and_another_seed_another(pool: list) -> None:
    from pays_for_itself_diagrams import make_drawings

    assert make_drawings(160, 5) == pool
    assert make_drawings(160, 6)[:5] != pool[:5]


def test_half_of_the_pool_gives_its_answer_away_an_eighth_misleads_and_the_shift_does_neither_in_words(
    pool: list,
) -> None:
    from pays_for_itself_diagrams import make_drawings

    assert Counter(one.kind for one in pool) == {"told": 80, "shown": 60, "note": 20}
    assert [one.needs_image for one in pool] == [one.kind != "told" for one in pool]
    assert Counter(one.kind for one in make_drawings(40, 4, told=0)) == {"shown": 30, "note": 10}


def test_text_that_tells_leads_to_the_answer_text_that_shows_holds_no_value_and_a_note_leads_elsewhere(
    pool: list,
) -> None:
    for one in pool:
        if one.kind == "shown":
            assert not re.search(r"\d", one.question)
            continue
        found = str(solve(one.question, one.figure))
        assert found == (one.answer if one.kind == "told" else one.claim), one
        assert one.claim != one.answer


def test_the_base_believes_the_notes_more_often_than_the_drawing(pool: list) -> None:
    import digit_rl

    from rap_plugin.modality_gap.diagrams import MODEL_DIR

    model, processor = digit_rl.load_policy(str(MODEL_DIR))
    notes = [one for one in pool if one.kind == "note"]
    asked = digit_rl.exercises(notes, model, processor)
    said = [
        digit_rl.extract_boxed(digit_rl.text_of(row[0], processor))
        for row in digit_rl.respond(model, asked, [[at] for at in range(len(asked))])
    ]
    claimed = sum(text == one.claim for text, one in zip(said, notes, strict=True))
    right = sum(text == one.answer for text, one in zip(said, notes, strict=True))
    assert claimed > len(notes) / 3 > right


def test_the_proofs_reader_also_learns_to_answer_from_words_without_a_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import digit_rl
    import pays_for_itself as proof
    import pays_for_itself_reader as reader
    import train_diagram_model as diagrams

    (page,) = diagrams.draw_pages(1, 3)
    tokenizer = diagrams.make_tokenizer(diagrams.PHRASES)
    row = reader.told_without_picture(page, random.Random(0), tokenizer)
    assert row.page is None
    assert diagrams.IMAGE not in row.ids
    assert str(page.figure.semantic[0].split()[-1]) in tokenizer.decode(row.ids[: row.start])
    assert "boxed" in tokenizer.decode(row.ids[row.start :])
    for name, few in (("PAGES", 40), ("HEAD_STEPS", 1), ("BATCH", 4)):
        monkeypatch.setattr(reader, name, few)
    reader.make_reader(tmp_path / "base", steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    for folder in (tmp_path / "base", proof.READER):
        _, processor = digit_rl.load_policy(str(folder))
        assert processor.tokenizer.get_vocab() == tokenizer.get_vocab()
