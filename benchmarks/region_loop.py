"""The region loop in batches beside the loop that takes one row at a time: `python benchmarks/region_loop.py [--model DIR]`.

Same engine, same rows, same answers; only the batch differs. Without --model, the tests' tiny model that asks for regions is
trained first (seconds). Prints rows per second, their ratio, and whether all answers are the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rap_plugin.config import ModelConfig
from rap_plugin.plugins import get_plugins
from rap_plugin.vlm_r3.coordinates import frame_of
from rap_plugin.vlm_r3.driver import run_rows
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.trace import Trace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.vlm_r3 import looker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, help="folder of the tests' model (tests/vlm_r3/looker.py), trained before"
    )
    parser.add_argument("--engine", default="hf", choices=("hf", "vllm"))
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = options.model or looker.train(Path(home))
        config = ModelConfig(id=str(folder), engine=options.engine, device="auto")
        engine = get_plugins().registry().get("engines", options.engine)(config)
        serial, batched = [], []
        for round_ in range(options.rounds + 1):  # the first one warms up
            for batch, times in ((1, serial), (options.batch, batched)):
                seconds, traces = run(engine, batch, options.rows)
                if round_:
                    times.append(seconds)
                if batch == 1:
                    alone = traces
        same = sum(alone[key] == trace for key, trace in traces.items())
        engine.close()
    first, second = (options.rows / statistics.median(times) for times in (serial, batched))
    looks = sum(trace.crops for trace in alone.values())
    print(f"engine {options.engine}, {options.rows} rows, {looks} crops, median of {options.rounds} rounds")
    print(f"  one row at a time   {first:8.2f} rows/s")
    print(f"  batch of {options.batch:<10} {second:8.2f} rows/s   {second / first:.1f} times")
    print(f"  the same answers and looks in {same} of {options.rows} rows")


def run(engine, batch: int, rows: int) -> tuple[float, dict[str, Trace]]:
    """Seconds, and traces by key."""
    engine.batch_size = batch
    if hasattr(engine, "_batches"):
        engine._batches.batch_size = batch
    frame, found = frame_of(engine.vision()), {}
    made = [
        RegionRow.of(replace(looker.prompt(at % 16), sample_id=str(at)), frame, looker.loop_options(), seed=at)
        for at in range(rows)
    ]
    started = time.perf_counter()
    run_rows(engine, made, looker.sampling(), lambda row: found.__setitem__(row.key, row.trace()))
    return time.perf_counter() - started, found


if __name__ == "__main__":
    main()
