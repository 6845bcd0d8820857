"""The reward of R-GRPO as TRL's trainers call it: computed from the traces that `RegionGRPOTrainer` hands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rap_plugin.grading import GradingOptions, open_grader
from rap_plugin.samples.formats.columns import ANSWERS, find_column
from rap_plugin.trl_hooks.rewards import Reward, question_of
from rap_plugin.vlm_r3.evidence_boxes import known_boxes
from rap_plugin.vlm_r3.golds import one_gold
from rap_plugin.vlm_r3.reward import Judge, final_answer, judged_right, reward_terms
from rap_plugin.vlm_r3.reward import region_reward as reward_of_row


def region_reward(
    preset: str = "released", *, evidence: float = 0.0, answer: str | None = None, judge: Judge | None = None
) -> Reward:
    """accuracy + format + region + length of each response, with the numbers of a preset: `released` or `paper`.

    `evidence` is what meeting the known evidence is worth (column `evidence_boxes`, pixels of the first image); `answer` names
    the gold answer's column. The judge is asked only where the rules say wrong. Each term is logged by name.
    """
    terms = reward_terms(preset, evidence)
    grader = open_grader("auto", options=GradingOptions())

    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        traces = columns["trace"]
        name = answer or find_column(list(columns), ANSWERS) or "answer"
        said = ["" if trace is None else final_answer(trace) for trace in traces]
        questions = [question_of(prompt) for prompt in prompts]
        verdicts = judged_right(grader, said, [one_gold(gold) for gold in columns[name]], questions, judge)
        rewards: list[float | None] = []
        parts: dict[str, list[float]] = {}
        for at, (trace, right) in enumerate(zip(traces, verdicts, strict=True)):
            if trace is None or right is None:
                rewards.append(None)
                continue
            boxes = known_boxes(
                {key: values[at] for key, values in columns.items() if key != "trace" and _listed(values)}
            )
            found = reward_of_row(trace, right, terms, boxes)
            rewards.append(found.total)
            for term in ("accuracy", "format", "region", "length", "evidence"):
                parts.setdefault(term, []).append(getattr(found, term))
        log = columns.get("log_metric")
        for term, values in parts.items():
            if log is not None:
                log(f"region_reward/{term}", sum(values) / len(values))
        return rewards

    reward.__name__ = f"region_reward_{preset}"
    return reward


def _listed(values: Any) -> bool:
    return isinstance(values, list)
