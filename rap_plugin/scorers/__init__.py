"""Scorers: one number per sample, from the evidence alone."""

from rap_plugin.scorers.accuracy import accuracy_blind, accuracy_image
from rap_plugin.scorers.alignment import alignment
from rap_plugin.scorers.attention import attention_entropy, log_psi
from rap_plugin.scorers.base import Scorer, arms_of, scorer
from rap_plugin.scorers.difficulty import difficulty
from rap_plugin.scorers.discrepancy import discrepancy
from rap_plugin.scorers.modality_gap import accuracy_facts, modality_gap

BUILTIN_SCORERS = {
    score.name: score
    for score in (
        accuracy_image,
        accuracy_blind,
        discrepancy,
        log_psi,
        difficulty,
        attention_entropy,
        alignment,
        accuracy_facts,
        modality_gap,
    )
}
"""Name to scorer; a score's column in `scores.parquet` is `rap_` + name."""

__all__ = [
    "BUILTIN_SCORERS",
    "Scorer",
    "accuracy_blind",
    "accuracy_facts",
    "accuracy_image",
    "alignment",
    "arms_of",
    "attention_entropy",
    "difficulty",
    "discrepancy",
    "log_psi",
    "modality_gap",
    "scorer",
]
