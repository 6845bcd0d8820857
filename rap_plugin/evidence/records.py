"""What the store takes and gives: keys, stored rollouts, samples of the pool, entries of the cost ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rap_plugin.rollout import Arm, ModelIdentity, Sampling


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """The part of the evidence key that all rollouts of one arm of a run share."""

    arm: Arm
    prompt_hash: str
    model_revision: str
    sampling: str
    """Canonical JSON of the settings that change the distribution of responses."""
    seed: int

    @staticmethod
    def of(arm: Arm, prompt_hash: str, identity: ModelIdentity, sampling: Sampling) -> ProbeKey:
        """The key under one model, prompt recipe and sampling setting."""
        settings = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_prompt_tokens": sampling.max_prompt_tokens,
            "max_new_tokens": sampling.max_new_tokens,
        }
        return ProbeKey(arm, prompt_hash, identity.revision, json.dumps(settings, sort_keys=True), sampling.seed)


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
