"""examples/original-path: the script runs as it is, on the embedded model and a part of its pool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("transformers", reason="the embedded model needs the extra hf")
pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "original-path" / "run.sh"


def test_the_whole_path_of_the_released_code_runs_and_both_ways_agree(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(SCRIPT)], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "original-path"

    pool = pq.read_table(out / "pool.parquet").to_pylist()
    assert len(pool) == 40
    for file in ("image.json", "txt.json"):
        rows = json.loads((out / "dumps" / file).read_text())
        groups = [(key, list(group)) for key, group in groupby(rows, key=lambda row: row["onlyid"])]
        assert [key for key, _ in groups] == [row["onlyid"] for row in pool]
        assert {len(group) for _, group in groups} == {5}
        assert {"id", "prompt", "answer", "question", "ground_truth", "reward", "response_length"} < set(rows[0])
        assert {row["reward"] for row in rows} <= {0.0, 0.1, 0.9, 1.0}

    assert "overlap 100.0%" in done.stdout
    easyr1 = pq.read_table(out / "easyr1" / "train.parquet").to_pylist()
    verl = pq.read_table(out / "verl" / "train.parquet").to_pylist()
    assert len(easyr1) >= 3
    assert [row["rap_id"] for row in easyr1] == [row["rap_id"] for row in verl]
    assert [row["problem"] for row in easyr1] == [row["prompt"][0]["content"] for row in verl]
    # By hand, from the dumps: a right and well formatted response is worth exactly 1.
    solved = [exact(out / "dumps" / file) for file in ("image.json", "txt.json")]
    gain = {key: solved[0][key] - solved[1][key] for key in solved[0]}
    chosen = pq.read_table(out / "run" / "selected.parquet").to_pylist()
    assert [row["rap_id"] for row in chosen] == [row["rap_id"] for row in easyr1]
    assert all(gain[row["onlyid"]] > 0.2 for row in chosen)

    about = json.loads((out / "imported" / "run.json").read_text())
    assert about["config"]["selection"]["preset"] == "paper", "the last step decides by the paper's rule"


def exact(dump: Path) -> dict[str, float]:
    """Share of rewards that are exactly 1, per onlyid."""
    rows = json.loads(dump.read_text())
    return {
        key: sum(row["reward"] == 1 for row in group) / 5 for key, group in groupby(rows, key=lambda row: row["onlyid"])
    }
