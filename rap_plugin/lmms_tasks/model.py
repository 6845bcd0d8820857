"""`--model rap` in lmms-eval: any of our engines. lmms-eval imports this file when the model is asked for.

The same sampling as in a selection, batches with and without images (several built-in models fail on a prompt
without any), one seed per problem, and one response that failed never stops the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms

from rap_plugin.config import ModelConfig
from rap_plugin.errors import RapError
from rap_plugin.lmms_tasks.prompts import first_turn
from rap_plugin.plugins import get_plugins
from rap_plugin.progress import step
from rap_plugin.rollout import Request, Response, Sampling

COLD = 1e-4
"""Temperature 0 for engines that draw: the most probable token, but for exact ties."""


class RapModel(lmms):  # type: ignore[misc]
    """`--model rap --model_args pretrained=ID[,engine=hf|vllm|openai][,dtype=..][,max_prompt_tokens=N]`."""

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        engine: str = "hf",
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        batch_size: int | str | None = None,
        max_prompt_tokens: int = 32_768,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        options.pop("max_batch_size", None)
        size = int(batch_size) if batch_size not in (None, "auto", 1, "1") else None
        values = {"id": pretrained, "engine": engine, "revision": revision, "dtype": dtype, "options": options}
        config = ModelConfig.model_validate({**values, "device": device or "auto", "batch_size": size})
        self._engine = get_plugins().registry().get("engines", engine)(config)
        self._max_prompt_tokens = int(max_prompt_tokens)
        self._seed = int(seed)
        self.failed = 0
        """responses that the engine could not give; they are empty and score as unread"""

    def generate_until(self, requests: list[Any]) -> list[GenerationResult]:
        """One response per request, in order."""
        results: list[GenerationResult | None] = [None] * len(requests)
        drawn: Counter[tuple[str, int]] = Counter()
        held: dict[Sampling, list[tuple[int, Request]]] = {}
        for index, request in enumerate(requests):
            _, to_messages, generation, doc_id, task, split = request.args
            rollout = drawn[task, doc_id]
            drawn[task, doc_id] += 1
            prompt = first_turn(f"{task}/{doc_id}", to_messages(self.task_dict[task][split][doc_id]), "rap")
            held.setdefault(self._sampling(generation), []).append((index, Request(prompt, (rollout,))))
        with step("responses", len(requests), "responses") as advance:
            for sampling, group in held.items():
                for start in range(0, len(group), self._engine.batch_size):
                    batch = group[start : start + self._engine.batch_size]
                    responses = self._engine.generate([request for _, request in batch], sampling)
                    for (index, _), found in zip(batch, responses, strict=True):
                        results[index] = self._result(found)
                    advance(len(batch))
        return [result for result in results if result is not None]

    def _sampling(self, generation: dict[str, Any]) -> Sampling:
        return Sampling(
            temperature=float(generation.get("temperature") or 0.0) or COLD,
            top_p=float(generation.get("top_p") or 1.0),
            max_prompt_tokens=self._max_prompt_tokens,
            max_new_tokens=int(generation.get("max_new_tokens") or 1024),
            seed=self._seed,
        )

    def _result(self, responses: Sequence[Response]) -> GenerationResult:
        response = responses[0]
        if response.status != "ok":
            self.failed += 1
            if self.failed == 1:
                from loguru import logger

                logger.warning(f"rap: a response is missing ({response.status}: {response.error}); it scores as unread")
        count = len(response.token_ids)
        return GenerationResult(text=response.text, token_counts=TokenCounts(output_tokens=count))

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Engines sample; tasks that compare likelihoods need another model."""
        raise RapError("--model rap samples responses and gives no likelihoods; choose another task or model")

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        """Engines answer once."""
        raise RapError("--model rap answers in one round; choose another task or model")
