"""The dataset card: valid metadata, true numbers, and a folder that the hub's library can load."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import yaml

from rap_plugin.report.card import plain, render_card
from tests.fabricate import Fabricated, fabricate


def front_matter(card: str) -> dict[str, object]:
    _, metadata, _ = card.split("---\n", 2)
    found = yaml.safe_load(metadata)
    assert isinstance(found, dict)
    return found


def test_the_metadata_names_the_selection_as_the_data(made: Fabricated) -> None:
    card = (made.run / "README.md").read_text(encoding="utf-8")
    metadata = front_matter(card)
    assert metadata["configs"] == [{"config_name": "default", "data_files": "selected.parquet"}]
    assert metadata["size_categories"] == ["n<1K"]


def test_the_card_counts_every_verdict(made: Fabricated) -> None:
    card = (made.run / "README.md").read_text(encoding="utf-8")
    chosen = int(made.selection.decision.chosen.sum())
    assert f"# {chosen} of 240 samples" in card
    for verdict, count in made.selection.decision.counts().items():
        assert any(f"`{verdict}`" in line and f"| {count} |" in line for line in card.splitlines()), verdict


def test_every_column_of_the_selection_is_explained(made: Fabricated) -> None:
    import pyarrow.parquet as pq

    card = (made.run / "README.md").read_text(encoding="utf-8")
    for name in pq.read_schema(made.run / "selected.parquet").names:
        assert (f"`{name}`" if name.startswith("rap_") else name) in card, name


def test_the_run_folder_loads_as_a_data_set_through_its_card(made: Fabricated, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the card is read by the datasets library")
    rows = datasets.load_dataset(str(made.run), split="train", cache_dir=str(tmp_path))
    assert len(rows) == int(made.selection.decision.chosen.sum())
    assert set(rows["rap_verdict"]) <= {"selected", "hard_replacement"}


def test_names_from_outside_are_no_markup(tmp_path: Path) -> None:
    folder = tmp_path / 'odd: "name" | [x](javascript:1) <b>'
    with closing((made := fabricate(folder, 30)).store):
        about = (made.run / "run.json").read_text()
        (made.run / "run.json").write_text(about.replace('"fabricated"', '"<img src=x>| [a](http:b)\\n# c"'))
        card = render_card(made.run, made.selection, made.pool)
    front_matter(card)
    assert "<img" not in card.replace("\\<", "")
    assert "\n# c" not in card
    assert plain("a|b\n# c `d` <e>") == "a\\|b \\# c \\`d\\` \\<e\\>"
