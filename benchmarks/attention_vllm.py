"""What ACE costs inside vLLM: sampling the demo pool's arms with and without attention, side by side.

    python benchmarks/attention_vllm.py [--samples 120] [--repeats 5]

Passes take turns in one process, each from an empty prefix cache: both arms sampled (`plain`), both arms sampled
with attention read on the way in the image arm (`measured`), and stored image responses measured by a prefill of their
own (`pass`). CPU seconds of the whole process, which runs vLLM too; ratios are to `plain`, medians over turns.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

# Read when vLLM is imported: one process and one thread, so that its CPU seconds count the work and no waiting.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pyarrow.parquet as pq
from PIL import Image

from rap_plugin.config import ModelConfig
from rap_plugin.demo import MODEL_DIR, POOL_PATH
from rap_plugin.engines.vllm.engine import open_vllm
from rap_plugin.rollout import Prompt, Request, Sampling

SAMPLING = Sampling(max_prompt_tokens=512, max_new_tokens=96)
ROLLOUTS = (0, 1, 2, 3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows = pq.read_table(POOL_PATH).slice(0, options.samples).to_pylist()
    image, blind = [request(row, "image") for row in rows], [request(row, "blind") for row in rows]
    engine = open_vllm(ModelConfig(id=str(MODEL_DIR), options={"kv_cache_gb": 0.5}))
    drawn = engine.generate_with_attention(image, SAMPLING)
    stored = [
        (asked.prompt, [response.token_ids for response, _ in row]) for asked, row in zip(image, drawn, strict=True)
    ]

    def seconds(work: Callable[[], Any]) -> float:
        engine._start(SAMPLING).llm.reset_prefix_cache()
        started = time.process_time()
        work()
        return time.process_time() - started

    plain, measured, own = [], [], []
    for _ in range(options.repeats):
        without = seconds(lambda: engine.generate(blind, SAMPLING))
        plain.append(without + seconds(lambda: engine.generate(image, SAMPLING)))
        measured.append(without + seconds(lambda: engine.generate_with_attention(image, SAMPLING)))
        own.append(seconds(lambda: engine.attention(stored, SAMPLING)))
    engine.close()
    tokens = sum(len(ids) for _, given in stored for ids in given)
    print(f"vllm, demo model, {len(rows)} samples x 2 arms x 5, {tokens} image response tokens, CPU float32")
    print(f"{'mode':>10} {'CPU s':>8} {'x plain':>8} {'lowest':>8} {'highest':>8}")
    for name, values in (("plain", plain), ("measured", measured), ("pass", own)):
        ratios = [value / base for value, base in zip(values, plain, strict=True)]
        print(
            f"{name:>10} {statistics.median(values):>8.2f} {statistics.median(ratios):>8.3f}"
            f" {min(ratios):>8.3f} {max(ratios):>8.3f}"
        )


def request(row: dict[str, Any], arm: Any) -> Request:
    """One arm of one row of the demo pool, the image dropped in the blind arm."""
    if arm == "blind":
        return Request(Prompt(row["id"], arm, row["problem"].replace("<image>", "")), ROLLOUTS)
    images = tuple(Image.open(io.BytesIO(image["bytes"])).convert("RGB") for image in row["images"])
    return Request(Prompt(row["id"], arm, row["problem"], images), ROLLOUTS)


if __name__ == "__main__":
    main()
