"""A run over a pool in verl's own layout, and verl's real configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.exports.columns import IMAGES, MESSAGES
from rap_plugin.exports.verl import INFO, REWARD
from tests.fabricate import fabricate, write_pool

os.environ.setdefault("OMP_NUM_THREADS", "1")


def write_verl_pool(folder: Path, samples: int = 120, name: str = "train.parquet", suffix: str = "") -> Path:
    """A pool of verl rows, as its preprocessing scripts write them: no column of rap in it."""
    plain = pq.read_table(write_pool(folder / "plain.parquet", samples, broken=2)).to_pylist()
    rows = [
        {
            "data_source": "digits",
            "prompt": [{"role": "user", "content": row["problem"] + suffix}],
            "images": row["images"],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": row["answer"]},
            "extra_info": {"split": "train", "index": i, "answer": row["answer"], "question": row["problem"]},
            "role": row["role"],
        }
        for i, row in enumerate(plain)
    ]
    schema = pa.schema(
        [
            pa.field("data_source", pa.string()),
            pa.field("prompt", MESSAGES),
            pa.field("images", IMAGES),
            pa.field("ability", pa.string()),
            pa.field("reward_model", REWARD),
            pa.field("extra_info", INFO),
            pa.field("role", pa.string()),
        ]
    )
    path = folder / name
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=50)
    return path


class Prepared:
    """A finished run, its pool, and a validation file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool = write_verl_pool(folder)
        self.validation = folder / "validation.parquet"
        table = pq.read_table(self.pool).slice(0, 9)
        pq.write_table(table, self.validation)
        made = fabricate(folder, pool=self.pool)
        with closing(made.store):
            self.run = made.run
        self.selected = pq.read_table(self.run / "selected.parquet").to_pylist()
        self.ids = [row["rap_id"] for row in self.selected]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def verl_config(prepared: Prepared, tmp_path: Path) -> Callable[..., Any]:
    """`verl_config("a.b=c", ...)`: verl's configuration as its command makes it, over the prepared files."""
    pytest.importorskip("verl", reason="verl is not installed")
    from hydra import compose, initialize_config_module

    def make(*overrides: str, rap: bool = True) -> Any:
        given = [
            f"data.train_files={prepared.pool}",
            f"data.val_files={prepared.validation}",
            f"+data.cache_dir={tmp_path / 'cache'}",
            "data.train_batch_size=4",
            "data.dataloader_num_workers=0",
            "data.seed=3",
            "trainer.device=cpu",
        ]
        if rap:
            given += [
                "data.custom_cls.path=pkg://rap_plugin.verl_hooks",
                "data.custom_cls.name=RapDataset",
                f"+data.rap.run_dir={prepared.run}",
            ]
        with initialize_config_module(config_module="verl.trainer.config", version_base=None):
            return compose(config_name="ppo_trainer", overrides=[*given, *overrides])

    return make


@pytest.fixture
def make_dataset(verl_config: Callable[..., Any]) -> Callable[..., Any]:
    """`make_dataset("a.b=c", ...)`: the training data set, made by verl's own `create_rl_dataset`."""

    def make(*overrides: str, files: str = "train", processor: Any = None, **options: Any) -> Any:
        from verl.trainer.ppo.utils import create_rl_dataset

        config = verl_config(*overrides, **options)
        limit = config.data.get(f"{files}_max_samples", -1)
        # Not even a tokenizer is asked for while prompts are not filtered by their length.
        return create_rl_dataset(
            config.data[f"{files}_files"], config.data, None, processor or object(), max_samples=limit
        )

    return make
