"""How long `rap decide --no-report` takes on a run of N samples, and how much memory: a process of its own, start-up included.

The run is synthetic: N pool rows with a 68-byte PNG each, 5 + 5 rollouts drawn from graded abilities, all
attention statistics filled. Everything is on disk before the clock starts.

    python benchmarks/decide.py                 # 10,000, 54,931 and 1,000,000 samples
    python benchmarks/decide.py --samples 54931
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from array import array
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.config import load_config
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.pipeline.grading import grader_key, make_grader
from rap_plugin.pipeline.select import probe_keys
from rap_plugin.plugins import get_plugins
from rap_plugin.rollout import ARMS, ModelIdentity
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import describe
from rap_plugin.run_dir.pool import place_of
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Sample, sample_id

IDENTITY = ModelIdentity("synthetic", "synthetic")
ROLLOUTS = 5


def tiny_png() -> bytes:
    """A 1 x 1 PNG, written by hand so that the benchmark needs no image library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def make_run(folder: Path, samples: int) -> Path:
    """A finished run directory with `samples` samples."""
    run = folder / "run"
    run.mkdir(parents=True)
    png = tiny_png()
    pool_path = folder / "pool.parquet"
    struct_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    with pq.ParquetWriter(
        pool_path,
        pa.schema([("problem", pa.string()), ("answer", pa.string()), ("images", pa.list_(struct_type))]),
    ) as writer:
        for start in range(0, samples, 50_000):
            numbers = range(start, min(start + 50_000, samples))
            writer.write_table(
                pa.table(
                    {
                        "problem": [f"<image>What is number {i}?" for i in numbers],
                        "answer": [str(i) for i in numbers],
                        "images": pa.array([[{"bytes": png, "path": None}] for _ in numbers], pa.list_(struct_type)),
                    }
                ),
                row_group_size=5_000,
            )
    config = load_config(flags={"pool.path": str(pool_path), "model.id": "synthetic", "grading.grader": "text"})
    store = EvidenceStore(run / files.EVIDENCE, create=True)
    grader = make_grader(config, get_plugins().registry())

    def items() -> Iterator[Sample]:
        for i in range(samples):
            question, gold = f"<image>What is number {i}?", str(i)
            yield Sample(sample_id(question, gold, (png,)), i, question, gold, (png,), "", ((1, 1),))

    pool = open_pool(config.pool)
    store.replace_pool(items(), json.dumps([pool.fingerprint(), config.pool.model_dump(), grader.id], sort_keys=True))
    store.set_meta("grader", grader_key(config))
    probes = [store.probe(key) for key in probe_keys(config, IDENTITY).values()]
    draws = np.random.default_rng(0)
    ability = {"image": draws.beta(0.8, 0.8, samples), "blind": draws.beta(0.4, 1.6, samples)}
    columns = ", ".join(("attention", *STATISTIC_COLUMNS))
    marks = ", ".join("?" * (11 + 1 + len(STATISTIC_COLUMNS)))
    ids = array("i", [1, 2]).tobytes()
    store.close()
    with closing(sqlite3.connect(run / files.EVIDENCE)) as connection, connection as db:
        for start in range(0, samples, 20_000):
            stop = min(start + 20_000, samples)
            rows, texts = [], []
            right = {arm: draws.random((stop - start, ROLLOUTS)) < ability[arm][start:stop, None] for arm in ARMS}
            psi = draws.normal(-15, 5, (stop - start, ROLLOUTS))
            for i in range(start, stop):
                for arm, probe in zip(ARMS, probes, strict=True):
                    for rollout in range(ROLLOUTS):
                        good = bool(right[arm][i - start, rollout])
                        value = float(psi[i - start, rollout]) if arm == "image" else None
                        rows.append(
                            (
                                i + 1,
                                probe,
                                rollout,
                                "ok",
                                "stop",
                                30,
                                2,
                                grader.id,
                                "right" if good else "wrong",
                                float(good),
                                0,
                            )
                            + (("measured",) if arm == "image" else (None,))
                            + (value,) * len(STATISTIC_COLUMNS)
                        )
                        texts.append((i + 1, probe, rollout, "a short response", ids, "", "", ""))
            db.executemany(
                "INSERT INTO rollouts (sample, probe, rollout, status, finish, prompt_tokens, tokens, grader, verdict, reward, "
                f"well_formatted, {columns}) VALUES ({marks})",
                rows,
            )
            db.executemany(
                "INSERT INTO responses (sample, probe, rollout, text, token_ids, error, extracted, grade_reason) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                texts,
            )
    grader.close()
    describe(run, config, IDENTITY, place_of(run, pool))
    os.sync()
    return run


def measure(run: Path) -> tuple[float, float]:
    """Seconds and peak resident GiB of one `rap decide RUN --lambda-c 0.3 --no-report`."""
    command = [sys.executable, "-m", "rap_plugin.cli", "decide", str(run), "--lambda-c", "0.3", "--no-report"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="*", default=[10_000, 54_931, 1_000_000])
    arguments = parser.parse_args()
    print(f"{'samples':>10} {'seconds':>8} {'peak GiB':>9} {'samples/s':>10}")
    for samples in sorted(arguments.samples):
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak = measure(make_run(Path(folder), samples))
        print(f"{samples:>10,} {seconds:>8.2f} {peak:>9.2f} {samples / seconds:>10,.0f}", flush=True)


if __name__ == "__main__":
    main()
