"""Rollout dumps in the form of RAP's released code, from the evidence of a run: image.json and txt.json.

    python dump_rollouts.py RUN POOL OUT

A flat list with M consecutive rows per problem, {onlyid, id, prompt, answer, question, ground_truth, reward,
response_length}. It stands in for that code's sampling script where there are no dumps yet.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from rap_plugin.pipeline.selection import load_selection

FILES = {"image": "image.json", "blind": "txt.json"}

ROLLOUTS = """
SELECT pool.row, samples.question, samples.gold, responses.text, rollouts.reward, rollouts.tokens
FROM rollouts
JOIN responses USING (sample, probe, rollout)
JOIN probes USING (probe)
JOIN samples USING (sample)
JOIN pool USING (sample)
WHERE probes.arm = ? ORDER BY pool.row, rollouts.rollout
"""


def dump_rollouts(run: Path, pool: Path, out: Path) -> None:
    """Writes both dumps. A response that could not be graded gets the reward 0 there, as that code gives it."""
    names = pq.read_table(pool, columns=["onlyid", "id"]).to_pylist()
    out.mkdir(parents=True, exist_ok=True)
    selection, store = load_selection(run)
    try:
        for arm, file in FILES.items():
            rows = [
                {
                    **names[row],
                    "prompt": f"{question} {selection.config.prompt.instruction}".strip(),
                    "answer": text,
                    "question": question,
                    "ground_truth": gold,
                    "reward": reward or 0.0,
                    "response_length": tokens,
                }
                for row, question, gold, text, reward, tokens in store.query(ROLLOUTS, (arm,))
            ]
            (out / file).write_text(json.dumps(rows), encoding="utf-8")
            print(f"{len(rows)} rollouts: {out / file}")
    finally:
        store.close()


if __name__ == "__main__":
    dump_rollouts(*map(Path, sys.argv[1:4]))
