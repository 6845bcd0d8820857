"""Batches and the executor in this process: what is asked, what is read, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rap_plugin.config import RunConfig
from rap_plugin.errors import RapError
from rap_plugin.executors import open_executor
from rap_plugin.executors.batches import Batch, BatchItem, BatchResult, SampleReader, answer, make_prompts
from rap_plugin.executors.local import LocalExecutor
from rap_plugin.plugins import get_plugins
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Sample
from tests.ability_engine import AbilityEngine
from tests.pipeline.test_select import make_config


@pytest.fixture
def config(write_pool) -> RunConfig:
    return make_config(write_pool(8))


@pytest.fixture
def reader(config: RunConfig) -> SampleReader:
    return SampleReader(open_pool(config.pool), config.pool, get_plugins().registry().things["formats"])


@pytest.fixture
def known(config: RunConfig) -> list[Sample]:
    found = ingest(open_pool(config.pool), config.pool, formats=get_plugins().registry().things["formats"])
    return [sample for sample in found if isinstance(sample, Sample)]


def make_batch(known: list[Sample], rows: tuple[int, ...], arm: Any = "image", **options: Any) -> Batch:
    items = tuple(BatchItem(row + 1, row, known[row].id, (0, 2), **options) for row in rows)
    return Batch(arm, items, tuple(range(len(known))))


def answered(batch: Batch, reader: SampleReader, config: RunConfig) -> BatchResult:
    prompts = make_prompts(batch, reader.samples(batch), reader.partners(batch), config)
    return answer(batch, prompts, AbilityEngine(config.model), config)


def test_an_answer_has_one_response_per_wanted_rollout_in_the_order_of_the_items(
    config: RunConfig, reader: SampleReader, known: list[Sample]
) -> None:
    result = answered(make_batch(known, (5, 1)), reader, config)
    assert [[response.rollout for response in row] for row in result.responses] == [[0, 2], [0, 2]]
    alone = answered(make_batch(known, (1,)), reader, config)
    assert alone.responses[0] == result.responses[1]  # what else is in a batch changes nothing


def test_a_measuring_batch_gives_one_attention_per_stored_response_and_samples_nothing(
    config: RunConfig, reader: SampleReader, known: list[Sample]
) -> None:
    item = BatchItem(3, 2, known[2].id, (0, 1), token_ids=((1, 0), (1, 1)))
    result = answered(Batch("image", (item,), (2,), measure=True), reader, config)
    assert result.responses == []
    assert len(result.attention[0]) == 2
    assert result.attention[0][0] != result.attention[0][1]


def test_a_reader_keeps_one_window_and_gives_partners_from_outside_it(
    reader: SampleReader, known: list[Sample]
) -> None:
    batch = Batch("blind", (BatchItem(1, 0, known[0].id, (0,), partner=(6, known[6].id)),), (0, 1))
    assert [sample.id for sample in reader.samples(batch)] == [known[0].id]
    assert [sample.id for sample in reader.partners(batch) if sample] == [known[6].id]


def test_a_row_that_changed_since_it_was_read_is_one_line_and_no_other_sample(
    config: RunConfig, reader: SampleReader, known: list[Sample]
) -> None:
    pool = Path(config.pool.path)
    pq.write_table(pq.read_table(pool).take([1, 0, 2, 3, 4, 5, 6, 7]), pool)
    fresh = SampleReader(open_pool(config.pool), config.pool, get_plugins().registry().things["formats"])
    with pytest.raises(RapError, match="row 0 is not what it was when the pool was read; run `rap select` again"):
        fresh.samples(make_batch(known, (0,)))


def test_an_engine_that_takes_batches_answers_in_order_while_the_next_prompts_are_built(
    config: RunConfig, reader: SampleReader, known: list[Sample]
) -> None:
    results = LocalExecutor(AbilityEngine(config.model), reader, config).run(make_batch(known, (n,)) for n in range(8))
    assert [result.batch.items[0].row for result in results] == list(range(8))


def test_several_workers_need_an_executor_that_has_them(config: RunConfig) -> None:
    two = config.model_copy(update={"execution": config.execution.model_copy(update={"workers": 2})})
    with pytest.raises(RapError, match="--workers 2 needs --executor ray"):
        open_executor(two, AbilityEngine(config.model), open_pool(config.pool), {})
