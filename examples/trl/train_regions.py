"""Teach a model to look again, with TRL: SFT on interleaved rows, then R-GRPO; here the embedded model on digit scenes, in a few steps.

    python examples/trl/train_regions.py --out regions-run --steps 4

The same two trainers take any model that TRL and the `hf` engine take. `rap r3 build-data` makes the rows of a pool with known boxes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig, SFTConfig, SFTTrainer

from rap_plugin.cli import main as rap
from rap_plugin.trl_hooks.region_rewards import region_reward
from rap_plugin.trl_hooks.region_sft import SFT_SETTINGS, RegionCollator
from rap_plugin.trl_hooks.region_trainer import PUBLISHED, RegionGRPOTrainer, RegionRollouts
from rap_plugin.vlm_r3.loop import LoopOptions
from rap_plugin.vlm_r3.scenes import MODEL_DIR, make_scenes, pool_rows

HERE = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none", "save_strategy": "no"}
"""For a small model on a processor; leave it out elsewhere."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=str(MODEL_DIR), help="folder or hub id")
    parser.add_argument("--steps", type=int, default=4, help="of each of the two")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    # A pool with known boxes becomes interleaved rows: sft.jsonl and rl.jsonl with their pictures.
    pool = args.out / "pool.parquet"
    pq.write_table(pa.Table.from_pylist(pool_rows(make_scenes(48, "train", seed=9))), pool)
    data = args.out / "data"
    try:
        rap(["r3", "build-data", str(pool), "--out", str(data)])
    except SystemExit as done:
        if done.code:
            raise

    processor = AutoProcessor.from_pretrained(args.model)
    model = AutoModelForImageTextToText.from_pretrained(args.model, dtype="float32")

    taught = [json.loads(line) for line in (data / "sft.jsonl").read_text().splitlines()]
    collate = RegionCollator(processor, model, root=data)
    if bad := collate.problems(taught):
        raise SystemExit(f"{len(bad)} rows cannot be trained on; the first: {next(iter(bad.items()))}")
    SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(args.out / "sft"), max_steps=args.steps, per_device_train_batch_size=8, learning_rate=1e-5,
            logging_steps=1, **HERE, **SFT_SETTINGS,
        ),
        train_dataset=datasets.Dataset.from_list(taught),
        data_collator=collate,
        processing_class=processor,
    ).train()  # fmt: skip

    asked = [json.loads(line) for line in (data / "rl.jsonl").read_text().splitlines()]
    rows = datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row["question"]}],
                "image": str(data / row["image_path"]),
                "answer": row["answer"],
            }
            for row in asked
        ]
    ).cast_column("image", datasets.Image())
    trainer = RegionGRPOTrainer(
        model=model,
        reward_funcs=[region_reward("released")],
        args=GRPOConfig(
            output_dir=str(args.out / "rl"), max_steps=args.steps, per_device_train_batch_size=20, learning_rate=1e-5,
            max_completion_length=96, logging_steps=1, **HERE, **PUBLISHED,
        ),
        train_dataset=rows,
        processing_class=processor,
        rollouts=RegionRollouts(loop=LoopOptions(max_new_tokens=96)),
    )  # fmt: skip
    trainer.train()
    trainer.save_model(str(args.out / "model"))
    print(f"model: {args.out / 'model'}")


if __name__ == "__main__":
    main()
