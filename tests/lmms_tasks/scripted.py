"""A model that answers with the gold answer, or every other time with nothing."""

from __future__ import annotations

from typing import Any

from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms


class Scripted(lmms):  # type: ignore[misc]
    """`answers=right` or `answers=every_other`."""

    is_simple = False

    def __init__(self, answers: str = "right", **kwargs: Any) -> None:
        super().__init__()
        self._every_other = answers == "every_other"

    def generate_until(self, requests: list[Any]) -> list[GenerationResult]:
        found = []
        for request in requests:
            _, _, _, doc_id, task, split = request.args
            gold = str(self.task_dict[task][split][doc_id]["gold"]).split("<OR>")[0].replace("<AND>", ", ")
            silent = self._every_other and doc_id % 2
            text = "I cannot tell." if silent else f"<think>It is not {gold[::-1]}.</think>\n\n\\boxed{{{gold}}}"
            found.append(GenerationResult(text=text, token_counts=TokenCounts(output_tokens=len(text))))
        return found

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        raise NotImplementedError

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        raise NotImplementedError
