"""The rows that a training follows: labels of groups, and what tells rows from others."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.posterior.following import group_numbers
from rap_plugin.samples.sample import Sample
from rap_plugin.trl_hooks.followed_rows import fingerprint, labels_of, require_rows_of_run
from tests.trl_hooks.follow_script import make_dataset

FOUR = ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 1, 0, 1]),
        torch.tensor([0, 1, 0, 1]),
        [["x", "y"], ["x"], ["x", "y"], ["x"]],
        [{"k": 1}, {"k": 2}, {"k": 1}, {"k": 2}],
        [float("nan"), 1.0, float("nan"), 1.0],
        (label for label in FOUR),
    ],
)
def test_equal_labels_are_one_group_whatever_they_are_made_of(labels: Any) -> None:
    assert group_numbers(labels_of(make_dataset(4), labels)) == [0, 1, 0, 1]


@pytest.mark.parametrize("format", [None, "torch", "numpy"])
@pytest.mark.parametrize("values", [[1, 2, 1, 2], [[1], [2], [1], [2]], FOUR])
def test_a_column_gives_the_same_groups_in_every_format_of_the_data_set(format: str | None, values: Any) -> None:
    dataset = make_dataset(4).add_column("kind", values).with_format(format)
    assert group_numbers(labels_of(dataset, "kind")) == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("groups", "said"), [("image", "no label"), (5, "a column's name"), ([1], "1 labels for 4 rows")]
)
def test_what_is_no_label_is_one_line(groups: Any, said: str) -> None:
    with pytest.raises(RapError, match=said):
        group_numbers(labels_of(make_dataset(4), groups))


def test_rows_are_told_from_others_by_their_texts_and_their_order() -> None:
    dataset = make_dataset(12)
    order = [1, 0, *range(2, 12)]
    assert fingerprint(dataset) == fingerprint(make_dataset(12).with_format("torch"))
    assert fingerprint(dataset) != fingerprint(dataset.select(order))
    assert fingerprint(dataset) != fingerprint(dataset.remove_columns("answer").add_column("answer", ["?"] * 12))


def make_run(folder: Path, questions: list[str]) -> Path:
    with closing(EvidenceStore(folder / "evidence.sqlite", create=True)) as store:
        samples = [
            Sample(f"{row:032x}", row, f"<image>\n{text}", "1", (b"",), "", ((1, 1),))
            for row, text in enumerate(questions)
        ]
        store.replace_pool(samples, "fingerprint")
    return folder


def test_a_run_about_the_same_rows_in_another_order_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(6)
    questions = [prompt[0]["content"] for prompt in dataset["prompt"]]
    run = make_run(tmp_path, questions)
    require_rows_of_run(dataset, run)
    with pytest.raises(RapError, match="which is another row of this data set"):
        require_rows_of_run(dataset.select(range(5, -1, -1)), run)
    with pytest.raises(RapError, match="in their order"):
        require_rows_of_run(dataset.select([2, 3, 4, 5]), run)


def test_a_run_that_asked_in_other_words_is_taken_at_its_word(tmp_path: Path) -> None:
    require_rows_of_run(make_dataset(2), make_run(tmp_path, ["In other words?", "And in others?"]))
    require_rows_of_run(make_dataset(2), tmp_path / "without evidence")
