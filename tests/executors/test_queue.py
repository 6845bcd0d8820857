"""Batches that wait for a worker: none is lost, none is answered twice, and only what kills is given up."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.executors.batches import Batch, BatchItem, failed_result, halves
from rap_plugin.executors.queue import COMPANY, BatchQueue
from tests.executors.sources import one_prompt


def make_batches(windows: int, per_window: int, size: int) -> list[Batch]:
    batches, number = [], 0
    for window in range(windows):
        rows = tuple(range(window * 100, window * 100 + per_window * size))
        for start in range(0, len(rows), size):
            items = tuple(BatchItem(row, row, f"id{row}", (0, 1)) for row in rows[start : start + size])
            batches.append(Batch("image" if number % 2 else "blind", items, rows))
            number += 1
    return batches


def test_a_worker_stays_in_its_window_and_helps_elsewhere_when_it_is_through() -> None:
    queue = BatchQueue(make_batches(2, 3, 2))
    first = queue.take(())
    second = queue.take(())
    assert first is not None
    assert second is not None
    assert first.window != second.window
    assert [queue.take(first.window).window for _ in range(2)] == [first.window] * 2  # type: ignore[union-attr]
    assert queue.take(first.window).window == second.window  # type: ignore[union-attr]
    assert queue
    assert queue.take(second.window) is not None
    assert not queue
    assert queue.take(()) is None


def test_the_stream_is_read_one_window_ahead_at_most() -> None:
    read = Counter()  # type: ignore[var-annotated]

    def stream():  # type: ignore[no-untyped-def]
        for batch in make_batches(5, 2, 1):
            read[batch.window] += 1
            yield batch

    queue = BatchQueue(stream())
    queue.take(())
    assert sum(read.values()) == 3  # a window of two, and the batch that shows its end


def test_a_batch_runs_again_as_it_was_and_is_halved_after_the_second_death() -> None:
    batches = make_batches(1, 2, 4)
    queue = BatchQueue(batches)
    one = queue.take(())
    assert one is not None
    queue.died(one)
    again = queue.take(())
    assert again is not None
    assert (again.items, again.deaths) == (one.items, 1)
    queue.died(again)
    other = queue.take(())
    assert other is not None
    assert other.items == batches[1].items  # the suspect waits behind everything else
    assert not queue.take((), beside=[batches[1]])  # what may kill runs alone
    parts = [queue.take(()), queue.take(())]
    assert [part.items for part in parts if part] == [one.items[:2], one.items[2:]]
    assert not queue


@settings(deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 7),
    st.sets(st.integers(0, 20), max_size=3),
    st.integers(0, 2**32),
)
def test_every_sample_is_answered_once_or_kills_alone(
    windows: int, per_window: int, size: int, poison: set[int], seed: int
) -> None:
    batches = make_batches(windows, per_window, size)
    everything = sorted(item.row for batch in batches for item in batch.items)
    queue, draws, answered = BatchQueue(batches), random.Random(seed), Counter[int]()
    held: list[Batch] = []
    while queue or held:
        if queue and (not held or draws.random() < 0.6):
            taken = queue.take(draws.choice([(), batches[0].window, batches[-1].window]))
            assert taken is not None
            held.append(taken)
            continue
        batch = held.pop(draws.randrange(len(held)))
        if any(item.row in poison for item in batch.items):
            queue.died(batch)
        elif not batch.deaths and draws.random() < 0.2:
            queue.died(batch)  # bystanders of a death, which then run alone
        else:
            answered.update(item.row for item in batch.items)
    killers = [item.row for batch in queue.killers for item in batch.items]
    assert sorted([*answered.elements(), *killers]) == everything
    assert set(killers) == poison & set(everything)


def test_only_what_has_room_is_handed_out_and_asking_again_reads_no_further() -> None:
    read = Counter()  # type: ignore[var-annotated]

    def stream():  # type: ignore[no-untyped-def]
        for number in range(6):
            read["batches"] += 1
            yield one_prompt(number, tokens=10)

    queue = BatchQueue(stream())
    for _ in range(5):
        assert queue.take((99,), room=9) is None
    assert read["batches"] == 2  # the window that comes next, and the batch that shows its end
    assert queue.take((99,), room=10) == one_prompt(0, tokens=10)
    assert queue


@settings(deadline=None)
@given(st.integers(1, 120), st.sets(st.integers(0, 119), max_size=3), st.integers(0, 2**32))
def test_where_many_batches_are_at_work_a_killer_is_narrowed_down_in_few_deaths(
    count: int, poison: set[int], seed: int
) -> None:
    queue, chance = BatchQueue(map(one_prompt, range(count)), COMPANY), random.Random(seed)
    workers: list[list[Batch]] = [[], []]
    answered, deaths, turns = Counter[int](), 0, 0
    while queue or any(workers):
        turns += 1
        assert turns < 50 * count + 100, "nobody gets what waits"
        at_work = chance.choice(workers)
        while len(at_work) < 100 and (batch := queue.take((), at_work)) is not None:
            assert not at_work or not batch.deaths or all(one.deaths for one in at_work)
            at_work.append(batch)
        if not at_work:
            continue
        done = at_work.pop(chance.randrange(len(at_work)))
        if done.items[0].row in poison:
            deaths += 1
            for batch in (done, *at_work):
                queue.died(batch, alone=not at_work)
            at_work.clear()
        else:
            answered[done.items[0].row] += 1
    killers = [batch.items[0].row for batch in queue.killers]
    assert sorted(killers) == sorted(poison & set(range(count)))
    assert sorted([*answered.elements(), *killers]) == list(range(count))
    assert deaths <= 6 * len(poison)


def test_halves_hold_everything_once_and_a_failed_batch_answers_for_every_rollout() -> None:
    batch = make_batches(1, 1, 5)[0]
    one, two = halves(batch)
    assert one.items + two.items == batch.items
    done = failed_result(batch, "died")
    assert [[r.status for r in row] for row in done.responses] == [["engine_error"] * 2] * 5
    assert {response.error for row in done.responses for response in row} == {"died"}
