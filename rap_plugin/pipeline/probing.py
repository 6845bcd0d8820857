"""Probing: samples go to the engine, rollouts come to the store, grades follow.

The plan is a function of the pool alone, never of what is missing: windows of consecutive samples, sorted
by size inside, cut into batches. A restart therefore sees the batches that an undisturbed run would
have seen, skips the finished ones and repeats an unfinished one whole, so both end with the same bytes.

An executor answers the batches, in this process or in several; everything is stored here, as it comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.evidence.records import LedgerEntry, PoolSample, ProbeKey
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.executors import Executor
from rap_plugin.executors.batches import Batch, BatchItem, BatchResult, SampleReader, make_sampling
from rap_plugin.executors.prompts import partners, prompt_hash
from rap_plugin.grading.base import Grader
from rap_plugin.pipeline.grading import grade_pending
from rap_plugin.progress import Advance, step
from rap_plugin.rollout import ARMS, Arm, Attention

WINDOW = 512
"""Samples whose images are in memory together: enough to sort by length, read from the file in one go."""


@dataclass(frozen=True)
class Prober:
    """What probing needs, opened once."""

    store: EvidenceStore
    config: RunConfig
    executor: Executor
    grader: Grader
    reader: SampleReader
    """For plugins that want to see the samples that were probed."""
    hook: Any
    """The plugin manager's hook relay."""
    quiet: bool = False


def probe_keys(config: RunConfig, identity: Any) -> dict[Arm, ProbeKey]:
    """The evidence keys of both arms under this configuration and model."""
    return {arm: ProbeKey.of(arm, prompt_hash(arm, config.prompt), identity, make_sampling(config)) for arm in ARMS}


def probe_pool(prober: Prober, probes: Mapping[Arm, int]) -> int:
    """Samples what is missing in both arms and measures attention; returns the rollouts sampled now.

    Fresh batches are graded on the way; `grade_pending` completes what an interrupted run left ungraded.
    """
    rollouts = prober.config.sampling.rollouts
    return _probe(prober, probes, dict.fromkeys(ARMS, rollouts), None, "sample rollouts")


def probe_waves(
    prober: Prober, probes: Mapping[Arm, int], waves: Sequence[tuple[Arm, int]], find_open: Callable[[], set[int]]
) -> int:
    """Samples wave after wave, each time only the samples that `find_open` still names; returns the rollouts.

    A wave (arm, n) brings them to n rollouts in that arm. What is open after the last wave is sampled to the end.
    """
    grade_pending(prober.store, prober.grader, list(probes.values()))
    rollouts = prober.config.sampling.rollouts
    total = 0
    for arm, goal in (*waves, ("image", rollouts), ("blind", rollouts)):
        still_open = find_open()
        if not still_open:
            break
        total += _probe(prober, probes, {arm: goal}, still_open, f"{arm} arm to {goal}")
    return total


def _probe(
    prober: Prober, probes: Mapping[Arm, int], goals: Mapping[Arm, int], only: set[int] | None, name: str
) -> int:
    samples = [sample for sample in prober.store.samples() if sample.images > 0]
    full = {arm: (1 << goals.get(arm, 0)) - 1 for arm in ARMS}
    finished = {arm: prober.store.finished(probes[arm]) for arm in ARMS}
    wanted = {
        arm: {
            sample.sample: bits
            for sample in samples
            if (only is None or sample.sample in only) and (bits := full[arm] & ~finished[arm].get(sample.sample, 0))
        }
        for arm in ARMS
    }
    missing = sum(bits.bit_count() for arm in ARMS for bits in wanted[arm].values())
    if missing:
        _start(prober)
    with ThreadPoolExecutor(1, "rap-grading") as grading:
        with step(name, missing, "rollouts", quiet=prober.quiet) as advance:
            _sample(prober, probes, _plan(prober, samples, wanted), grading, advance)
        if prober.config.ace.enabled and prober.executor.measures_attention:
            _measure(prober, probes["image"], samples)
    return missing


def _start(prober: Prober) -> None:
    seconds = prober.executor.start()
    if seconds is not None:
        prober.store.add_cost(LedgerEntry("start engine", seconds))


