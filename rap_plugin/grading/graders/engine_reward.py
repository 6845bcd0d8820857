"""`engine`: the reward that came with the response, from an engine inside a training run."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.grading.base import Grade, GradeItem, GradingOptions, grader_id
from rap_plugin.grading.reading.answers import find_answer, well_formatted


class EngineGrader:
    """Takes the run's own reward as it is; a response is right when it reaches `right_at`.

    A response without a reward (the reward function raised, or gave no number) is ungradable.
    """

    def __init__(self, options: GradingOptions) -> None:
        self._right_at = options.right_at
        self.id = grader_id("engine", 1, right_at=options.right_at)

    def check_gold(self, gold: str, question: str = "") -> str | None:
        # Only the run's reward knows what it accepts.
        return None

    def grade(self, items: Sequence[GradeItem]) -> list[Grade]:
        return [self._grade(item) for item in items]

    def _grade(self, item: GradeItem) -> Grade:
        formatted = well_formatted(item.response)
        extracted = find_answer(item.response).text[:2000]
        if item.reward is None:
            return Grade("ungradable", None, formatted, extracted, "the run's reward gave no number for this response")
        return Grade("right" if item.reward >= self._right_at else "wrong", item.reward, formatted, extracted)

    def close(self) -> None:
        """Nothing to stop."""
