"""`--model rap_vlm_r3` in lmms-eval: models that look again, in batches. lmms-eval imports this file when it is asked for."""

from __future__ import annotations

from typing import Any

from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms
from loguru import logger

from rap_plugin.errors import RapError
from rap_plugin.lmms_tasks.prompts import first_turn
from rap_plugin.progress import step
from rap_plugin.vlm_r3.answering import RegionAnswerer
from rap_plugin.vlm_r3.trace import Trace

NOT_SAMPLED = ("engine_error", "overlong")


class RapVlmR3(lmms):  # type: ignore[misc]
    """`--model rap_vlm_r3 --model_args pretrained=ID[,engine=hf|vllm][,max_crops=N][,traces=FILE.jsonl]`.

    The answer comes without its tags; how it came about is in `traces`.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        batch_size: int | str | None = None,
        device: str | None = None,
        full_text: bool | str = False,
        **arguments: Any,
    ) -> None:
        super().__init__()
        arguments.pop("max_batch_size", None)
        if batch_size not in (None, "auto", 1, "1"):
            arguments["batch_size"] = int(batch_size)
        if device:
            arguments["device"] = device
        self._answerer = RegionAnswerer(pretrained, **arguments)
        self._full_text = str(full_text).lower() == "true"
        self.failed = 0
        """answers that the engine could not give; they are empty and score as unread"""

    def generate_until(self, requests: list[Any]) -> list[GenerationResult]:
        """One answer per request, in order; requests of equal settings share batches."""
        results: dict[int, GenerationResult] = {}
        groups: dict[tuple[int, float], list[int]] = {}
        for index, request in enumerate(requests):
            generation = request.args[2]
            most = int(generation.get("max_new_tokens") or 1024)
            groups.setdefault((most, float(generation.get("temperature") or 0.0)), []).append(index)
        with step("answers", len(requests), "answers") as advance:
            for (most, temperature), group in groups.items():
                prompts = []
                for index in group:
                    _, to_messages, _, doc_id, task, split = requests[index].args
                    messages = to_messages(self.task_dict[task][split][doc_id])
                    prompts.append(first_turn(f"{task}/{doc_id}", messages, "rap_vlm_r3"))
                traces = self._answerer.answer(prompts, max_new_tokens=most, temperature=temperature, done=advance)
                results |= {index: self._result(trace) for index, trace in zip(group, traces, strict=True)}
        found = self._answerer.summary()
        valid = found["valid_boxes"]
        logger.info(
            f"rap_vlm_r3: {found['crops_per_answer'] or 0:.2f} crops per answer, {valid['count']} of {valid['of']} boxes valid"
        )
        return [results[index] for index in range(len(requests))]

    def _result(self, trace: Trace) -> GenerationResult:
        if trace.ended in NOT_SAMPLED:
            self.failed += 1
            if self.failed == 1:
                logger.warning(f"rap: an answer is missing ({trace.ended}: {trace.error}); it scores as unread")
            return GenerationResult(text="", token_counts=TokenCounts(output_tokens=0))
        text = trace.text if self._full_text else trace.answer
        return GenerationResult(text=text, token_counts=TokenCounts(output_tokens=trace.tokens))

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Engines sample; tasks that compare likelihoods need another model."""
        raise RapError("--model rap_vlm_r3 gives no likelihoods; choose another task or model")

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        """One question is answered."""
        raise RapError("--model rap_vlm_r3 answers one question; choose another task or model")
