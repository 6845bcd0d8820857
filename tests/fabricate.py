"""Run directories whose rollouts are drawn rather than sampled from a model: everything else in them is real.

The pool is a real Parquet file, ingested, stored, scored, decided and written by the package.
"""

from __future__ import annotations

import io
import math
import random
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.records import LedgerEntry
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import ENTROPY_COLUMN, VARIANTS
from rap_plugin.grading.base import Grade
from rap_plugin.pipeline.finish import finish
from rap_plugin.pipeline.grading import grader_key
from rap_plugin.pipeline.probing import probe_keys
from rap_plugin.pipeline.selection import make_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.rollout import ARMS, Attention, ModelIdentity, Response
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import describe
from rap_plugin.run_dir.pool import place_of
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection

ROLES = {
    # accuracy with the image, without it, mean of log psi
    "needs_image": (0.7, 0.03, -9.0),
    "in_the_text": (0.9, 0.9, -9.0),
    "always_right": (1.0, 0.05, -9.0),
    "hard": (0.25, 0.02, -9.0),
    "never_right": (0.0, 0.0, -9.0),
    "hot_column": (0.8, 0.02, 1.0),
}
"""What drawn samples are like, by the `role` that the pool names."""

SHARES = (0.2, 0.3, 0.12, 0.2, 0.13, 0.05)
IDENTITY = ModelIdentity("fabricated", "0123456789abcdef", "ab" * 32, 1_300_000)


@dataclass(frozen=True)
class Fabricated:
    """A finished run directory, with what it was made from."""

    run: Path
    config: RunConfig
    selection: Selection
    pool: Pool
    store: EvidenceStore


def picture(draws: random.Random, size: tuple[int, int] = (48, 48), kind: str = "PNG") -> bytes:
    """A small encoded picture that no other sample has."""
    image = Image.frombytes("RGB", (6, 6), draws.randbytes(108)).resize(size, Image.Resampling.NEAREST)
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()


def write_pool(path: Path, samples: int, seed: int = 0, broken: int = 0, roles: bool = True) -> Path:
    """A Parquet pool of problems in the plain layout, its last `broken` rows with a truncated picture."""
    draws = random.Random(seed)
    records = []
    for i in range(samples):
        data = picture(draws, kind="JPEG" if i % 7 == 3 else "PNG")
        role = draws.choices(list(ROLES), SHARES)[0]
        if i >= samples - broken:
            data = data[: len(data) // 2]
        record = {
            "problem": f"<image>What is number {i}?",
            "answer": str(i % 10),
            "images": [{"bytes": data, "path": f"{i}.png"}],
            "role": role,
            "onlyid": f"only-{i}",
            "id": str(i),
        }
        if not roles:
            del record["role"]
        records.append(record)
    images = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    schema = pa.schema([(name, images if name == "images" else pa.string()) for name in records[0]])
    pq.write_table(pa.Table.from_pylist(records, schema=schema), path, row_group_size=256)
    return path


def fabricate(
    folder: Path,
    samples: int = 120,
    *,
    seed: int = 0,
    rollouts: int = 5,
    broken: int = 2,
    attention: bool = True,
    roles: bool = True,
    report: bool = False,
    pool: Path | None = None,
    text: str = "",
    **options: object,
) -> Fabricated:
    """Writes a pool and a finished run over it; `options` are dotted configuration names with `__` for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    path = pool or write_pool(folder / "pool.parquet", samples, broken=broken, roles=roles)
    flags = {name.replace("__", "."): value for name, value in options.items()}
    config = load_config(
        flags={"pool.path": str(path), "model.id": "fabricated", "sampling.rollouts": rollouts, **flags}
    )
    run = folder / f"run{seed}"
    run.mkdir(exist_ok=True)
    store = EvidenceStore(run / files.EVIDENCE, create=True)
    opened = open_pool(config.pool)
    formats = get_plugins().registry().things["formats"]
    store.replace_pool(ingest(opened, config.pool, formats=formats), opened.fingerprint())
    store.add_cost(LedgerEntry("ingest", 0.4))
    keys = probe_keys(config, IDENTITY)
    probes = {arm: store.probe(key) for arm, key in keys.items()}
    role_of = dict(enumerate(pq.read_table(path, columns=["role"])["role"].to_pylist())) if roles else {}
    draws = random.Random(seed)
    for arm in ARMS:
        batch, measured, grades = [], {}, []
        for known in store.samples():
            solved, blind, heat = ROLES.get(role_of.get(known.row, ""), ROLES["needs_image"])
            chance = solved if arm == "image" else blind
            responses = []
            for i in range(rollouts):
                right = draws.random() < chance
                said = str(known.row % 10 if right else (known.row + 1) % 10)
                answer = f"<think>I look at number {known.row}. {text}</think> \\boxed{{{said}}}"
                responses.append(Response(i, answer, tuple(range(12)), "stop", 40, "ok"))
                grades.append(
                    (known.sample, probes[arm], i, Grade("right" if right else "wrong", float(right), True, said))
                )
                if arm == "image" and attention:
                    measured[known.sample, i] = Attention(_statistics(draws, heat))
            batch.append((known.sample, responses))
        count = len(grades)
        store.add_rollouts(
            probes[arm], batch, measured, ledger=LedgerEntry(f"sample {arm}", count / 90, count, count * 8, count * 12)
        )
        store.set_grades("fabricated-1", grades, LedgerEntry("grade", count / 4000, count))
    store.set_meta("grader", grader_key(config))
    describe(run, config, IDENTITY, place_of(run, opened))
    selection = make_selection(store, config, probes, get_plugins().registry())
    finish(run, selection, opened, store, report=report)
    return Fabricated(run, config, selection, opened, store)


def _statistics(draws: random.Random, heat: float) -> dict[str, float | None]:
    base = draws.gauss(heat, 1.5)
    found: dict[str, float | None] = {}
    for variant in VARIANTS:
        shift = 0.4 * math.log(variant.window / 10) * base - (1.0 if variant.heads == "mean" else 0.0)
        found[variant.column] = base + shift + (2.5 if variant.reduction == "suffix" else 0.0)
    found[ENTROPY_COLUMN] = max(0.1, 2.5 - 0.1 * base)
    return found


def finished(folder: Path, **options: object) -> Path:
    """`fabricate`, with the store closed: only the run directory."""
    made = fabricate(folder, **options)  # type: ignore[arg-type]
    with closing(made.store):
        return made.run
