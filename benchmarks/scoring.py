"""What scoring the demo pool costs: the published practice against ours, one process each, in one run.

    python benchmarks/scoring.py                       # practice, hf, hf curtailed
    python benchmarks/scoring.py --vllm                # vLLM too (its CPU build, or a GPU)
    python benchmarks/scoring.py --limit 120           # a part of the pool

The practice: Transformers' `generate` with num_return_sequences = M for both arms in batches of `--batch` responses, then a
second, eager copy of the model that reads every image response with output_attentions=True, one after the other, from
which psi is reduced. Every figure includes loading; the ratio is practice / ours in wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROLLOUTS = 5
TOKENS = 64


def reduce_map(attention: Any, window: int = 10, sigma: float = 2.0) -> float:
    """log psi of (H, R, R) response attention: maximum over heads, rows renormalised, windows of rows."""
    rows = attention.amax(dim=0)[1:, 1:]
    logs = (sigma * rows / rows.sum(dim=-1, keepdim=True)).clamp_min(1e-30).log()
    width = min(window, len(logs))
    if width < 2:
        return float("nan")
    sums = logs.unfold(0, width, 1).sum(dim=-1)
    return max(float(sums[start, : start + 1].max()) for start in range(len(sums)))


def practice(limit: int, batch: int) -> dict[str, Any]:
    """The published way, on the same prompts, model and sampling settings."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rap_plugin.cli.demo import demo_config
    from rap_plugin.config import PromptConfig
    from rap_plugin.executors.prompts import make_prompt
    from rap_plugin.plugins import get_plugins
    from rap_plugin.rollout import ARMS
    from rap_plugin.samples.ingest import load_samples
    from rap_plugin.samples.opening import open_pool

    config = demo_config(limit)
    pool = open_pool(config.pool)
    formats = get_plugins().registry().things["formats"]
    samples = load_samples(pool, config.pool, list(range(min(limit, len(pool)))), formats)
    processor = AutoProcessor.from_pretrained(config.model.id)
    processor.tokenizer.padding_side = "left"
    model = AutoModelForImageTextToText.from_pretrained(config.model.id).eval()
    torch.manual_seed(0)
    tokens = 0
    answered: list[tuple[Any, Any]] = []
    for arm in ARMS:
        prompts = [make_prompt(sample, arm, PromptConfig()) for sample in samples]
        for start in range(0, len(prompts), max(1, batch // ROLLOUTS)):
            some = prompts[start : start + max(1, batch // ROLLOUTS)]
            texts = [
                processor.apply_chat_template(
                    [{"role": "user", "content": [{"type": "text", "text": prompt.text}]}],
                    add_generation_prompt=True,
                )
                for prompt in some
            ]
            images = [image for prompt in some for image in prompt.images] or None
            inputs = processor(text=texts, images=images, padding=True, return_tensors="pt")
            with torch.inference_mode():
                out = model.generate(
                    **inputs, do_sample=True, temperature=1.0, num_return_sequences=ROLLOUTS, max_new_tokens=TOKENS
                )
            new = out[:, inputs["input_ids"].shape[1] :]
            tokens += int((new != processor.tokenizer.pad_token_id).sum())
            processor.batch_decode(new, skip_special_tokens=True)
            if arm == "image":
                answered += [(some[row // ROLLOUTS], new[row]) for row in range(len(new))]
    sampled = time.perf_counter()
    eager = AutoModelForImageTextToText.from_pretrained(config.model.id, attn_implementation="eager").eval()
    for prompt, response in answered:
        text = processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "text", "text": prompt.text}]}], add_generation_prompt=True
        )
        inputs = processor(text=[text], images=list(prompt.images), return_tensors="pt")
        kept = response[response != processor.tokenizer.pad_token_id]
        length = inputs["input_ids"].shape[1]
        inputs["input_ids"] = torch.cat((inputs["input_ids"], kept[None]), dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            maps = eager(**inputs, output_attentions=True).attentions
        reduce_map(maps[-1][0, :, length:, length:])
    return {
        "tokens": tokens,
        "rollouts": len(samples) * 2 * ROLLOUTS,
        "attention_seconds": time.perf_counter() - sampled,
    }


def ours(limit: int, *options: str) -> dict[str, Any]:
    """`rap select` on the demo pool in this process."""
    from rap_plugin.cli.demo import demo_config
    from rap_plugin.config import load_config
    from rap_plugin.pipeline.select import select_run

    with tempfile.TemporaryDirectory() as folder:
        config = load_config(assignments=options, base=demo_config(limit))
        result = select_run(config, Path(folder) / "run", quiet=True)
        cost = json.loads((Path(folder) / "run" / "cost.json").read_text())
    verdicts = result.selection.decision.verdicts.tolist()
    return {"tokens": cost["total"]["response_tokens"], "rollouts": cost["total"]["rollouts"], "verdicts": verdicts}


WAYS = {
    "published practice": None,
    "hf": [],
    "hf --curtail": ["sampling.curtail=true"],
    "vllm": ["model.engine=vllm", "model.options={max_model_len: 512}"],
    "vllm --curtail": ["model.engine=vllm", "model.options={max_model_len: 512}", "sampling.curtail=true"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=720)
    parser.add_argument("--batch", type=int, default=64, help="responses per call of the practice")
    parser.add_argument("--vllm", action="store_true")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        options = WAYS[arguments.way]
        found = practice(arguments.limit, arguments.batch) if options is None else ours(arguments.limit, *options)
        print(json.dumps(found))
        return
    rows = []
    for way in WAYS:
        if way.startswith("vllm") and not arguments.vllm:
            continue
        command = [sys.executable, "-W", "ignore", __file__, "--way", way, "--limit", str(arguments.limit)]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--batch", str(arguments.batch)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "VLLM_CPU_KVCACHE_SPACE": "1"},
        )
        rows.append((way, time.perf_counter() - started, json.loads(done.stdout.splitlines()[-1])))
    base = rows[0][1]
    full = {way: found.get("verdicts") for way, _, found in rows}
    print(f"{'':<20} {'seconds':>8} {'ratio':>6} {'rollouts':>9} {'tokens':>9}  verdicts")
    for way, seconds, found in rows:
        plain = full.get(way.removesuffix(" --curtail"))
        same = "" if not way.endswith("--curtail") else "all equal" if found["verdicts"] == plain else "DIFFERENT"
        line = (
            f"{way:<20} {seconds:>8.1f} {base / seconds:>5.1f}x {found['rollouts']:>9,} {found['tokens']:>9,}  {same}"
        )
        print(line.rstrip())


if __name__ == "__main__":
    main()
