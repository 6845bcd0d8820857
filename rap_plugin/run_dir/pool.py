"""The pool of a run: found again where it was, beside the run or where the user says, and never another pool.

Runs and pools move. `run.json` keeps where the pool was; what is found there must hold the samples that were probed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rap_plugin.config import PoolConfig
from rap_plugin.errors import Command, Option, RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.run_dir.about import config_of
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool

FINGERPRINT = "pool_fingerprint"
"""Name in the store's table of facts: the fingerprint alone, or a JSON list that begins with it."""

CHUNK = 256
"""Rows checked at a time, with their images in memory."""


def place_of(run: Path, pool: Pool, image_root: str | None = None) -> dict[str, str]:
    """Where a pool and its images lie, for `run.json`: absolute, and relative to the run directory."""
    found = {"fingerprint": pool.fingerprint()}
    for name, text in (("path", pool.path), ("image_root", image_root)):
        if text and Path(os.path.expanduser(text)).exists():
            absolute = os.path.abspath(Path(os.path.expanduser(text)))
            found |= {name: absolute, f"{name}_from_run": os.path.relpath(absolute, os.path.abspath(run))}
    return found


def pool_places(run: Path, about: Mapping[str, Any], given: str | None = None) -> Iterator[PoolConfig]:
    """The places where the pool of a run exists, the likeliest first; only the `given` one where there is one.

    A pool on a hub has no place: it is where its id says.
    """
    config = config_of(about, run).pool
    place: Mapping[str, str] = about.get("pool") or {}
    roots = _existing(run, config.image_root, place, "image_root") if config.image_root else []
    root = str(roots[0]) if roots else None
    if given is not None:
        yield config.model_copy(update={"path": given, "image_root": root})
        return
    paths = _existing(run, config.path, place, "path")
    for path in paths:
        yield config.model_copy(update={"path": str(path), "image_root": root})
    if "path" not in place and config.allow_urls:
        yield config


def open_pool_of(
    run: Path, about: Mapping[str, Any], store: EvidenceStore, formats: Any, given: str | None = None
) -> Pool:
    """Opens the pool that a run was made from.

    Raises RapError where there is none, and where what is there has other rows than those that were probed: it was edited
    or reordered, or is another pool. A pool that was only copied or touched is known by its content.
    """
    pools: list[Pool] = []
    problem: RapError | None = None
    for place in pool_places(run, about, given):
        try:
            pools.append(open_pool(place))
        except RapError as error:
            problem = problem or error
    if not pools:
        raise problem or missing_pool(run, about)
    known = known_fingerprint(store)
    for pool in pools:
        if pool.fingerprint() == known:
            return pool
    config, problem = config_of(about, run).pool, None
    for pool in pools:
        try:
            require_same_rows(pool, config, store, formats)
        except RapError as error:
            problem = problem or error
            continue
        remember_fingerprint(store, pool)
        return pool
    assert problem is not None
    raise problem


def missing_pool(run: Path, about: Mapping[str, Any]) -> RapError:
    """That the pool of a run is not to be found, and how to give it."""
    path = (about.get("pool") or {}).get("path") or about["config"]["pool"]["path"]
    return RapError(
        f"{run}: its pool is neither where it was ({path}) nor beside the run; say where it is with ", Option("pool")
    )


def require_same_rows(pool: Pool, config: PoolConfig, store: EvidenceStore, formats: Any) -> None:
    """Raises RapError where a row of the pool is not the sample that the store knows at this place. Reads the whole pool."""
    rows, _, _ = store.pool_counts()
    there = min(len(pool), config.limit or len(pool))
    again = (
        "; give the pool as it was with ",
        Option("pool"),
        ", or read this one with ",
        Command("rap select"),
        " (evidence belongs to content, not to rows)",
    )
    if there != rows:
        raise RapError(
            f"{pool.path}: {there:,} rows where the run read {rows:,}: it is another pool or was edited", *again
        )
    samples = store.samples()
    for start in range(0, len(samples), CHUNK):
        some = samples[start : start + CHUNK]
        try:
            loaded = load_samples(pool, config, [sample.row for sample in some], formats)
        except RapError as error:
            raise RapError(error, *again) from None
        for sample, now in zip(some, loaded, strict=True):
            if now.id != sample.id:
                raise RapError(
                    f"{pool.path}: row {sample.row} is not the sample that was probed: the pool was edited or reordered, or is "
                    "another one",
                    *again,
                )


def known_fingerprint(store: EvidenceStore) -> str:
    """The fingerprint of the pool that the store was filled from; empty where none was read to its end."""
    known = store.get_meta(FINGERPRINT) or ""
    try:
        return str(json.loads(known)[0])
    except (ValueError, IndexError, TypeError, KeyError):
        return known


def remember_fingerprint(store: EvidenceStore, pool: Pool) -> None:
    """The pool is known to hold the same rows: its present fingerprint stands for them from now on."""
    if store.read_only:
        return
    known = store.get_meta(FINGERPRINT) or ""
    try:
        _, *rest = json.loads(known)
    except (ValueError, TypeError):
        store.set_meta(FINGERPRINT, pool.fingerprint())
        return
    store.set_meta(FINGERPRINT, json.dumps([pool.fingerprint(), *rest], sort_keys=True))


def _existing(run: Path, text: str, place: Mapping[str, str], name: str) -> list[Path]:
    """Where it was, where the same words lead from here, where it was as seen from the run, beside and in the run."""
    candidates = [Path(os.path.expanduser(text)), run.absolute().parent / Path(text).name, run / Path(text).name]
    if name in place:
        candidates.insert(0, Path(place[name]))
        candidates.insert(2, run / place.get(f"{name}_from_run", Path(text).name))
    unique: dict[str, Path] = {}
    for path in candidates:
        if os.path.exists(path):  # unlike Path.exists, False for what is no path at all
            unique.setdefault(os.path.realpath(path), path)
    return list(unique.values())
