"""Probing: samples go to the engine, rollouts come to the store, grades follow.

The plan is a function of the pool alone, never of what is missing: windows of consecutive samples, sorted
by size inside, cut into batches. A restart therefore sees the batches that an undisturbed run would
have seen, skips the finished ones and repeats an unfinished one whole, so both end with the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import ARMS, Arm, Attention, Engine, Prompt, Request, Response, Sampling
from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore, LedgerEntry, PoolSample, ProbeKey
from rap_plugin.grading.base import GradeItem, Grader
from rap_plugin.progress import Advance, step
from rap_plugin.prompts import make_prompt, partners, prompt_hash
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Sample

WINDOW = 512
"""Samples whose images are in memory together: enough to sort by length, read from the file in one go."""

GRADE_BATCH = 2000
"""Responses graded between two commits."""


@dataclass(frozen=True)
class Prober:
    """What probing needs, opened once."""

    store: EvidenceStore
    pool: Pool
    config: RunConfig
    engine: Engine
    grader: Grader
    formats: Mapping[str, Any]
    hook: Any
    """The plugin manager's hook relay."""
    quiet: bool = False

    @property
    def sampling(self) -> Sampling:
        """The engine's view of the sampling settings."""
        return make_sampling(self.config)


def make_sampling(config: RunConfig) -> Sampling:
    """The engine's view of the sampling settings."""
    settings = config.sampling
    return Sampling(
        settings.temperature, settings.top_p, settings.max_prompt_tokens, settings.max_new_tokens, settings.seed
    )


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
            _sample(prober, probes, samples, wanted, grading, advance)
        if prober.config.ace.enabled and prober.engine.measures_attention:
            _measure(prober, probes["image"], samples)
    return missing


def _start(prober: Prober) -> None:
    """Starts an engine that can be told to, so that the ledger does not book its start to the first batch."""
    start = getattr(prober.engine, "start", None)
    if start is not None:
        started = time.perf_counter()
        start()
        prober.store.add_cost(LedgerEntry("start engine", time.perf_counter() - started))


def _sample(
    prober: Prober,
    probes: Mapping[Arm, int],
    samples: Sequence[PoolSample],
    wanted: Mapping[Arm, Mapping[int, int]],
    grading: ThreadPoolExecutor,
    advance: Advance,
) -> None:
    graded: Future[list[tuple[int, Sample]]] | None = None
    by_id = {sample.id: sample for sample in samples}
    partner_of = partners(list(by_id)) if prober.config.prompt.blind == "shuffle" else {}
    for window in _windows(samples):
        if not any(sample.sample in wanted[arm] for arm in ARMS for sample in window):
            continue
        loaded = _load(prober, window)
        for arm in ("blind", "image"):
            for batch in _batches(prober, window):
                asked = [(sample, wanted[arm][sample.sample]) for sample in batch if sample.sample in wanted[arm]]
                if not asked:
                    continue
                requests = []
                for sample, bits in asked:
                    partner = None
                    if partner_of and arm == "blind":
                        partner = _load(prober, [by_id[partner_of[sample.id]]])[partner_of[sample.id]]
                    prompt = make_prompt(loaded[sample.id], arm, prober.config.prompt, partner)
                    rollouts = tuple(i for i in range(bits.bit_length()) if bits >> i & 1)
                    requests.append(Request(prompt, rollouts))
                numbers = [sample.sample for sample, _ in asked]
                advance(_generate(prober, arm, probes[arm], numbers, requests))
                if graded is not None:
                    _announce(prober, probes, graded.result())
                done = [(sample.sample, loaded[sample.id]) for sample, _ in asked]
                # Graded while the engine samples the next batch.
                graded = grading.submit(_grade_now, prober, probes[arm], done)
    if graded is not None:
        _announce(prober, probes, graded.result())


def _generate(prober: Prober, arm: Arm, probe: int, numbers: Sequence[int], requests: Sequence[Request]) -> int:
    """One engine call, stored at once with its cost; returns the rollouts."""
    started = time.perf_counter()
    together = getattr(prober.engine, "generate_with_attention", None)
    attention: dict[tuple[int, int], Attention] = {}
    answers: list[list[Response]]
    if together is not None and arm == "image" and prober.config.ace.enabled and prober.engine.measures_attention:
        pairs = together(requests, prober.sampling)
        answers = [[response for response, _ in row] for row in pairs]
        for number, row in zip(numbers, pairs, strict=True):
            attention |= {(number, response.rollout): measured for response, measured in row}
    else:
        answers = prober.engine.generate(requests, prober.sampling)
    count = sum(map(len, answers))
    cost = LedgerEntry(
        f"sample {arm}",
        time.perf_counter() - started,
        count,
        sum(row[0].prompt_tokens for row in answers if row),
        sum(len(response.token_ids) for row in answers for response in row),
    )
    prober.store.add_rollouts(probe, list(zip(numbers, answers, strict=True)), attention, ledger=cost)
    return count


