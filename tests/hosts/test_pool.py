"""A host's data set is saved once below its run, whole or not at all."""

import pytest

pytest.importorskip("datasets", reason="datasets is not installed")

import datasets

from rap_plugin.errors import RapError
from rap_plugin.hosts.pool import open_run, replace_folder, row_numbers, save_pool


def rows(count):
    return datasets.Dataset.from_dict({"prompt": [f"What is {i} + 1?" for i in range(count)]})


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_the_same_data_set_is_written_once_and_another_one_takes_its_place(tmp_path):
    folder = save_pool(rows(5), tmp_path)
    before = times(folder)
    assert save_pool(rows(5), tmp_path) == folder
    assert times(folder) == before
    save_pool(rows(6), tmp_path)
    assert len(datasets.load_from_disk(str(folder))) == 6


def test_a_write_that_fails_leaves_what_was_there_and_no_draft(tmp_path):
    folder = save_pool(rows(5), tmp_path)

    def fail(draft):
        draft.mkdir()
        raise OSError(28, "No space left on device")

    with pytest.raises(RapError, match=r"pool: cannot be written \(No space left on device\); free some space"):
        replace_folder(folder, fail)
    assert len(datasets.load_from_disk(str(folder))) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]


def test_an_opened_run_is_continued_and_a_folder_of_other_things_refused(tmp_path):
    run = tmp_path / "deep" / "run"
    open_run(run)
    open_run(run)
    assert row_numbers(run) == {}
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RapError, match="not empty and not a run directory of rap; choose another --out"):
        open_run(tmp_path)
