"""What the store takes and gives: keys, stored rollouts, samples of the pool, entries of the cost ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.rollout import Arm, Attention, ModelIdentity, Sampling


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """The part of the evidence key that all rollouts of one arm of a run share."""

    arm: Arm
    prompt_hash: str
    model_revision: str
    sampling: str
    """Canonical JSON of the settings that change the distribution of responses."""
    seed: int
    settings: Mapping[str, str | int] = field(default_factory=dict)
    """What else an answer depends on, as far as it is known: engine, dtype, processor_hash, min_pixels, max_pixels,
    and whose images a shuffled blind arm gets (partners)."""

    @staticmethod
    def of(
        arm: Arm,
        prompt_hash: str,
        identity: ModelIdentity,
        sampling: Sampling,
        **settings: str | int | None,
    ) -> ProbeKey:
        """The key under one model, prompt recipe and sampling setting; `settings` that are None are not known."""
        drawn = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_prompt_tokens": sampling.max_prompt_tokens,
            "max_new_tokens": sampling.max_new_tokens,
        }
        settings |= {"processor_hash": identity.processor_hash, "dtype": identity.dtype}
        known = {name: value for name, value in settings.items() if value}
        return ProbeKey(arm, prompt_hash, identity.revision, json.dumps(drawn, sort_keys=True), sampling.seed, known)


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """One stored rollout as people and plugins read it."""

    sample: int
    arm: Arm
    rollout: int
    text: str
    tokens: int
    finish: str
    status: str
    grader: str | None
    verdict: str | None
    reward: float | None
    error: str = ""
    extracted: str | None = None
    grade_reason: str | None = None
    """Why the grader graded so: what was compared with what."""
    log_psi: float | None = None
    """log psi of the variant that was asked for."""


@dataclass(frozen=True, slots=True)
class PoolSample:
    """What the store knows of a sample without its images."""

    sample: int
    row: int
    id: str
    question: str
    images: int
    pixels: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What one step cost: wall seconds and, where the engine worked, rollouts and tokens."""

    stage: str
    seconds: float
    rollouts: int = 0
    prompt_tokens: int = 0
    response_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Failures:
    """What the engine failed on; the next run tries again what is not final."""

    rollouts: int
    final_rollouts: int
    attention: int
    """Responses whose attention could not be measured."""
    final_attention: int


def attention_values(attention: Attention | None) -> list[object]:
    """State and statistics as the store keeps them, in the order of `STATISTIC_COLUMNS`."""
    if attention is None:
        return [None] * (1 + len(STATISTIC_COLUMNS))
    state = f"failed: {attention.error}" if attention.error else "measured"
    return [state, *(attention.statistics.get(column) for column in STATISTIC_COLUMNS)]
