"""Scorers: one number per sample, from the evidence alone."""

from rap_plugin.scorers.accuracy import accuracy_blind, accuracy_image
from rap_plugin.scorers.alignment import alignment
from rap_plugin.scorers.attention import attention_entropy, log_psi
from rap_plugin.scorers.difficulty import difficulty
from rap_plugin.scorers.discrepancy import discrepancy

BUILTIN_SCORERS = {
    "acc_image": accuracy_image,
    "acc_blind": accuracy_blind,
    "discrepancy": discrepancy,
    "log_psi": log_psi,
    "difficulty": difficulty,
    "attention_entropy": attention_entropy,
    "alignment": alignment,
}
"""Name to function; a score's column in `scores.parquet` is `rap_` + name."""

__all__ = ["BUILTIN_SCORERS", *(function.__name__ for function in BUILTIN_SCORERS.values())]
