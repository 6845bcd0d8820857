"""Probing: samples go to the engine, rollouts come to the store, grades follow.

An executor answers the batches, in this process or in several, in any order; everything is stored and graded here, in
threads behind it, so that no engine waits for a disk or a grader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.errors import Command, Option, RapError
from rap_plugin.evidence.records import LedgerEntry, PoolSample, ProbeKey
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.executors import Executor
from rap_plugin.executors.batches import Batch, BatchItem, BatchResult, SampleReader, make_sampling
from rap_plugin.executors.partners import Groups, partners_hash
from rap_plugin.executors.prompts import prompt_hash, recipe_of
from rap_plugin.grading.base import Grader
from rap_plugin.pipeline.behind import Behind
from rap_plugin.pipeline.failures import FailureWatch
from rap_plugin.pipeline.grading import grade_pending
from rap_plugin.pipeline.plan import plan_measuring, plan_sampling, shared_images
from rap_plugin.pipeline.running import RunningVerdicts
from rap_plugin.plugins import get_plugins
from rap_plugin.progress import Advance, draws_bars, step
from rap_plugin.rollout import ARMS, Arm, Attention, ModelIdentity, Response

GRADED_TOGETHER = 10_000
"""Samples in one look-up of what is to be graded."""


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
    tried: Tried = field(default_factory=lambda: Tried())
    """What this run has asked for: a failure waits for the next run."""


Goals = Mapping[Arm, Mapping[int, int]]
"""By arm and number of a sample: rollouts that it is brought to."""


@dataclass(frozen=True)
class Tried:
    """Rollouts by sample as bit sets, of each arm and of the attention pass."""

    rollouts: dict[Arm, dict[int, int]] = field(default_factory=lambda: {arm: {} for arm in (*ARMS, "facts")})
    attention: dict[int, int] = field(default_factory=dict)


def probe_keys(
    config: RunConfig,
    identity: ModelIdentity,
    samples: Sequence[PoolSample] = (),
    groups: Groups = (),
    facts: str = "",
) -> dict[Arm, ProbeKey]:
    """The evidence keys of all arms under this configuration and model.

    `samples` are the pool's with images: their questions decide the recipe of the blind arm, and under intervention
    shuffle their ids and the `groups` that share an image decide who gets whose. `facts` names those of the whole pool.
    """
    ids = [sample.id for sample in samples]
    model = config.model
    settings = {"engine": model.engine, "min_pixels": model.min_pixels, "max_pixels": model.max_pixels}
    if model.dtype != "auto":
        identity = replace(identity, dtype=identity.dtype or model.dtype)
    keys: dict[Arm, ProbeKey] = {}
    for arm in arms_of_run(config):
        shuffled = arm == "blind" and config.prompt.blind == "shuffle" and ids
        keys[arm] = ProbeKey.of(
            arm,
            prompt_hash(arm, config.prompt, recipe_of(arm, config.prompt, (sample.question for sample in samples))),
            identity,
            make_sampling(config),
            **settings,
            partners=partners_hash(ids, groups) if shuffled else None,
            facts=facts if arm == "facts" else None,
        )
    return keys


def arms_of_run(config: RunConfig) -> tuple[Arm, ...]:
    """The arms that a run samples. Raises RapError where a host builds the prompts, which knows no facts."""
    if not config.reads_facts:
        return ARMS
    if config.prompt.host_recipe:
        raise RapError(
            Option("selection.selector"),
            " gap shows facts in words in rap's own prompts; select with ",
            Command("rap select"),
        )
    return (*ARMS, "facts")


FACTS = "facts"
"""Name in the store's table of facts: which facts in words the pool's samples have, as a hash."""


def find_probes(
    store: EvidenceStore, config: RunConfig, identity: ModelIdentity, *, make: bool = False
) -> dict[Arm, int]:
    """The probes of all arms by number. Where nothing was sampled, `make` begins one; else 0, which holds nothing.

    What an older rap sampled under an earlier recipe is found, too, where nothing is to be sampled.
    """
    samples = [sample for sample in store.samples() if sample.images > 0]
    shuffled = config.prompt.blind == "shuffle"
    groups = shared_images(store, [sample.id for sample in samples]) if shuffled else ()
    keys = probe_keys(config, identity, samples, groups, store.get_meta(FACTS) or "")
    if make:
        return {arm: store.probe(key) for arm, key in keys.items()}
    before = {arm: replace(key, prompt_hash=prompt_hash(arm, config.prompt)) for arm, key in keys.items()}
    return {arm: store.find_probe(key) or store.find_probe(before[arm]) or 0 for arm, key in keys.items()}


def probe_pool(prober: Prober, probes: Mapping[Arm, int]) -> int:
    """Samples what is missing in all arms and measures attention; returns the rollouts sampled now.

    Fresh batches are graded on the way; `grade_pending` completes what an interrupted run left ungraded.
    """
    numbers = [sample.sample for sample in prober.store.samples() if sample.images > 0]
    every = dict.fromkeys(numbers, prober.config.sampling.rollouts)
    return _probe(prober, probes, dict.fromkeys(probes, every), name="sample rollouts")


def probe_waves(
    prober: Prober, probes: Mapping[Arm, int], waves: Sequence[tuple[Arm, int]], find_open: Callable[[], set[int]]
) -> int:
    """Samples wave after wave, each time only the samples that `find_open` still names; returns the rollouts.

    A wave (arm, n) brings them to n rollouts in that arm. What is open after the last wave is sampled to the end.
    """
    grade_pending(prober.store, prober.grader, list(probes.values()))
    rollouts = prober.config.sampling.rollouts
    total = 0
    for arm, goal in (*waves, *((arm, rollouts) for arm in probes)):
        still_open = find_open() | _to_retry(prober, probes)
        if not still_open:
            break
        total += _probe(prober, probes, {arm: dict.fromkeys(still_open, goal)}, name=f"{arm} arm to {goal}")
    return total


def probe_instalments(prober: Prober, probes: Mapping[Arm, int], find_next: Callable[[], tuple[Goals, Goals]]) -> int:
    """Samples instalment after instalment until `find_next` names no further rollouts; returns the rollouts.

    It tells the goals of the instalment, and how many rollouts of each sample it asks for.
    """
    grade_pending(prober.store, prober.grader, list(probes.values()))
    total = number = 0
    # A rollout that has failed in this run waits for the next one: where nothing else is missing, the instalments end.
    while sampled := _probe(prober, probes, *find_next(), name=f"instalment {number + 1}"):
        total, number = total + sampled, number + 1
    return total


def _probe(prober: Prober, probes: Mapping[Arm, int], goals: Goals, asked: Goals | None = None, *, name: str) -> int:
    """Samples what is missing to these goals; returns the rollouts."""
    samples = [sample for sample in prober.store.samples() if sample.images > 0]
    attempts = prober.config.sampling.attempts
    finished = {arm: prober.store.finished(probes[arm], attempts) for arm in probes}
    wanted = {
        arm: {
            sample.sample: bits
            for sample in samples
            if (
                bits := ((1 << goals.get(arm, {}).get(sample.sample, 0)) - 1)
                & ~finished[arm].get(sample.sample, 0)
                & ~prober.tried.rollouts[arm].get(sample.sample, 0)
            )
        }
        for arm in probes
    }
    missing = sum(bits.bit_count() for by_sample in wanted.values() for bits in by_sample.values())
    if missing:
        _start(prober, probes)
    plan = plan_sampling(prober.store, prober.config, prober.executor, samples, wanted, asked)
    running = RunningVerdicts(prober.store, prober.config, probes)
    with step(name, missing, "rollouts", quiet=prober.quiet, below=running.line) as advance:
        _sample(prober, probes, plan, advance, running if draws_bars() and not prober.quiet else None)
    if prober.config.measures_attention and prober.executor.measures_attention:
        _measure(prober, probes["image"], samples)
    return missing


def _to_retry(prober: Prober, probes: Mapping[Arm, int]) -> set[int]:
    """Samples with a failed rollout that this run has yet to try: their verdict may rest on it."""
    found: set[int] = set()
    for arm, probe in probes.items():
        tried = prober.tried.rollouts[arm]
        failed = prober.store.failed(probe, prober.config.sampling.attempts)
        found |= {sample for sample, bits in failed.items() if bits & ~tried.get(sample, 0)}
    return found


def _start(prober: Prober, probes: Mapping[Arm, int]) -> None:
    """Starts what answers. Raises RapError where it computes in another number format than the evidence at hand."""
    seconds = prober.executor.start()
    if seconds is not None:
        prober.store.add_cost(LedgerEntry("start engine", seconds))
    dtype = prober.executor.dtype
    if not dtype:
        return
    for probe in probes.values():
        known = prober.store.settings(probe).get("dtype", dtype)
        if known != dtype:
            raise RapError(
                f"the stored responses were sampled in {known}, the engine here computes in {dtype}; say which you want with ",
                Option("model.dtype"),
            )
        prober.store.learn(probe, dtype=dtype)


def _sample(
    prober: Prober,
    probes: Mapping[Arm, int],
    plan: Iterator[Batch],
    advance: Advance,
    running: RunningVerdicts | None,
) -> None:
    watch = _watch(prober.store, probes)
    graded: SimpleQueue[list[BatchItem]] = SimpleQueue()

    def grade(results: list[BatchResult]) -> None:
        graded.put(_grade_now(prober, probes, results))
        if running:
            running.update()

    def keep(results: list[BatchResult]) -> None:
        _keep(prober, probes, results)
        for result in results:
            grading.put(result)

    # What is answered is stored whatever happens; grades can be made later. The engine is let go first, storing ends next.
    with (
        Behind(grade, "rap-grading", finish=False) as grading,
        Behind(keep, "rap-storing", finish=True) as storing,
        closing(prober.executor.run(plan)) as results,
    ):
        for done in results:
            storing.put(done)
            watch.see(done)
            advance(sum(map(len, done.responses)))
            _announce(prober, probes, graded)
    _announce(prober, probes, graded)
    watch.end()


def _watch(store: EvidenceStore, probes: Mapping[Arm, int]) -> FailureWatch:
    known = {arm: set(store.failed(probe)) for arm, probe in probes.items()}
    return FailureWatch(known, answered=store.has_answers(list(probes.values())))


def _keep(prober: Prober, probes: Mapping[Arm, int], results: Sequence[BatchResult]) -> None:
    """Stores answers with their cost, one commit per arm."""
    for arm in probes:
        rows: list[tuple[int, list[Response]]] = []
        attention: dict[tuple[int, int], Attention] = {}
        seconds = 0.0
        for done in (done for done in results if done.batch.arm == arm):
            seconds += done.seconds
            for at, (item, responses) in enumerate(zip(done.batch.items, done.responses, strict=True)):
                rows.append((item.sample, responses))
                _mark(prober.tried.rollouts[arm], item.sample, item.rollouts)
                seen = done.attention[at] if done.attention else []
                found = [(i, one) for i, one in zip(item.rollouts, seen, strict=bool(seen)) if one is not None]
                attention |= {(item.sample, rollout): one for rollout, one in found}
                _mark(prober.tried.attention, item.sample, [rollout for rollout, _ in found])
        if rows:
            answers = [response for _, responses in rows for response in responses]
            prompts = sum(responses[0].prompt_tokens for _, responses in rows if responses)
            tokens = sum(len(response.token_ids) for response in answers)
            cost = LedgerEntry(f"sample {arm}", seconds, len(answers), prompts, tokens)
            prober.store.add_rollouts(probes[arm], rows, attention, ledger=cost)


def _mark(tried: dict[int, int], sample: int, rollouts: Sequence[int]) -> None:
    tried[sample] = tried.get(sample, 0) | sum(1 << rollout for rollout in rollouts)


def _grade_now(prober: Prober, probes: Mapping[Arm, int], results: Sequence[BatchResult]) -> list[BatchItem]:
    """Grades what has just been stored; returns the items."""
    items = [item for done in results for item in done.batch.items]
    numbers = sorted({item.sample for item in items})
    for start in range(0, len(numbers), GRADED_TOGETHER):
        part = numbers[start : start + GRADED_TOGETHER]
        grade_pending(prober.store, prober.grader, list(probes.values()), samples=part)
    return items


def _announce(prober: Prober, probes: Mapping[Arm, int], graded: SimpleQueue[list[BatchItem]]) -> None:
    """Tells plugins of what has been graded since the last time; from this thread, as they expect."""
    listeners = prober.hook.rap_sample_probed.get_hookimpls()
    while True:
        try:
            items = graded.get_nowait()
        except Empty:
            return
        if listeners:
            wanted = sorted({(item.row, item.id) for item in items})
            samples = dict(zip(wanted, prober.reader.read(wanted), strict=True))
            for item in items:
                # The other arm's may be stored and wait for the grader, which works at the same time.
                stored = prober.store.records(probes, [item.sample])
                rollouts = [record for record in stored if record.grader == prober.grader.id or record.status != "ok"]
                get_plugins().tell("rap_sample_probed", sample=samples[item.row, item.id], rollouts=rollouts)


def _measure(prober: Prober, probe: int, samples: Sequence[PoolSample]) -> None:
    """Measures the attention of stored image rollouts that lack it, in a pass of its own."""
    tried = prober.tried.attention
    wanted = {
        sample: left
        for sample, rollouts in prober.store.unmeasured(probe, prober.config.sampling.attempts).items()
        if (left := [rollout for rollout in rollouts if not tried.get(sample, 0) >> rollout & 1])
    }
    total = sum(map(len, wanted.values()))
    if not total:
        return
    _start(prober, {"image": probe})
    plan = plan_measuring(prober.store, prober.config, prober.executor, probe, samples, wanted)
    with (
        step("measure attention", total, "responses", quiet=prober.quiet) as advance,
        closing(prober.executor.run(plan)) as results,
    ):
        for done in results:
            rows = [
                (item.sample, rollout, attention)
                for item, row in zip(done.batch.items, done.attention, strict=True)
                for rollout, attention in zip(item.rollouts, row, strict=True)
                if attention is not None
            ]
            prober.store.set_attention(probe, rows, LedgerEntry("measure attention", done.seconds, len(rows)))
            for item in done.batch.items:
                _mark(tried, item.sample, item.rollouts)
            advance(len(rows))
