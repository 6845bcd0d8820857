"""Selects with the embedded model, changes its weights, and selects again, as a training does: python reselect_twice.py OUT."""

from __future__ import annotations

import sys

import datasets
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from rap_plugin.demo import MODEL_DIR, POOL_PATH
from rap_plugin.trl_hooks import Reselection

ROWS = 6


def main(out: str) -> None:
    torch.manual_seed(0)
    pool = datasets.load_dataset("parquet", data_files=str(POOL_PATH), split=f"train[:{ROWS}]")
    rows = [
        {"prompt": [{"role": "user", "content": row["problem"].replace("<image>", "")}], "image": row["images"][0], "answer": row["answer"]}
        for row in pool
    ]  # fmt: skip
    model = AutoModelForImageTextToText.from_pretrained(MODEL_DIR)
    again = Reselection(
        datasets.Dataset.from_list(rows), model, out=out, processing_class=AutoProcessor.from_pretrained(MODEL_DIR),
        size=4, rollouts=2, max_new_tokens=8, quiet=True, selector="random", keep=0.5,
    )  # fmt: skip
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.01)
    again.select(model, 1)


if __name__ == "__main__":
    main(sys.argv[1])
