"""Feeding engines without a pause: the same bytes in any order, a bound that holds, and nothing lost or asked twice."""

from __future__ import annotations

import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin import RapError, RunConfig, load_config, select_run
from rap_plugin.executors.feed import Lane, feed, hand_out, tokens_in_flight
from rap_plugin.rollout import Request, Response, Sampling
from tests.executors.sources import ListSource, built, one_prompt

PLUGIN = str(Path(__file__).parents[1] / "stream_engine.py")
FILES = ("scores.parquet", "selected.parquet", "quarantine.parquet")


def make_config(pool: Path, **flags: Any) -> RunConfig:
    values = {"pool.path": str(pool), "model.id": "m", "model.engine": "stream", "plugins": [PLUGIN]}
    values |= {"grading.grader": "text", "selection.lambda_c": 0.3}
    return load_config(flags={**values, **{name.replace("__", "."): value for name, value in flags.items()}})


def files(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in FILES]


class LaneCounter:
    """Engines that end prompts in an order drawn by chance, and note how many tokens each lane has at work."""

    name = "counter"
    measures_attention = True

    def __init__(self, seed: int, tokens: dict[str, int], lanes: int = 3) -> None:
        self.lanes, self.chance, self.tokens = lanes, random.Random(seed), tokens
        self.at_work: dict[int, tuple[int, Request]] = {}
        self.most, self.together, self.abandoned = 0, 0, 0

    def prepare(self, request: Request) -> None:
        return None

    def load(self, lane: int) -> int:
        return sum(self.tokens[request.prompt.sample_id] for at, request in self.at_work.values() if at == lane)

    def submit(self, lane: int, request: Request, prepared: None, sampling: Sampling, *, measure: bool) -> int:
        ticket = self.chance.getrandbits(60)
        alone = not self.load(lane)
        self.at_work[ticket] = (lane, request)
        self.most = max(self.most, 0 if alone else self.load(lane))
        self.together = max(self.together, len(self.at_work))
        return ticket

    def completed(self) -> list[tuple[int, list[tuple[Response, None]]]]:
        ended = self.chance.sample(sorted(self.at_work), self.chance.randint(0, len(self.at_work)))
        rows = [(ticket, self.at_work.pop(ticket)[1]) for ticket in ended]
        return [
            (ticket, [(Response(i, request.prompt.sample_id), None) for i in request.rollouts])
            for ticket, request in rows
        ]

    def abandon(self) -> None:
        self.abandoned += 1
        self.at_work.clear()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 40), max_size=40),
    st.integers(1, 80),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 999),
)
def test_every_prompt_is_answered_once_and_no_lane_ever_has_more_tokens_than_the_bound(
    sizes: list[int], bound: int, lanes: int, late: int, seed: int
) -> None:
    batches = [one_prompt(number, tokens) for number, tokens in enumerate(sizes)]
    engine = LaneCounter(seed, {batch.items[0].id: batch.tokens for batch in batches}, lanes)
    results = list(feed(engine, ListSource(built(batches, engine), late and late + 1), RunConfig(), bound))  # type: ignore[arg-type]
    assert sorted(done.batch.items[0].row for done in results) == list(range(len(sizes)))
    for done in results:
        assert [response.text for response in done.responses[0]] == [done.batch.items[0].id] * 2
    assert engine.most <= bound  # a prompt that is larger than the bound had its lane for itself
    assert not engine.abandoned


def test_lanes_are_kept_full_while_there_is_work() -> None:
    engine = LaneCounter(1, dict.fromkeys((f"{n:032x}" for n in range(60)), 10))
    list(feed(engine, ListSource(built(map(one_prompt, range(60)), engine)), RunConfig(), 40))  # type: ignore[arg-type]
    assert engine.together == 3 * 4


def test_what_is_at_work_is_dropped_when_the_run_is_interrupted() -> None:
    engine = LaneCounter(2, dict.fromkeys((f"{n:032x}" for n in range(20)), 10))
    results = feed(engine, ListSource(built(map(one_prompt, range(20)), engine)), RunConfig(), 40)  # type: ignore[arg-type]
    next(results)
    results.close()
    assert engine.abandoned == 1
    assert not engine.at_work


