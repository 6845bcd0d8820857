"""What every engine is: something that samples a model and measures its attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rap_plugin.errors import Option, RapError
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling


@runtime_checkable
class Engine(Protocol):
    """Samples a model, and measures attention where it can.

    `generate` returns one list per request, in order, one response per wanted rollout, in order. It never
    raises for one bad request: that request's responses carry a status. The draws of a rollout depend only on
    `rollout_seed(...)` and the model, not on what else is in the batch.
    `attention` takes a prompt with the token ids of some of its responses, and returns one list per
    prompt, one `Attention` per response. Three abilities are optional: see `Starts`,
    `MeasuresWhileSampling` and `ChecksAttention`.
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
class ChecksAttention(Protocol):
    """An engine that knows before sampling whether the model's attention can be measured."""

    def attention_problem(self, sampling: Sampling) -> str:
        """Loads the model; says why its attention cannot be measured, nothing where it can."""
        ...


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
