"""What the processor hash of a model's folder sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from rap_plugin.engines.weights import processor_hash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = (
        "config.json", "chat_template.jinja", "preprocessor_config.json", "tokenizer.json", "merges.txt",
        "model.safetensors", "README.md",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "chat_template.jinja",
        "preprocessor_config.json",
        "tokenizer.json",
        "merges.txt",
        "config.json",
        "new_template.jinja",
    ],
)
def test_a_changed_file_that_decides_what_the_model_is_given_changes_the_hash(folder: Path, name: str) -> None:
    before = processor_hash(folder)
    (folder / name).write_text("changed now")
    assert processor_hash(folder) != before


@pytest.mark.parametrize("name", ["model.safetensors", "README.md"])
def test_weights_and_papers_are_no_part_of_it(folder: Path, name: str) -> None:
    before = processor_hash(folder)
    (folder / name).write_text("changed now")
    assert processor_hash(folder) == before


def test_the_place_of_the_folder_is_no_part_of_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy")
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert processor_hash(copy) == processor_hash(folder)
