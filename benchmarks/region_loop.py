"""The region loop in batches beside the loop that takes one row at a time: `python benchmarks/region_loop.py [--model DIR]`.

Same engine, same rows, same answers. Three ways: one row at a time as the published code does it, where every segment reads
the prompt, the turn and all pictures anew; one row at a time as we do it, where what was read is kept; and a batch. Without
--model, the tests' tiny model that asks for regions is trained first (seconds). Prints rows per second, the ratios, and whether
all answers are the same.
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
from rap_plugin.engines.turns import Turn
from rap_plugin.plugins import get_plugins
from rap_plugin.vlm_r3.boxes import STOPS
from rap_plugin.vlm_r3.coordinates import frame_of
from rap_plugin.vlm_r3.driver import RegionQueue
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.trace import Trace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.vlm_r3 import looker

WAYS = ("published", "alone", "batch")


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
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        found: dict[str, dict[str, Trace]] = {}
        for round_ in range(options.rounds + 1):  # the first one warms up
            for way in WAYS:
                batch = options.batch if way == "batch" else 1
                taken, found[way] = run(engine, batch, options.rows, anew=way == "published")
                if round_:
                    seconds[way].append(taken)
        engine.close()
    published, alone, batched = (statistics.median(seconds[way]) for way in WAYS)
    print(
        f"engine {options.engine}, {options.rows} rows, {sum(trace.crops for trace in found['batch'].values())} crops"
    )
    print(f"median of {options.rounds} rounds, and rounds side by side")
    print(f"  one row at a time, read anew (as published)   {options.rows / published:8.2f} rows/s")
    print(f"  one row at a time                             {options.rows / alone:8.2f} rows/s")
    print(f"  batch of {options.batch:<36} {options.rows / batched:8.2f} rows/s")
    for way, name in (("published", "the published way"), ("alone", "one row at a time")):
        ratios = [one / other for one, other in zip(seconds[way], seconds["batch"], strict=True)]
        print(f"  {statistics.median(ratios):.1f} times {name} ({min(ratios):.1f} to {max(ratios):.1f})")
    same = sum(found["published"][key] == found["alone"][key] == trace for key, trace in found["batch"].items())
    print(f"  the same answers and looks in {same} of {options.rows} rows")


class ReadAnew(RegionQueue):
    """Rows of which the engine keeps nothing between segments."""

    def take(self, most: int) -> list[Turn]:
        turns = super().take(most)
        for turn in turns:
            turn.read = None
        return turns


def run(engine, batch: int, rows: int, *, anew: bool = False) -> tuple[float, dict[str, Trace]]:
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
    kind = ReadAnew if anew else RegionQueue
    queue = kind(made, lambda row: found.__setitem__(row.key, row.trace()))
    engine.continue_turns(queue, looker.sampling(), STOPS)
    return time.perf_counter() - started, found


if __name__ == "__main__":
    main()
