"""`engine`: the reward that came with the response, from an engine inside a training run."""

from __future__ import annotations

from rap_plugin.grading.base import GradeItem, GradingOptions
from rap_plugin.grading.building import Opinion, any_gold, grader
from rap_plugin.grading.reading.answers import find_answer


@grader("engine", version=1, moved_by=("right_at",), check_gold=any_gold)
def engine(item: GradeItem, options: GradingOptions) -> Opinion:
    """Takes the run's own reward as it is; a response is right when it reaches `right_at`.

    A response without a reward (the reward function raised, or gave no number) is ungradable.
    """
    answer = find_answer(item.response).text
    if item.reward is None:
        return Opinion("ungradable", answer, "the run's reward gave no number for this response")
    return Opinion("right" if item.reward >= options.right_at else "wrong", answer, reward=item.reward)
