"""Runs made from the rollout dumps of RAP's released code (arXiv 2506.04755): no model is asked.

A dump is a flat list with M consecutive rows per problem, row = {onlyid, id, prompt, answer, question, ground_truth,
reward, response_length}: `answer` is the response, `reward` is 0.9 * accuracy + 0.1 * format.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.config import PoolConfig, load_config
from rap_plugin.errors import Option, RapError
from rap_plugin.evidence.records import LedgerEntry
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import HIGH_REWARD
from rap_plugin.grading.base import Grade
from rap_plugin.pipeline.finish import finish
from rap_plugin.pipeline.grading import grader_key
from rap_plugin.pipeline.probing import find_probes
from rap_plugin.pipeline.select import RunResult
from rap_plugin.pipeline.selection import make_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.progress import step
from rap_plugin.rollout import ARMS, Arm, ModelIdentity, Response
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import describe, read_run
from rap_plugin.run_dir.pool import place_of
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import BadRow, Pool

IMPORTED = "imported"
"""Stands for the model, the engine and the grader, none of which was there."""

FORMAT_WEIGHT = 0.1
"""Share of the format in the dumps' rewards."""

MAX_ROLLOUTS = 62
CHUNK = 500
"""Problems stored between two commits."""

Problem = tuple[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class _PoolSide:
    """The pool's side of the match: samples by `onlyid`, and which of them have to be in the dumps."""

    sample: dict[str, int]
    """The store's number; usable rows only, as `gold` and `id`."""
    row: dict[str, int]
    gold: dict[str, str]
    id: dict[str, str]
    quarantined: frozenset[str]


def import_run(
    image: str | Path, blind: str | Path, pool: str | Path, out: str | Path, *, report: bool = True, quiet: bool = False
) -> RunResult:
    """Makes a run directory from two dumps and their pool, selected by preset `released`.

    A response is right when its reward is at least 0.9, which only a right answer reaches, and well formatted when the
    reward holds the format's 0.1. Problems are matched by `onlyid`; M is what the dumps hold. Rows of the pool that
    ingest quarantines are left out, as in every run. Nothing is measured of attention, so ACE judges nothing.

    Raises RapError naming the first row that does not fit: an unknown, missing or repeated `onlyid`, another `id` or
    gold answer than the pool's, a group that is not of M rows, a reward that is no number.
    """
    started = time.perf_counter()
    run = Path(out)
    paths: dict[Arm, Path] = {"image": Path(image), "blind": Path(blind)}
    identity = ModelIdentity(IMPORTED, _fingerprint(paths))
    _require_fresh(run, identity)
    groups = _group_size(paths["image"])
    config = load_config(
        flags={
            "pool.path": str(pool),
            "model.id": IMPORTED,
            "model.engine": IMPORTED,
            # The prompts were built by the code that sampled.
            "prompt.instruction": "",
            "sampling.rollouts": groups,
            "grading.grader": IMPORTED,
            # Said outright, so that another preset does not change what the stored grades depend on.
            "grading.format_weight": FORMAT_WEIGHT,
            "ace.enabled": False,
            "selection.preset": "released",
        }
    )
    opened = open_pool(config.pool)
    run.mkdir(parents=True, exist_ok=True)
    with files.locked(run), closing(EvidenceStore(run / files.EVIDENCE, create=True)) as store:
        known = _ingest(store, opened, config.pool, quiet)
        probes = find_probes(store, config, identity, make=True)
        for arm in ARMS:
            _store(store, probes[arm], arm, paths[arm], groups, known, quiet)
        store.set_meta("grader", grader_key(config))
        selection = make_selection(store, config, probes, get_plugins().registry())
        describe(run, config, identity, place_of(run, opened))
        finish(run, selection, opened, store, report=report)
    return RunResult(run, selection, 0, time.perf_counter() - started)


def grade_of(reward: float) -> Grade:
    """The grade behind a dump's reward, 0.9 * accuracy + 0.1 * format, which stays as it is."""
    right = reward >= HIGH_REWARD
    formatted = reward >= 1.0 if right else reward >= FORMAT_WEIGHT
    return Grade("right" if right else "wrong", reward, formatted, "")


def _fingerprint(paths: Mapping[Arm, Path]) -> str:
    """16 hexadecimal digits over the bytes of both dumps: the revision of what was imported."""
    digest = hashlib.blake2b(digest_size=8)
    for path in paths.values():
        try:
            with path.open("rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
        except OSError as error:
            raise RapError(f"{path}: cannot be read ({error.strerror}); give the two rollout dumps") from None
        digest.update(b"\0")
    return digest.hexdigest()


def _require_fresh(run: Path, identity: ModelIdentity) -> None:
    if (run / files.RUN).exists():
        if read_run(run)["model"].get("revision") != identity.revision:
            raise RapError(f"{run}: holds another run; choose another ", Option("out"))
    elif run.exists() and not (run / files.EVIDENCE).exists() and (not run.is_dir() or any(run.iterdir())):
        raise RapError(f"{run}: not an empty folder and not a run of rap; choose another ", Option("out"))


def _ingest(store: EvidenceStore, pool: Pool, config: PoolConfig, quiet: bool) -> _PoolSide:
    formats = get_plugins().registry().things["formats"]
    if "onlyid" not in pool.columns:
        raise RapError(f"{pool.path}: no column 'onlyid', which the dumps refer to; columns: {', '.join(pool.columns)}")
    with step("read the pool", len(pool), "rows", quiet=quiet) as advance:
        store.replace_pool(
            ingest(pool, config, formats=formats, on_progress=lambda done: advance(1)), pool.fingerprint()
        )
    numbers = {known.row: known.sample for known in store.samples()}
    golds = store.golds()
    found = _PoolSide({}, {}, {}, {}, frozenset())
    quarantined = set()
    for start in range(0, len(pool), CHUNK):
        rows = range(start, min(start + CHUNK, len(pool)))
        table = pool.table(list(rows))
        ids = table.column("id").to_pylist() if "id" in table.column_names else [None] * len(rows)
        for row, onlyid, other in zip(rows, table.column("onlyid").to_pylist(), ids, strict=True):
            key = _key(onlyid)
            if key in found.row:
                raise RapError(
                    f"{pool.path}: rows {found.row[key]} and {row} share onlyid {key}; the dumps cannot be matched"
                )
            found.row[key] = row
            if row not in numbers:
                quarantined.add(key)
                continue
            found.sample[key] = numbers[row]
            found.gold[key] = golds[numbers[row]]
            found.id[key] = _key(other)
    return _PoolSide(found.sample, found.row, found.gold, found.id, frozenset(quarantined))


def _group_size(path: Path) -> int:
    """M: how many rows the first problem of a dump has."""
    dump = open_pool(PoolConfig.model_validate({"path": str(path)}))
    if isinstance(dump.rows([0])[0], BadRow) or "onlyid" not in dump.columns or "reward" not in dump.columns:
        raise RapError(f"{path}: not a rollout dump; expected rows with onlyid, answer and reward")
    first, size = _key(dump.rows([0])[0].get("onlyid")), 1
    while size < len(dump) and _key(dump.rows([size])[0].get("onlyid")) == first:
        size += 1
    if size > MAX_ROLLOUTS:
        raise RapError(
            f"{path}: {size} rows share onlyid {first}; at most {MAX_ROLLOUTS} rollouts per problem are read"
        )
    return size


def _store(store: EvidenceStore, probe: int, arm: Arm, path: Path, size: int, known: _PoolSide, quiet: bool) -> None:
    dump = open_pool(PoolConfig.model_validate({"path": str(path)}))
    seen: dict[str, int] = {}
    with step(f"read {arm} dump", len(dump), "rollouts", quiet=quiet) as advance:
        batch: list[tuple[int, list[Response]]] = []
        grades: list[tuple[int, int, int, Grade]] = []
        for start, (key, rows) in _problems(dump, path, size):
            if key in seen:
                raise RapError(
                    f"{path}: row {start}: onlyid {key} came already at row {seen[key]}; expected {size} rows in a row"
                )
            seen[key] = start
            advance(size)
            if key in known.quarantined:
                continue
            if key not in known.sample:
                raise RapError(f"{path}: row {start}: onlyid {key} is not in the pool; is it the pool of this dump?")
            number = known.sample[key]
            responses = []
            for i, row in enumerate(rows):
                _require_match(path, start + i, row, key, known)
                reward = _reward(path, start + i, row)
                responses.append(Response(i, _text(row.get("answer"))))
                grades.append((number, probe, i, grade_of(reward)))
            batch.append((number, responses))
            if len(batch) >= CHUNK:
                _commit(store, probe, batch, grades)
                batch, grades = [], []
        _commit(store, probe, batch, grades)
    for key in known.sample:
        if key not in seen:
            raise RapError(
                f"{path}: row {known.row[key]} of the pool (onlyid {key}) has no rollouts here; is it the pool of this dump?"
            )


def _problems(dump: Pool, path: Path, size: int) -> Iterator[tuple[int, Problem]]:
    """(first row, (onlyid, its rows)), each of exactly `size` consecutive rows."""
    for start in range(0, len(dump), size):
        rows = dump.rows(range(start, min(start + size, len(dump))))
        for i, row in enumerate(rows):
            if isinstance(row, BadRow):
                raise RapError(f"{path}: row {start + i}: {row.reason}; expected a rollout")
            if _key(row.get("onlyid")) != _key(rows[0].get("onlyid")):
                raise RapError(
                    f"{path}: row {start + i}: onlyid {_key(row.get('onlyid'))} inside the {size} rows of "
                    f"{_key(rows[0].get('onlyid'))}; every problem needs {size} consecutive rows"
                )
        key = _key(rows[0].get("onlyid"))
        if len(rows) < size:
            raise RapError(f"{path}: row {start}: onlyid {key} has {len(rows)} of {size} rows; is the file whole?")
        yield start, (key, rows)


def _require_match(path: Path, at: int, row: Mapping[str, Any], key: str, known: _PoolSide) -> None:
    other, gold = row.get("id"), row.get("ground_truth")
    if other is not None and known.id[key] and _key(other) != known.id[key]:
        raise RapError(
            f"{path}: row {at}: id {_key(other)}, but the pool's row with onlyid {key} has id {known.id[key]}"
        )
    if gold is not None and _key(gold) != known.gold[key]:
        raise RapError(
            f"{path}: row {at}: ground_truth {_key(gold)!r}, but the pool's answer is {known.gold[key]!r} (onlyid {key})"
        )


def _reward(path: Path, at: int, row: Mapping[str, Any]) -> float:
    given = row.get("reward")
    try:
        reward = math.nan if isinstance(given, (bool, str)) else float(given)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        reward = math.nan
    if not math.isfinite(reward):
        raise RapError(f"{path}: row {at}: the reward is {str(given)[:80]!r}, not a number")
    return reward


def _commit(
    store: EvidenceStore,
    probe: int,
    batch: list[tuple[int, list[Response]]],
    grades: list[tuple[int, int, int, Grade]],
) -> None:
    if batch:
        store.add_rollouts(probe, batch)
        store.set_grades(IMPORTED, grades, LedgerEntry("import", 0.0, len(grades)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _key(value: Any) -> str:
    """An id or answer as text; 7, 7.0 and " 7 " are the same one, since JSON and Parquet disagree on types."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _text(value).strip()
