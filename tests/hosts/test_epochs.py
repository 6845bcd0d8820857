"""Optimizer steps, rollout batches and responses, before a training starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.errors import RapError
from rap_plugin.hosts.epochs import EpochPlan, describe_plan

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAPER = EpochPlan(batch=512, samples=5, mini_batch=128, epochs=15)
MM_EUREKA, GEOMETRY3K = (54_931, 5_159), (2_101, 210)


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[[tuple[int, int]], Path]:
    """`run_of((pool, selected))`: the files of a finished run that say how many rows there are."""

    def make(sizes: tuple[int, int]) -> Path:
        run = tmp_path / "run"
        run.mkdir()
        for name, rows in zip(("scores", "selected"), sizes, strict=True):
            pq.write_table(pa.table({"rap_row": pa.array(range(rows), pa.int64())}), run / f"{name}.parquet")
        (run / "cost.json").write_text(json.dumps({"total": {"rollouts": sizes[0] * 10}}))
        return run

    return make


@pytest.mark.parametrize(
    ("plan", "rows", "line"),
    [
        (PAPER, 5_159, "600 optimizer steps in 15 epochs: 150 rollout batches, 384,000 responses"),
        (PAPER, 54_931, "6,420 optimizer steps in 15 epochs: 1,605 rollout batches, 4,108,800 responses"),
        (PAPER, 512, "60 optimizer steps in 15 epochs: 15 rollout batches, 38,400 responses"),
        (PAPER, 511, "0 optimizer steps in 15 epochs: 0 rollout batches, 0 responses"),
        (EpochPlan(8, 4, 3, 1, passes=2), 17, "12 optimizer steps in 1 epoch: 2 rollout batches, 64 responses"),
        (EpochPlan(8, 4, 8, 3, most=4), 17, "4 optimizer steps in 3 epochs: 4 rollout batches, 128 responses"),
        (EpochPlan(8, 2, 8, 1), 8, "1 optimizer step in 1 epoch: 1 rollout batches, 16 responses"),
    ],
)
def test_steps_batches_and_responses(plan: EpochPlan, rows: int, line: str) -> None:
    assert plan.line(rows) == line


def test_a_run_that_is_not_finished_or_smaller_than_a_batch_is_one_line(
    run_of: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(RapError, match=r"the run is not finished \(there is no selected\.parquet\)"):
        describe_plan(tmp_path, PAPER, fills=True)
    run = run_of(GEOMETRY3K)
    with pytest.raises(RapError, match=r"210 rows are selected and a batch has 512, .*size_minimum=512` fills up"):
        describe_plan(run, PAPER, fills=False)
    assert describe_plan(run, PAPER, fills=True)[1:3] == [
        "selection: 210 of 2,101 usable rows (10.00%), filled up to 512 with the next best",
        "training on them: 60 optimizer steps in 15 epochs: 15 rollout batches, 38,400 responses",
    ]


def dry_run(script: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DRY_RUN": "1", **settings}
    command = ["bash", str(EXAMPLES / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_verls_script_says_what_the_published_pools_come_to(run_of: Callable[..., Path], tmp_path: Path) -> None:
    run = run_of(MM_EUREKA)
    files = {"RUN": str(run), "DATA": "pool.parquet", "VALIDATION": "test.parquet", "OUT": str(tmp_path / "out")}
    done = dry_run("verl/train.sh", "trainer.total_epochs=10", **files)
    assert done.stderr.splitlines() == [
        "rap: scoring, done: 549,310 responses",
        "rap: selection: 5,159 of 54,931 usable rows (9.39%)",
        "rap: training on them: 400 optimizer steps in 10 epochs: 100 rollout batches, 256,000 responses",
        "rap: training on every row: 4,280 optimizer steps in 10 epochs: 1,070 rollout batches, 2,739,200 responses",
    ]
    assert done.stdout.startswith("python\n-m\nverl.trainer.main_ppo\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        (MM_EUREKA, "rap: training on them: 600 optimizer steps in 15 epochs: 150 rollout batches, 384,000 responses"),
        (GEOMETRY3K, "210 rows are selected and a batch has 512, so there would be no step; `rap decide "),
    ],
    ids=["MM-Eureka", "geometry3k"],
)
def test_trls_script_says_it_too(
    run_of: Callable[..., Path], tmp_path: Path, sizes: tuple[int, int], line: str
) -> None:
    done = dry_run("trl/train.sh", str(run_of(sizes)), OUT=str(tmp_path / "out"))
    assert line in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if sizes == MM_EUREKA else 1)


def test_easyr1s_words_and_its_configuration_are_read_as_it_reads_them(run_of: Callable[..., Path]) -> None:
    plan = [sys.executable, "-m", "rap_plugin.verl_hooks.plan", "easyr1", str(run_of(MM_EUREKA))]
    words = [f"config={EXAMPLES / 'easyr1' / 'config.yaml'}", "trainer.total_epochs=1"]
    done = subprocess.run([*plan, *words], capture_output=True, text=True, check=True)
    line = "rap: training on them: 40 optimizer steps in 1 epoch: 10 rollout batches, 25,600 responses"
    assert line in done.stdout.splitlines()
    bad = subprocess.run([*plan, "trainer.total_epochs=many"], capture_output=True, text=True, check=False)
    assert bad.stderr == "rap: data.rollout_batch_size: is missing\n"
