"""A batch: one engine call, in numbers small enough to send anywhere, and what answers it.

The images stay in the pool: whoever answers a batch reads them itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rap_plugin.config import PoolConfig, RunConfig
from rap_plugin.engines.base import (
    Engine,
    GivesUp,
    MeasuresWhileSampling,
    Starts,
    Streams,
    not_measured,
    require_attention,
)
from rap_plugin.errors import Command, RapError, one_line
from rap_plugin.executors.prompts import make_prompt
from rap_plugin.rollout import Arm, Attention, Prompt, Request, Response, Sampling
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Sample


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What a batch asks of one sample."""

    sample: int
    """Its number in the store."""
    row: int
    id: str
    rollouts: tuple[int, ...]
    """Indices of the rollouts to sample, or of the stored ones to measure."""
    partner: tuple[int, str] | None = None
    """Row and id of the sample whose images it gets, under intervention shuffle."""
    token_ids: tuple[tuple[int, ...], ...] = ()
    """Per rollout the stored response, where its attention is to be measured."""
    tokens: int = 0
    """Of its prompts and longest responses, all rollouts together, as far as is known before."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One engine call."""

    arm: Arm
    items: tuple[BatchItem, ...]
    window: tuple[int, ...]
    """Rows of the pool that this batch and its neighbours need: read in one go, kept for the neighbours."""
    measure: bool = False
    """Measure the attention of stored responses instead of sampling."""
    deaths: int = 0
    """Worker processes that died over it."""

    @property
    def tokens(self) -> int:
        """At most so many are at work with it, by the plan's estimate."""
        return sum(item.tokens for item in self.items)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """An answered batch: per item, one response and one measurement per rollout."""

    batch: Batch
    responses: list[list[Response]] = field(default_factory=list)
    """Empty where the batch only measures."""
    attention: list[list[Attention | None]] = field(default_factory=list)
    """Empty where nothing was measured; None for a response that was not seen and needs a pass of its own."""
    seconds: float = 0.0
    """Of the engine call, or since the engine's last answer where it works on many batches at a time."""


def make_sampling(config: RunConfig) -> Sampling:
    """The engine's view of the sampling settings."""
    settings = config.sampling
    return Sampling(
        settings.temperature, settings.top_p, settings.max_prompt_tokens, settings.max_new_tokens, settings.seed
    )


def start_engine(engine: Engine, config: RunConfig) -> float:
    """Gets an engine ready to answer; returns the seconds. Raises RapError where it cannot do what is configured."""
    started = time.perf_counter()
    if isinstance(engine, GivesUp):
        engine.answer_within_s = config.execution.answer_within_s
    if isinstance(engine, Streams):
        engine.begin(make_sampling(config))
    elif isinstance(engine, Starts):
        engine.start()
    if config.measures_attention:
        require_attention(engine, make_sampling(config))
    return time.perf_counter() - started


CHUNK = 64
"""Samples read at a time where all of them are."""


class SampleReader:
    """The samples of batches, with the last window kept in memory."""

    def __init__(self, pool: Pool, config: PoolConfig, formats: Mapping[str, Any]) -> None:
        self._pool = pool
        self._config = config
        self._formats = formats
        self._window: tuple[int, ...] = ()
        self._samples: dict[int, Sample] = {}

    def samples(self, batch: Batch) -> list[Sample]:
        """One per item, in order. Raises RapError for a row that is not what it was."""
        if batch.window != self._window:
            self._window, self._samples = (), {}  # never two windows in memory
            loaded = load_samples(self._pool, self._config, batch.window, self._formats)
            self._window, self._samples = batch.window, {sample.row: sample for sample in loaded}
        return [self._same(self._samples[item.row], item.id) for item in batch.items]

    def all(self, rows: Iterable[int]) -> Iterator[Sample]:
        """The samples of these rows, a few in memory at a time."""
        wanted = list(rows)
        for start in range(0, len(wanted), CHUNK):
            yield from load_samples(self._pool, self._config, wanted[start : start + CHUNK], self._formats)

    def partners(self, batch: Batch) -> list[Sample | None]:
        """Per item the sample whose images it gets, None where it keeps or drops its own."""
        wanted = sorted({item.partner for item in batch.items if item.partner is not None})
        found = dict(zip(wanted, self.read(wanted), strict=True))
        return [found[item.partner] if item.partner else None for item in batch.items]

    def read(self, wanted: Sequence[tuple[int, str]]) -> list[Sample]:
        """Samples by row and id, read now and not kept."""
        loaded = load_samples(self._pool, self._config, [row for row, _ in wanted], self._formats) if wanted else []
        return [self._same(sample, known) for (_, known), sample in zip(wanted, loaded, strict=True)]

    def _same(self, sample: Sample, known: str) -> Sample:
        if sample.id != known:
            raise RapError(
                f"{self._pool.path}: row {sample.row} is not what it was when the pool was read; run ",
                Command("rap select"),
                " again",
            )
        return sample


