"""What every engine is: something that samples a model and measures its attention."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from rap_plugin.errors import Option, RapError, one_line
from rap_plugin.evidence.variants import STATISTIC_COLUMNS, Variant
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling, TokenAttention

log = logging.getLogger(__name__)


@runtime_checkable
class Engine(Protocol):
    """Samples a model, and measures attention where it can.

    `generate` returns one list per request, in order, one response per wanted rollout, in order. It never
    raises for one bad request: that request's responses carry a status. The draws of a rollout depend only on
    `rollout_seed(...)` and the model, not on what else is in the batch.
    `attention` takes a prompt with the token ids of some of its responses, and returns one list per
    prompt, one `Attention` per response. Five abilities are optional: see `Starts`, `Streams`,
    `MeasuresWhileSampling`, `ChecksAttention` and `GivesUp`.
    """

    name: str
    identity: ModelIdentity
    """Known without loading the weights: opening an engine is cheap, the first call loads it."""
    measures_attention: bool
    batch_size: int
    """Responses that `generate` is best handed at a time, unless the user says otherwise."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]: ...

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]: ...

    def close(self) -> None: ...


PARTS = ("name", "identity", "measures_attention", "batch_size", "generate", "attention", "close")
"""What every engine has."""


def require_engine(engine: Any, name: str) -> Engine:
    """The engine. Raises RapError for what a plugin gave that is none."""
    if lacking := [part for part in PARTS if not hasattr(engine, part)]:
        raise RapError(f"engine {name!r}: {type(engine).__name__} is no engine, it lacks {', '.join(lacking)}")
    return engine  # type: ignore[no-any-return]


@contextmanager
def closed_at_end(engine: Engine) -> Iterator[Engine]:
    """Closes the engine at the end; one that cannot be closed is told, and what was made with it stays."""
    try:
        yield engine
    finally:
        try:
            engine.close()
        except Exception as error:
            log.warning("rap: engine %s could not be closed (%s)", engine.name, one_line(error))


@runtime_checkable
class Starts(Protocol):
    """An engine that can be told to load its model, so that this time is not booked to the first batch."""

    def start(self) -> None:
        """Loads what the first call would load; does nothing the second time."""
        ...


@runtime_checkable
class MeasuresWhileSampling(Protocol):
    """An engine that measures attention in the pass that samples."""

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, each response with its attention."""
        ...


@runtime_checkable
class Streams(Engine, Protocol):
    """An engine that takes prompts while it works on others, so that it never waits for the slowest of a batch.

    Everything is called from one thread but `prepare`. Who hands in prompts bounds how many are at work; `batch_size`
    is then the number of responses that keeps all lanes busy.
    """

    lanes: int
    """Models behind this engine that work side by side; known after `begin`."""

    def begin(self, sampling: Sampling) -> None:
        """Gets ready for prompts and responses of these lengths; does nothing the second time."""
        ...

    def prepare(self, request: Request) -> Any:
        """What can be done for a prompt before its turn, in any thread; `submit` gets the result. Raises RapError alone."""
        ...

    def submit(self, lane: int, request: Request, prepared: Any, sampling: Sampling, *, measure: bool) -> Hashable:
        """Hands one prompt to a lane and returns its ticket."""
        ...

    def completed(self) -> list[tuple[Hashable, list[tuple[Response, Attention | None]]]]:
        """Works on, or waits, for a moment; returns what has ended, per ticket one entry per rollout in order.

        Attention is None where it is not measured, or was not seen and needs a pass of its own. Raises RapError when a
        lane is gone.
        """
        ...

    def abandon(self) -> None:
        """Drops whatever is at work."""
        ...


@runtime_checkable
class ChecksAttention(Protocol):
    """An engine that knows before sampling whether the model's attention can be measured."""

    def attention_problem(self, sampling: Sampling) -> str:
        """Loads the model; says why its attention cannot be measured, nothing where it can."""
        ...


@runtime_checkable
class ShowsTokens(Engine, Protocol):
    """An engine that can say on which tokens of a response the attention sits."""

    def token_attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling, variant: Variant
    ) -> list[list[TokenAttention | None]]:
        """As `attention`, token by token; None for a response that cannot be measured."""
        ...


@runtime_checkable
class GivesUp(Protocol):
    """An engine that notices when its model hangs: it raises RapError, or ends the process where the model runs in it."""

    answer_within_s: float
    """As `execution.answer_within_s`; set before `begin`."""


def require_attention(engine: Engine, sampling: Sampling) -> None:
    """Raises RapError, before anything is sampled, where attention is wanted and this model's cannot be measured.

    Going on without it would make another selection: that is the user's choice.
    """
    if not (engine.measures_attention and isinstance(engine, ChecksAttention)):
        return
    problem = engine.attention_problem(sampling)
    if problem:
        raise RapError(
            f"engine {engine.name} cannot measure this model's attention ({problem}); to decide without ACE, set ",
            Option("ace.enabled"),
            "=false",
        )


def not_measured(reason: str) -> Attention:
    """Every statistic None, and why."""
    return Attention(dict.fromkeys(STATISTIC_COLUMNS), reason)


def sample_all(
    engine: Streams, requests: Sequence[Request], sampling: Sampling, *, measure: bool
) -> list[list[tuple[Response, Attention | None]]]:
    """`generate` of an engine that streams: every prompt is handed in, lanes in turn, and all are waited for."""
    engine.begin(sampling)
    places: dict[Hashable, int] = {}
    rows: list[list[tuple[Response, Attention | None]]] = [[] for _ in requests]
    try:
        for at, request in enumerate(requests):
            ticket = engine.submit(at % engine.lanes, request, engine.prepare(request), sampling, measure=measure)
            places[ticket] = at
        while places:
            for ticket, row in engine.completed():
                rows[places.pop(ticket)] = row
    finally:
        if places:
            engine.abandon()
    return rows
