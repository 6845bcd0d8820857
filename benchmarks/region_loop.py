"""The region loop in batches beside the loop that takes one row at a time: `python benchmarks/region_loop.py [--model DIR]`.

Same engine, same rows, same answers. Three ways: one row at a time as the published code does it, where every segment reads
the prompt, the turn and all pictures anew; one row at a time as we do it, where what was read is kept; and a batch. Without
--model, the tests' tiny model that asks for regions is trained first (seconds). Prints rows per second by the clock and by the
processor's own time, which other work on the machine changes less, the ratios, and whether all answers are the same.
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

Taken = tuple[float, float]
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
        taken: dict[str, list[Taken]] = {way: [] for way in WAYS}
        found: dict[str, dict[str, Trace]] = {}
        for round_ in range(options.rounds + 1):  # the first one warms up
            for way in WAYS:
                batch = options.batch if way == "batch" else 1
                one, found[way] = run(engine, batch, options.rows, anew=way == "published")
                if round_:
                    taken[way].append(one)
        engine.close()
    print(
        f"engine {options.engine}, {options.rows} rows, {sum(trace.crops for trace in found['batch'].values())} crops"
    )
    print(f"median of {options.rounds} rounds, and rounds side by side")
    for at, clock in enumerate(("by the clock", "by processor time")):
        seconds = {way: [one[at] for one in taken[way]] for way in WAYS}
        print(f"{clock}:")
        for way, name in (
            ("published", "one row at a time, read anew (as published)"),
            ("alone", "one row at a time"),
            ("batch", f"batch of {options.batch}"),
        ):
            print(f"  {name:<45} {options.rows / statistics.median(seconds[way]):8.2f} rows/s")
        for way, name in (("published", "the published way"), ("alone", "one row at a time")):
            ratios = [one / other for one, other in zip(seconds[way], seconds["batch"], strict=True)]
            print(f"  {statistics.median(ratios):.1f} times {name} ({min(ratios):.1f} to {max(ratios):.1f})")
    same = sum(found["published"][key] == found["alone"][key] == trace for key, trace in found["batch"].items())
    print(f"the same answers and looks in {same} of {options.rows} rows")


class ReadAnew(RegionQueue):
    """Rows of which the engine keeps nothing between segments."""

    def take(self, most: int) -> list[Turn]:
        turns = super().take(most)
        for turn in turns:
            turn.read = None
        return turns


def run(engine, batch: int, rows: int, *, anew: bool = False) -> tuple[Taken, dict[str, Trace]]:
    """Seconds by the clock and of the processor, and traces by key."""
    engine.batch_size = batch
    if hasattr(engine, "_batches"):
        engine._batches.batch_size = batch
    frame, found = frame_of(engine.vision()), {}
    made = [
        RegionRow.of(replace(looker.prompt(at % 16), sample_id=str(at)), frame, looker.loop_options(), seed=at)
        for at in range(rows)
    ]
    started, used = time.perf_counter(), time.process_time()
    kind = ReadAnew if anew else RegionQueue
    queue = kind(made, lambda row: found.__setitem__(row.key, row.trace()))
    engine.continue_turns(queue, looker.sampling(), STOPS)
    return (time.perf_counter() - started, time.process_time() - used), found


if __name__ == "__main__":
    main()