def test_an_engine_that_raises_or_gives_another_number_of_answers_is_one_line_that_names_it() -> None:
    class Broken(LaneCounter):
        def completed(self) -> Any:
            if self.abandoned:
                return [(ticket, []) for ticket in self.at_work]
            raise ValueError("no such\nkernel")

    engine = Broken(1, {f"{0:032x}": 10})
    for message in (
        "engine counter failed: ValueError: .*no such; stored",
        "0 answers in 1 rows for 2 rollouts of 1 samples",
    ):
        with pytest.raises(RapError, match=message):
            list(feed(engine, ListSource(built([one_prompt(0)], engine)), RunConfig(), 40))  # type: ignore[arg-type]
    assert engine.abandoned


def test_seconds_of_answers_are_shares_of_the_time_that_went_by() -> None:
    engine = LaneCounter(1, dict.fromkeys((f"{n:032x}" for n in range(40)), 10))
    started = time.perf_counter()
    results = list(feed(engine, ListSource(built(map(one_prompt, range(40)), engine)), RunConfig(), 40))  # type: ignore[arg-type]
    assert 0 < sum(done.seconds for done in results) <= time.perf_counter() - started


def test_the_lane_with_the_least_to_do_is_asked_until_nobody_takes_more() -> None:
    lanes, order = [Lane(tokens=5), Lane(tokens=0), Lane(tokens=3)], []

    def give(lane: Lane) -> bool:
        if lane.tokens >= 6:
            return False
        order.append(lanes.index(lane))
        lane.tokens += 2
        return True

    hand_out(lanes, give)
    assert order == [1, 1, 2, 1, 0, 2]


def test_the_bound_is_the_configured_one_or_room_for_a_batch_of_the_longest() -> None:
    config = load_config(flags={"sampling.max_prompt_tokens": 100, "sampling.max_new_tokens": 28})
    assert tokens_in_flight(config, 512, lanes=4) == 128 * 128
    assert tokens_in_flight(load_config(flags={"model.batch_size": 8}, base=config), 512) == 8 * 128
    assert tokens_in_flight(load_config(flags={"model.batch_size": 8}, base=config), 512, lanes=64) == 128
    assert tokens_in_flight(load_config(flags={"execution.tokens_in_flight": 7}, base=config), 512) == 7


@pytest.fixture
def alone(tmp_path: Path, write_pool: Any) -> SimpleNamespace:
    """A pool, and the bytes of a run in which one prompt is at work at a time."""
    pool = write_pool(90)
    run = select_run(make_config(pool, execution__tokens_in_flight=1), tmp_path / "alone", quiet=True)
    return SimpleNamespace(pool=pool, run=run, files=files(run.run))


def test_any_order_of_answers_writes_the_bytes_of_a_run_with_one_prompt_at_a_time(
    alone: SimpleNamespace, tmp_path: Path
) -> None:
    for order, lanes, batch_size in ((1, 1, 30), (2, 3, 400), (3, 8, 90)):
        log = tmp_path / f"log{order}"
        options = {"order": order, "lanes": lanes, "log": str(log)}
        config = make_config(alone.pool, model__options=options, model__batch_size=batch_size)
        result = select_run(config, tmp_path / f"run{order}", quiet=True)
        assert files(result.run) == alone.files
        lines = log.read_text().splitlines()
        assert len(lines) == len(set(lines)) == result.sampled == 900


def test_curtailed_sampling_decides_the_same_in_any_order(tmp_path: Path, write_pool: Any) -> None:
    pool, flags = write_pool(70), {"selection__drm": False, "prompt__blind": "shuffle"}
    one = select_run(make_config(pool, execution__tokens_in_flight=1, **flags), tmp_path / "one", quiet=True)
    other = select_run(
        make_config(pool, model__options={"order": 5, "lanes": 4}, **flags), tmp_path / "other", quiet=True
    )
    assert one.sampled == other.sampled < 700
    assert files(one.run) == files(other.run)


def test_attention_that_was_not_seen_on_the_way_gets_a_pass_of_its_own(alone: SimpleNamespace, tmp_path: Path) -> None:
    log = tmp_path / "attention"
    options = {"unseen": 7, "lanes": 2, "attention_log": str(log)}
    result = select_run(make_config(alone.pool, model__options=options), tmp_path / "run", quiet=True)
    assert files(result.run) == alone.files
    assert None not in pq.read_table(result.run / "scores.parquet")["rap_log_psi"].to_pylist()
    assert len(log.read_text().splitlines()) == 450 + 450 // 7
    again = select_run(make_config(alone.pool, model__options=options), tmp_path / "run", quiet=True)
    assert again.sampled == 0
    assert len(log.read_text().splitlines()) == 450 + 450 // 7
