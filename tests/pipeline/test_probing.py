"""The number format that a model computes in is part of what names its evidence, also where only Ray's workers know it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from rap_plugin import RapError, RunConfig, decide_run, select_run
from rap_plugin.executors.batches import SampleReader
from rap_plugin.executors.local import LocalExecutor
from rap_plugin.pipeline.select import RunResult, select_with
from rap_plugin.plugins import get_plugins, load_plugin_files
from rap_plugin.samples.opening import open_pool
from tests.pipeline.test_select import make_config


class Elsewhere(LocalExecutor):
    """Answers here and says that it computes in `told`, as an executor does that knows only when its workers started."""

    told = "bfloat16"
    starts = 0

    def start(self) -> float | None:
        Elsewhere.starts += 1
        return super().start()

    @property
    def dtype(self) -> str:
        return self.told


def select_elsewhere(config: RunConfig, run: Path) -> RunResult:
    formats = get_plugins().registry().things["formats"]
    pool = open_pool(config.pool)
    load_plugin_files(config.plugins)
    engine = get_plugins().registry().get("engines", config.model.engine)(config.model)
    executor = Elsewhere(engine, SampleReader(pool, config.pool, formats), config)
    return select_with(engine, pool, config, run, executor=executor, extend=True, quiet=True)


def test_a_number_format_that_only_the_workers_know_enters_the_key_when_they_have_started(
    tmp_path: Path, write_pool, monkeypatch
) -> None:
    run = tmp_path / "run"
    pool = write_pool(8)
    config = make_config(pool, sampling__rollouts=2, execution__executor="ray", execution__workers=1)
    monkeypatch.setattr(Elsewhere, "starts", 0)
    assert select_elsewhere(config, run).sampled == 32
    with sqlite3.connect(run / "evidence.sqlite") as db:
        assert {json.loads(text)["dtype"] for (text,) in db.execute("SELECT settings FROM probes")} == {"bfloat16"}
    assert json.loads((run / "run.json").read_text())["model"]["dtype"] == "bfloat16"
    started = Elsewhere.starts
    assert select_elsewhere(config, run).sampled == 0
    assert Elsewhere.starts == started
    decide_run(run, config)
    monkeypatch.setattr(Elsewhere, "told", "float16")
    more = make_config(pool, sampling__rollouts=3, execution__executor="ray", execution__workers=1)
    with pytest.raises(RapError, match="sampled in bfloat16, the engine here computes in float16; say which"):
        select_elsewhere(more, run)


def test_the_number_format_of_an_older_run_is_learnt_without_sampling_again(tmp_path: Path, write_pool) -> None:
    run = tmp_path / "run"
    config = make_config(write_pool(8), sampling__rollouts=2, execution__executor="ray", execution__workers=1)
    select_elsewhere(config, run)
    with sqlite3.connect(run / "evidence.sqlite") as db:
        db.execute("UPDATE probes SET settings = json_remove(settings, '$.dtype')")
    assert select_elsewhere(config, run).sampled == 0
    local = make_config(config.pool.path, sampling__rollouts=2, model__dtype="bfloat16")
    assert select_run(local, run, extend=True, quiet=True).sampled == 0
    with sqlite3.connect(run / "evidence.sqlite") as db:
        assert {json.loads(text)["dtype"] for (text,) in db.execute("SELECT settings FROM probes")} == {"bfloat16"}
