"""Runs of an older rap go on: decided, verified, continued and exported, with nothing sampled again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rap_plugin import decide_run, select_run
from rap_plugin.pipeline.verify import verify_run
from rap_plugin.run_dir.about import config_of, read_run
from tests.old_store import as_version_1
from tests.pipeline.test_select import make_config, verdicts


@pytest.fixture
def old(tmp_path: Path, write_pool) -> Path:
    """A run directory with the evidence, run.json and facts of the version before keys knew engine and processor."""
    config = make_config(write_pool(16), tmp_path / "log", sampling__rollouts=3)
    run = select_run(config, tmp_path / "run", quiet=True).run
    as_version_1(run / "evidence.sqlite")
    about = json.loads((run / "run.json").read_text())
    del about["pool"]
    for name in ("processor_hash", "dtype"):
        del about["model"][name]
    for section, name in (("sampling", "attempts"), ("model", "min_pixels"), ("model", "max_pixels")):
        del about["config"][section][name]
    about["config"]["ace"]["enabled"] = True
    (run / "run.json").write_text(json.dumps({**about, "schema_version": 1}))
    return run


def test_an_old_run_is_decided_and_verified(old: Path) -> None:
    before = verdicts(old)
    decide_run(old, config_of(read_run(old), old), report=True)
    assert verdicts(old) == before
    assert verify_run(old)


def test_an_old_run_is_continued_without_sampling_anything_again(old: Path, tmp_path: Path) -> None:
    asked = (tmp_path / "log").read_text()
    config = make_config(tmp_path / "pool.parquet", tmp_path / "log", sampling__rollouts=3)
    assert select_run(config, old, quiet=True).sampled == 0
    assert (tmp_path / "log").read_text() == asked
    more = make_config(tmp_path / "pool.parquet", tmp_path / "log", sampling__rollouts=4)
    assert select_run(more, old, quiet=True).sampled == 16 * 2


def test_old_evidence_is_not_taken_for_that_of_another_number_format(old: Path, tmp_path: Path) -> None:
    about = json.loads((old / "run.json").read_text())
    about["config"]["model"]["dtype"] = "float32"
    (old / "run.json").write_text(json.dumps(about))
    other = make_config(tmp_path / "pool.parquet", sampling__rollouts=3, model__dtype="bfloat16")
    assert select_run(other, old, extend=True, quiet=True).sampled == 16 * 2 * 3
