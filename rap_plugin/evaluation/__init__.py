"""Benchmarks, told once: rows, prompts, scoring, measures. lmms-eval and VLMEvalKit are given the same ones."""

from rap_plugin.evaluation.item import Item, Kind
from rap_plugin.evaluation.mark import SCORER, Mark
from rap_plugin.evaluation.scoring import score_response

__all__ = ["SCORER", "Item", "Kind", "Mark", "score_response"]
