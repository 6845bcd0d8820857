"""Does every fault as often as its table says and writes the table of docs/reliability.md.

    python -m tests.faults [--share 1.0] [--seed 0] [--only WORD]

`--share 0.1` does a tenth of each (at least one); `--only` writes nothing.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.kinds import FAULTS
from tests.faults.world import ROOT, Broken, Skipped, make_world

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    total, broken, started = 0, 0, time.monotonic()
    rows = ["| fault | times | held | killed | what held |", "| --- | ---: | ---: | ---: | --- |"]
    with tempfile.TemporaryDirectory() as place:
        world = make_world(Path(place) / "world")
        for fault in (fault for fault in FAULTS if options.only in fault.name):
            chance = random.Random(f"{options.seed} {fault.name}")
            held, kills, times = 0, 0, math.ceil(fault.times * options.share)
            for i in range(times):
                with tempfile.TemporaryDirectory(dir=place) as folder:
                    try:
                        kills += fault.do(world, Path(folder), chance)
                        held += 1
                    except Skipped as why:
                        print(f"{fault.name}: not done: {why}", flush=True)
                        times = 0
                        break
                    except Broken as what:
                        broken += 1
                        print(f"{fault.name}, number {i}: {str(what).strip()}", flush=True)
            print(f"{fault.name}: {held} of {times}, {kills} processes killed", flush=True)
            total += kills
            rows.append(
                f"| {fault.name} | {times or 'not done here'} | {held if times else ''} | {kills or ''} | {fault.held} |"
            )
    rows.append(f"| all | | | {total} | |")
    if not options.only:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(before + BEGIN + "\n".join(rows) + "\n" + END + after, encoding="utf-8")
    print(f"{total} processes killed, {time.monotonic() - started:.0f} s")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
