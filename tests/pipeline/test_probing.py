"""What names the evidence of a run: number format, whose images a shuffled arm shows, the recipe of its prompts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin import RapError, RunConfig, decide_run, select_run
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.executors.batches import SampleReader
from rap_plugin.executors.local import LocalExecutor
from rap_plugin.executors.partners import partners, partners_hash
from rap_plugin.executors.prompts import prompt_hash
from rap_plugin.pipeline.plan import shared_images
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


def edited(pool: Path, images: Callable[[int], int], question: Callable[[str], str] = str) -> Path:
    """The pool with other images, by row, and other questions."""
    table = pq.read_table(pool)
    rows = table.to_pylist()
    pictures = [row["images"] for row in rows]
    for number, row in enumerate(rows):
        count = question(row["problem"]).count("<image>")
        row |= {"images": pictures[images(number)] * count, "problem": question(row["problem"])}
    pq.write_table(pa.Table.from_pylist(rows, table.schema), pool)
    return pool


def test_under_shuffle_questions_on_one_image_get_another_image_and_decide_finds_them_again(
    tmp_path: Path, write_pool
) -> None:
    run = tmp_path / "run"
    config = make_config(edited(write_pool(12), lambda n: n // 3), sampling__rollouts=2, prompt__blind="shuffle")
    first = select_run(config, run, quiet=True)
    with closing(EvidenceStore(run / "evidence.sqlite", read_only=True)) as store:
        samples = store.samples()
        groups = shared_images(store, [sample.id for sample in samples])
    assert sorted(len(group) for group in groups) == [3, 3, 3, 3]
    row_of = {sample.id: sample.row for sample in samples}
    shown = partners([sample.id for sample in samples], groups)
    assert all(row_of[one] // 3 != row_of[other] // 3 for one, other in shown.items())
    assert decide_run(run, config).selection.decision.counts() == first.selection.decision.counts()
    assert select_run(config, run, quiet=True).sampled == 0


def test_under_shuffle_one_image_in_every_sample_is_refused(tmp_path: Path, write_pool) -> None:
    config = make_config(edited(write_pool(4), lambda n: 0), prompt__blind="shuffle")
    with pytest.raises(RapError, match="this pool shows the same image in every sample; take drop, blank or noise"):
        select_run(config, tmp_path / "run", quiet=True)


def test_a_shuffled_arm_of_an_older_rap_is_read_as_it_was_sampled(tmp_path: Path, write_pool) -> None:
    run = tmp_path / "run"
    config = make_config(edited(write_pool(12), lambda n: n // 3), sampling__rollouts=2, prompt__blind="shuffle")
    counts = select_run(config, run, quiet=True).selection.decision.counts()
    with sqlite3.connect(run / "evidence.sqlite") as db:
        ids = [name for (name,) in db.execute("SELECT id FROM samples")]
        db.execute(
            "UPDATE probes SET settings = json_set(settings, '$.partners', ?) WHERE arm = 'blind'",
            (partners_hash(ids),),
        )
        db.execute("DELETE FROM meta WHERE name = 'shared_images'")
    assert decide_run(run, config).selection.decision.counts() == counts
    assert select_run(config, run, quiet=True).sampled == 12 * 2  # the blind arm, with other partners


def test_placeholders_side_by_side_sample_the_blind_arm_again_and_older_evidence_is_still_decided_on(
    tmp_path: Path, write_pool
) -> None:
    run = tmp_path / "run"
    pool = edited(write_pool(12), int, lambda text: text.replace("<image>What", "Look <image><image> and say: what"))
    config = make_config(pool, sampling__rollouts=2)
    counts = select_run(config, run, quiet=True).selection.decision.counts()
    with sqlite3.connect(run / "evidence.sqlite") as db:
        db.execute("UPDATE probes SET prompt_hash = ? WHERE arm = 'blind'", (prompt_hash("blind", config.prompt),))
    assert decide_run(run, config).selection.decision.counts() == counts
    assert select_run(config, run, quiet=True).sampled == 12 * 2
    assert select_run(config, run, quiet=True).sampled == 0
