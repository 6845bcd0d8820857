"""How a run grows: with Ray workers, and with the number of samples.

    python benchmarks/scale.py                            # both parts
    python benchmarks/scale.py --samples                  # workers only
    python benchmarks/scale.py --workers                  # decisions only
    python benchmarks/scale.py --problems 64 --workers 1 2 4 --samples 10000 100000 1000000

Part 1 samples the first problems of the demo pool with the demo model: in this process, then with 1, 2, ... Ray workers,
each run from nothing. `sampling` is the wall time from the first stored batch of every worker to the last batch, so
without the workers' start; `all` is the whole run with that start. Workers get one processor thread each, as this process does, so
that more workers and not more threads are compared. The verdicts must be the same.

Part 2 times `rap decide` on synthetic runs (see decide.py): seconds, memory and their ratios.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from decide import make_run, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=96)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--samples", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    if options.workers:
        scale_workers(options.problems, options.workers)
    if options.samples:
        scale_samples(options.samples)


def scale_workers(problems: int, workers: list[int]) -> None:
    """Prints the demo pool's sampling by executor."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and handed on to the workers
    print(f"{problems} problems of the demo pool, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'executor':>10} {'sampling s':>11} {'rollouts/s':>11} {'ratio':>6} {'all s':>7}")
    base, verdicts = 0.0, None
    for count in (0, *workers):
        with tempfile.TemporaryDirectory() as folder:
            rollouts, sampling, whole = sample(problems, count, Path(folder) / "run")
            found = pq.read_table(Path(folder) / "run" / "scores.parquet", columns=["rap_id", "rap_verdict"])
        rate = rollouts / sampling
        base, verdicts = base or rate, verdicts or found
        name = f"ray {count}" if count else "local"
        print(
            f"{name:>10} {sampling:>11.1f} {rate:>11.1f} {rate / base:>6.2f} {whole:>7.1f}",
            flush=True,
        )
        if not found.equals(verdicts):
            raise SystemExit(f"{name}: other verdicts than the local run")


def sample(problems: int, workers: int, out: Path) -> tuple[int, float, float]:
    """(rollouts, seconds, seconds of the whole run): the first two without the first batch of every worker."""
    from rap_plugin import load_config, select_run
    from rap_plugin.cli.demo import demo_config
    from rap_plugin.evidence.store import EvidenceStore

    flags = {"execution.executor": "ray", "execution.workers": workers} if workers else {}
    # Eight samples a batch: enough batches for every worker also of a small part of the pool.
    config = load_config(
        flags={"model.batch_size": 40, "selection.lambda_c": -1.0, **flags}, base=demo_config(problems)
    )
    marks: list[tuple[float, int]] = []
    stored = EvidenceStore.add_rollouts

    def add(self: EvidenceStore, probe: int, batch, *rest, **more) -> None:  # type: ignore[no-untyped-def]
        stored(self, probe, batch, *rest, **more)
        marks.append((time.perf_counter(), sum(len(responses) for _, responses in batch)))

    started = time.perf_counter()
    EvidenceStore.add_rollouts = add  # type: ignore[method-assign]
    try:
        select_run(config, out, quiet=True)
    finally:
        EvidenceStore.add_rollouts = stored  # type: ignore[method-assign]
    whole = time.perf_counter() - started
    skip = max(1, workers)
    return sum(count for _, count in marks[skip:]), marks[-1][0] - marks[skip - 1][0], whole


def scale_samples(sizes: list[int]) -> None:
    """Prints seconds and memory of `rap decide` by pool size, with ratios to the smallest."""
    print(f"{'samples':>10} {'seconds':>8} {'ratio':>6} {'peak GiB':>9} {'ratio':>6} {'us/sample':>10}")
    first: tuple[float, float] | None = None
    for samples in sorted(sizes):
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak = measure(make_run(Path(folder), samples))
        first = first or (seconds, peak)
        print(
            f"{samples:>10,} {seconds:>8.2f} {seconds / first[0]:>6.1f} {peak:>9.2f} {peak / first[1]:>6.1f} "
            f"{1e6 * seconds / samples:>10.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