def _grade_now(prober: Prober, probe: int, samples: list[tuple[int, Sample]]) -> list[tuple[int, Sample]]:
    grade_pending(prober.store, prober.grader, [probe], samples=[number for number, _ in samples])
    return samples


def _announce(prober: Prober, probes: Mapping[Arm, int], samples: Sequence[tuple[int, Sample]]) -> None:
    if prober.hook.rap_sample_probed.get_hookimpls():
        for number, sample in samples:
            prober.hook.rap_sample_probed(sample=sample, rollouts=prober.store.records(probes, [number]))


def grade_pending(
    store: EvidenceStore, grader: Grader, probes: Sequence[int], *, samples: Sequence[int] | None = None
) -> int:
    """Grades every answered rollout that this grader has not graded yet; returns how many. Needs no engine."""
    total, after = 0, (-1, -1, -1)
    while batch := store.ungraded(probes, grader.id, samples=samples, after=after, limit=GRADE_BATCH):
        started = time.perf_counter()
        grades = grader.grade([GradeItem(*row[3:6], reward=row[6]) for row in batch])
        cost = LedgerEntry("grade", time.perf_counter() - started, len(batch))
        store.set_grades(grader.id, [(*row[:3], grade) for row, grade in zip(batch, grades, strict=True)], cost)
        after = batch[-1][:3]
        total += len(batch)
    return total


def _measure(prober: Prober, probe: int, samples: Sequence[PoolSample]) -> None:
    """Measures the attention of stored image rollouts that lack it, in a pass of its own."""
    wanted = prober.store.unmeasured(probe)
    total = sum(map(len, wanted.values()))
    with step("measure attention", total, "responses", quiet=prober.quiet) as advance:
        for window in _windows(samples):
            if not any(sample.sample in wanted for sample in window):
                continue
            loaded = _load(prober, window)
            for batch in _batches(prober, window):
                asked = [sample for sample in batch if sample.sample in wanted]
                if not asked:
                    continue
                started = time.perf_counter()
                prompts: list[tuple[Prompt, Sequence[Sequence[int]]]] = [
                    (
                        make_prompt(loaded[sample.id], "image", prober.config.prompt),
                        prober.store.token_ids(probe, sample.sample, wanted[sample.sample]),
                    )
                    for sample in asked
                ]
                measured = prober.engine.attention(prompts, prober.sampling)
                rows = [
                    (sample.sample, rollout, attention)
                    for sample, row in zip(asked, measured, strict=True)
                    for rollout, attention in zip(wanted[sample.sample], row, strict=True)
                ]
                cost = LedgerEntry("measure attention", time.perf_counter() - started, len(rows))
                prober.store.set_attention(probe, rows, cost)
                advance(len(rows))


def _windows(samples: Sequence[PoolSample]) -> Iterator[Sequence[PoolSample]]:
    for start in range(0, len(samples), WINDOW):
        yield samples[start : start + WINDOW]


def _batches(prober: Prober, window: Sequence[PoolSample]) -> Iterator[Sequence[PoolSample]]:
    """A window's samples, alike in size, in batches of about the wanted number of responses."""
    responses = prober.config.model.batch_size or prober.engine.batch_size
    size = max(1, responses // prober.config.sampling.rollouts)
    ordered = sorted(window, key=lambda sample: (sample.pixels, len(sample.question), sample.id))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _load(prober: Prober, samples: Sequence[PoolSample]) -> dict[str, Sample]:
    loaded = load_samples(prober.pool, prober.config.pool, [sample.row for sample in samples], prober.formats)
    for known, sample in zip(samples, loaded, strict=True):
        if known.id != sample.id:
            raise RapError(
                f"{prober.pool.path}: row {known.row} is not what it was when the pool was read; run `rap select` again"
            )
    return {sample.id: sample for sample in loaded}
