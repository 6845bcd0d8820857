"""Opens a pool by what its path is: a file, a folder, a hub id."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rap_plugin.config import PoolConfig
from rap_plugin.errors import EmptyPool, Option, RapError
from rap_plugin.samples.open_file import ARCHIVES, READABLE, SUFFIXES, open_file
from rap_plugin.samples.pool import Pool

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def open_pool(config: PoolConfig) -> Pool:
    """Opens a pool by what its path is: a file (by ending), a folder, or a hub id.

    Raises RapError for no such file, an empty or damaged one, an unknown ending, and a hub id without
    `allow_urls`.
    """
    if not config.path:
        raise RapError(f"no pool given; name {READABLE}")
    path = Path(os.path.expanduser(config.path))
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):
        is_folder = is_file = False
    if is_folder:
        from rap_plugin.samples.containers.folder import open_folder

        pool = open_folder(path, config)
    elif is_file:
        pool = open_file(path, config)
    elif os.path.lexists(path):
        what = "leads nowhere" if path.is_symlink() and not path.exists() else "is neither a file nor a folder"
        raise RapError(f"{path}: {what}; give {READABLE}")
    else:
        pool = _open_elsewhere(config)
    if config.image_root is not None:
        pool.root = Path(os.path.expanduser(config.image_root))
        if not pool.root.is_dir():
            raise RapError(
                f"{config.image_root}: no such folder; ",
                Option("pool.image_root"),
                " is where relative image paths start",
            )
    if len(pool) == 0:
        raise EmptyPool(f"{config.path}: no rows; give a pool with at least one problem")
    return pool


def _open_elsewhere(config: PoolConfig) -> Pool:
    path = config.path
    if Path(path).suffix.lower() in {**SUFFIXES, **ARCHIVES} or not _HUB_ID.fullmatch(path):
        raise RapError(f"{path}: no such file or folder; check the path (seen from {Path.cwd()})")
    if not config.allow_urls:
        raise RapError(f"{path}: not a file here; to download from the hub add ", Option("pool.allow_urls"))
    from rap_plugin.samples.containers.hub import open_hub

    return open_hub(config)