def _plan(prober: Prober, samples: Sequence[PoolSample], wanted: Mapping[Arm, Mapping[int, int]]) -> Iterator[Batch]:
    """The batches that sample what is wanted: per arm, bit sets of rollout indices by sample."""
    by_id = {sample.id: sample for sample in samples}
    partner_of = partners(list(by_id)) if prober.config.prompt.blind == "shuffle" else {}
    for window in _windows(samples):
        rows = tuple(sample.row for sample in window if any(sample.sample in wanted[arm] for arm in ARMS))
        for arm in ("blind", "image"):
            for group in _groups(prober, window):
                items = []
                for sample in group:
                    bits = wanted[arm].get(sample.sample, 0)
                    rollouts = tuple(i for i in range(bits.bit_length()) if bits >> i & 1)
                    partner = None
                    if partner_of and arm == "blind":
                        other = by_id[partner_of[sample.id]]
                        partner = (other.row, other.id)
                    if rollouts:
                        items.append(BatchItem(sample.sample, sample.row, sample.id, rollouts, partner))
                if items:
                    yield Batch(arm, tuple(items), rows)


def _sample(
    prober: Prober, probes: Mapping[Arm, int], plan: Iterator[Batch], grading: ThreadPoolExecutor, advance: Advance
) -> None:
    graded: Future[Batch] | None = None
    for done in prober.executor.run(plan):
        advance(_keep(prober, probes[done.batch.arm], done))
        if graded is not None:
            _announce(prober, probes, graded.result())
        # Graded while the engine samples the next batch.
        graded = grading.submit(_grade_now, prober, probes[done.batch.arm], done.batch)
    if graded is not None:
        _announce(prober, probes, graded.result())


def _keep(prober: Prober, probe: int, done: BatchResult) -> int:
    """Stores an answered batch with its cost; returns the rollouts."""
    items = done.batch.items
    attention: dict[tuple[int, int], Attention] = {}
    if done.attention:
        for item, responses, row in zip(items, done.responses, done.attention, strict=True):
            measured = zip(responses, row, strict=True)
            attention |= {(item.sample, response.rollout): one for response, one in measured}
    count = sum(map(len, done.responses))
    cost = LedgerEntry(
        f"sample {done.batch.arm}",
        done.seconds,
        count,
        sum(row[0].prompt_tokens for row in done.responses if row),
        sum(len(response.token_ids) for row in done.responses for response in row),
    )
    numbers = [item.sample for item in items]
    prober.store.add_rollouts(probe, list(zip(numbers, done.responses, strict=True)), attention, ledger=cost)
    return count


def _grade_now(prober: Prober, probe: int, batch: Batch) -> Batch:
    grade_pending(prober.store, prober.grader, [probe], samples=[item.sample for item in batch.items])
    return batch


def _announce(prober: Prober, probes: Mapping[Arm, int], batch: Batch) -> None:
    if prober.hook.rap_sample_probed.get_hookimpls():
        for item, sample in zip(batch.items, prober.reader.samples(batch), strict=True):
            prober.hook.rap_sample_probed(sample=sample, rollouts=prober.store.records(probes, [item.sample]))


def _measure(prober: Prober, probe: int, samples: Sequence[PoolSample]) -> None:
    """Measures the attention of stored image rollouts that lack it, in a pass of its own."""
    wanted = prober.store.unmeasured(probe)
    total = sum(map(len, wanted.values()))
    if not total:
        return
    _start(prober)
    with step("measure attention", total, "responses", quiet=prober.quiet) as advance:
        for done in prober.executor.run(_measure_plan(prober, probe, samples, wanted)):
            rows = [
                (item.sample, rollout, attention)
                for item, row in zip(done.batch.items, done.attention, strict=True)
                for rollout, attention in zip(item.rollouts, row, strict=True)
            ]
            prober.store.set_attention(probe, rows, LedgerEntry("measure attention", done.seconds, len(rows)))
            advance(len(rows))


def _measure_plan(
    prober: Prober, probe: int, samples: Sequence[PoolSample], wanted: Mapping[int, Sequence[int]]
) -> Iterator[Batch]:
    for window in _windows(samples):
        rows = tuple(sample.row for sample in window if sample.sample in wanted)
        for group in _groups(prober, window):
            items = tuple(
                BatchItem(
                    sample.sample,
                    sample.row,
                    sample.id,
                    tuple(rollouts),
                    token_ids=tuple(map(tuple, prober.store.token_ids(probe, sample.sample, rollouts))),
                )
                for sample in group
                if (rollouts := wanted.get(sample.sample))
            )
            if items:
                yield Batch("image", items, rows, measure=True)


def _windows(samples: Sequence[PoolSample]) -> Iterator[Sequence[PoolSample]]:
    for start in range(0, len(samples), WINDOW):
        yield samples[start : start + WINDOW]


def _groups(prober: Prober, window: Sequence[PoolSample]) -> Iterator[Sequence[PoolSample]]:
    """A window's samples, alike in size, in groups of about the wanted number of responses."""
    responses = prober.config.model.batch_size or prober.executor.batch_size
    size = max(1, responses // prober.config.sampling.rollouts)
    ordered = sorted(window, key=lambda sample: (sample.pixels, len(sample.question), sample.id))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
