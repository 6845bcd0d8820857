"""A pool as OpenRLHF's chat data: one JSON line a problem, images as files beside it.

    python prepare_data.py hiyouga/geometry3k data/geometry3k
    python prepare_data.py hiyouga/geometry3k data/geometry3k-test --split test
    python prepare_data.py FanqingM/MMK12 data/mmk12
    python prepare_data.py download/MM-Eureka-Dataset/dataset.jsonl data/mm-eureka

Reads every pool that `rap select` reads: hub ids, files and folders. Writes OUT/train.jsonl with the columns prompt (question
+ " " + an instruction), label, images (absolute paths: OpenRLHF's workers have a working directory of their own) and
datasource. Rows that cannot be used are counted by reason, and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.exports.files import write_image, write_jsonl
from rap_plugin.plugins import get_plugins
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Quarantined

INSTRUCTION = "First think inside <think></think>, then put the final answer in \\boxed{}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", help="hub id, file or folder")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--split", help="split of a hub id or folder [train]")
    parser.add_argument("--limit", type=int, help="the first N rows only")
    parser.add_argument("--image_root", help="folder that relative image paths start from [the pool's]")
    parser.add_argument("--instruction", default=INSTRUCTION, help="put behind every question [%(default)s]")
    options = parser.parse_args()
    config = PoolConfig(
        path=options.pool,
        split=options.split,
        limit=options.limit,
        image_root=options.image_root,
        allow_urls=True,
        own_instruction="remove",
    )
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    left_out: Counter[str] = Counter()
    most = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal most
        for item in ingest(open_pool(config), config, formats=get_plugins().registry().things["formats"]):
            if isinstance(item, Quarantined):
                left_out[item.status] += 1
                continue
            most = max(most, len(item.images))
            yield {
                "prompt": [{"role": "user", "content": f"{item.question} {options.instruction}"}],
                "label": item.gold,
                "images": [str(out / write_image(out, data)) for data in item.images],
                "datasource": item.source or Path(options.pool).stem,
            }

    try:
        count = write_jsonl(out / "train.jsonl", rows())
    except RapError as error:
        sys.exit(f"prepare_data: {error}")
    print(f"{count} rows in {out / 'train.jsonl'}, at most {most} images a row")
    for status, number in left_out.most_common():
        print(f"{number} rows left out: {status}")


if __name__ == "__main__":
    main()