def make_prompts(
    batch: Batch, samples: Sequence[Sample], partners: Sequence[Sample | None], config: RunConfig
) -> list[Prompt]:
    """One prompt per item, with its images decoded."""
    return [
        make_prompt(sample, batch.arm, config.prompt, partner)
        for sample, partner in zip(samples, partners, strict=True)
    ]


def requests_of(batch: Batch, prompts: Sequence[Prompt]) -> list[Request]:
    """What is asked of the engine, one per item."""
    return [Request(prompt, item.rollouts) for prompt, item in zip(prompts, batch.items, strict=True)]


def wants_attention(batch: Batch, engine: Engine, config: RunConfig) -> bool:
    """Whether attention is to be measured in the pass that samples."""
    return batch.arm == "image" and config.measures_attention and engine.measures_attention


@contextmanager
def named_errors(engine: Engine) -> Iterator[None]:
    """What the engine raises inside is one line that names it."""
    try:
        yield
    except RapError:
        raise
    except Exception as error:
        kind = type(error).__name__
        raise RapError(f"engine {engine.name} failed: {kind}: {one_line(error)}; stored rollouts are kept") from error


def answer(batch: Batch, prompts: Sequence[Prompt], engine: Engine, config: RunConfig) -> BatchResult:
    """Calls the engine, once."""
    with named_errors(engine):
        return _asked(batch, prompts, engine, make_sampling(config), config)


def _asked(
    batch: Batch, prompts: Sequence[Prompt], engine: Engine, sampling: Sampling, config: RunConfig
) -> BatchResult:
    """The engine's answer, in the numbers that were asked for."""
    started = time.perf_counter()
    attention: list[list[Attention | None]]
    if batch.measure:
        stored: list[tuple[Prompt, Any]] = [
            (prompt, item.token_ids) for prompt, item in zip(prompts, batch.items, strict=True)
        ]
        attention = [list(row) for row in engine.attention(stored, sampling)]
        require_numbers(batch, [len(row) for row in attention])
        return BatchResult(batch, [], attention, time.perf_counter() - started)
    requests = requests_of(batch, prompts)
    if wants_attention(batch, engine, config) and isinstance(engine, MeasuresWhileSampling):
        pairs = engine.generate_with_attention(requests, sampling)
        responses = [[response for response, _ in row] for row in pairs]
        attention = [[seen for _, seen in row] for row in pairs]
    else:
        responses, attention = engine.generate(requests, sampling), []
    require_numbers(batch, [len(row) for row in responses])
    require_responses(response for row in responses for response in row)
    return BatchResult(batch, responses, attention, time.perf_counter() - started)


def require_responses(answers: Iterable[Any]) -> None:
    """Raises TypeError where an engine, a plugin's perhaps, gave something else than responses."""
    for answer in answers:
        if not isinstance(answer, Response):
            raise TypeError(f"an answer is no Response but {type(answer).__name__}")


def require_numbers(batch: Batch, given: list[int]) -> None:
    """Raises ValueError where an engine gave another number of answers than it was asked for."""
    wanted = [len(item.rollouts) for item in batch.items]
    if given != wanted:
        raise ValueError(
            f"{sum(given)} answers in {len(given)} rows for {sum(wanted)} rollouts of {len(wanted)} samples"
        )


def failed_result(batch: Batch, reason: str) -> BatchResult:
    """The answer to a batch that nobody can answer: every rollout says why."""
    if batch.measure:
        return BatchResult(batch, [], [[not_measured(reason) for _ in item.rollouts] for item in batch.items])
    return BatchResult(
        batch,
        [[Response(i, status="engine_error", error=reason) for i in item.rollouts] for item in batch.items],
    )


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """A batch of several items as two."""
    middle = len(batch.items) // 2
    return replace(batch, items=batch.items[:middle]), replace(batch, items=batch.items[middle:])
