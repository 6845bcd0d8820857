"""Hub ids, downloaded by the `datasets` library into its own cache and mapped from there."""

from __future__ import annotations

from pathlib import Path

from rap_plugin.config import PoolConfig
from rap_plugin.errors import Option, RapError, one_line
from rap_plugin.samples.containers.arrow import ArrowPool
from rap_plugin.samples.pool import Pool


def open_hub(config: PoolConfig) -> Pool:
    """Downloads a data set (the split asked for, else "train"); code that its repository brings is never run."""
    try:
        import datasets
    except ImportError:
        raise RapError(
            f"{config.path}: the hub needs the datasets library: pip install 'rap-plugin[datasets]'"
        ) from None
    try:
        dataset = datasets.load_dataset(config.path, split=config.split or "train")
    except Exception as error:
        line = one_line(error, 160)
        raise RapError(
            f"{config.path}: the hub did not give it ({line}); check the id, ", Option("pool.split"), " and the network"
        ) from None
    files = [Path(entry["filename"]) for entry in dataset.cache_files]
    return ArrowPool([dataset.data.table], files, config.path, Path.cwd(), "hub")
