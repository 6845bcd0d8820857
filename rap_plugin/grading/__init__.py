"""Is this response right? Extraction, mathematics, choices, text, and users' own functions."""

from rap_plugin.grading.base import Grade, GradeItem, Grader, GraderFactory, GradingOptions, Verdict
from rap_plugin.grading.graders import BUILTIN_GRADERS, open_grader

__all__ = [
    "BUILTIN_GRADERS",
    "Grade",
    "GradeItem",
    "Grader",
    "GraderFactory",
    "GradingOptions",
    "Verdict",
    "open_grader",
]
