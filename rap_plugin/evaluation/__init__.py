"""Benchmarks: rows, prompts, scoring, measures. lmms-eval and VLMEvalKit use the same ones."""

from rap_plugin.evaluation.grade import SCORER, BenchmarkGrade
from rap_plugin.evaluation.item import BenchmarkItem, Kind
from rap_plugin.evaluation.scoring import score_response

__all__ = ["SCORER", "BenchmarkGrade", "BenchmarkItem", "Kind", "score_response"]
