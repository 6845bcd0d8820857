"""The pool is the trainer's own blend, and the trainer reads back exactly the chosen rows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from PIL import Image

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.hosts.pool import save_pool
from rap_plugin.openrlhf_hooks import dataset
from rap_plugin.samples.opening import open_pool


def args_of(prompt_dataset, **data):
    values = {"prompt_probs": None, "prompt_split": "train", "max_samples": 10**8, **data}
    return SimpleNamespace(
        data=SimpleNamespace(prompt_dataset=str(prompt_dataset), **values), train=SimpleNamespace(seed=42), use_ms=False
    )


def trainers_rows(args):
    """The rows that `prepare_datasets` gives its PromptDataset."""
    from openrlhf.datasets.utils import blending_datasets

    strategy = SimpleNamespace(args=args, print=lambda *words: None, is_rank_0=lambda: False)
    data = args.data
    found = blending_datasets(
        data.prompt_dataset,
        data.prompt_probs,
        strategy,
        args.train.seed,
        max_count=data.max_samples,
        dataset_split=data.prompt_split,
    )
    return found.select(range(min(data.max_samples, len(found))))


@pytest.fixture
def two_files(write_chat_pool):
    return f"{write_chat_pool(5, 'a.jsonl')},{write_chat_pool(9, 'b.jsonl', start=100)}"


@pytest.mark.parametrize("options", [{}, {"prompt_probs": "0.8,0.2"}, {"max_samples": 4}])
def test_the_rows_are_the_trainers(two_files, options):
    args = args_of(two_files, **options)
    assert dataset.read_dataset(args).to_list() == trainers_rows(args).to_list()


def test_blending_with_probabilities_repeats_rows_of_the_smaller_dataset(two_files):
    rows = dataset.read_dataset(args_of(two_files, prompt_probs="0.8,0.2"))
    numbers = rows["source_row"][:]
    assert len(numbers) > len(set(numbers))


@pytest.mark.parametrize("wrong", ["nowhere.jsonl", "two.jsonl,probs.jsonl"])
def test_a_dataset_that_cannot_be_read_is_one_line(wrong):
    with pytest.raises(RapError, match=r"^--data\.prompt_dataset .*cannot be read") as raised:
        dataset.read_dataset(args_of(wrong, prompt_probs="1.0" if "," in wrong else None))
    assert "\n" not in str(raised.value)


def test_the_saved_pool_is_written_once_and_again_when_the_data_change(tmp_path, write_chat_pool):
    file = write_chat_pool(6)
    folder = save_pool(dataset.read_dataset(args_of(file)), tmp_path)
    before = open_pool(PoolConfig(path=str(folder))).fingerprint()
    marks = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert save_pool(dataset.read_dataset(args_of(file)), tmp_path) == folder
    assert marks == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    save_pool(dataset.read_dataset(args_of(write_chat_pool(7))), tmp_path)
    pool = open_pool(PoolConfig(path=str(folder)))
    assert (len(pool), pool.fingerprint() == before) == (7, False)


def test_the_trainer_reads_the_chosen_rows_with_their_columns_types_and_order(tmp_path):
    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageColumn

    features = Features(
        {"prompt": Value("string"), "label": Value("int16"), "images": List(ImageColumn()), "extra": Value("float32")}
    )
    rows = [
        {"prompt": f"<image>{i}", "label": i, "images": [Image.new("RGB", (9, 7), (i, 0, 0))], "extra": i / 2}
        for i in range(8)
    ]
    Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "source"))
    args = args_of(tmp_path / "source")
    pool = save_pool(dataset.read_dataset(args), tmp_path)
    folder = dataset.save_train_rows(pool, [1, 4, 5], tmp_path)
    read = trainers_rows(args_of(folder))
    assert read.features == features
    assert read["label"][:] == [1, 4, 5]
    assert [image.getpixel((0, 0)) for images in read["images"] for image in images] == [
        (1, 0, 0),
        (4, 0, 0),
        (5, 0, 0),
    ]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
