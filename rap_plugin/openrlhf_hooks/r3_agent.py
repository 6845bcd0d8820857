"""The region loop as OpenRLHF's agent: `--train.agent_func_path "$(rap path openrlhf-r3-agent)"`.

OpenRLHF's own multi-turn agents never get the original image, so this is an executor: it crops from that image and puts each
crop into the same assistant turn. Options are environment variables: RAP_R3_MAX_CROPS, RAP_R3_COORDINATES, .. (section `r3`).
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

from openrlhf.utils.agent import AgentExecutorBase
from openrlhf.utils.vlm_utils import accumulate_mm_inputs, process_prompt_with_images

from rap_plugin.openrlhf_hooks.region_reward import region_rewards
from rap_plugin.vlm_r3.hosted import HostedRow, sampling_changes


class AgentExecutor(AgentExecutorBase):  # type: ignore[misc]
    """One prompt, its region rows, its reward."""

    async def execute(
        self,
        prompt: str,
        label: Any,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """OpenRLHF's contract: token ids of prompt and turn, the ranges that were sampled, pixel tensors, rewards.

        Raises ValueError where the prompt leaves no room for an answer, as OpenRLHF's own executors do.
        """
        ids, tensors, pictures = process_prompt_with_images(hf_tokenizer, prompt, images)
        if len(ids) >= max_length:
            raise ValueError(
                f"VLM prompt length ({len(ids)}) exceeds max_len ({max_length}); raise it or use smaller images"
            )
        most = max_length
        if sampling_params.max_tokens is not None:
            most = min(most, len(ids) + sampling_params.max_tokens)
        hosted = HostedRow(ids, pictures, hf_tokenizer, most_tokens=most)
        params = deepcopy(sampling_params)
        for name, value in sampling_changes(hf_tokenizer).items():
            setattr(params, name, value)
        ranges: list[tuple[int, int]] = []
        logprobs: list[float] | None = None if params.logprobs is None else [0.0] * len(ids)
        truncated = False
        while not hosted.done:
            params.max_tokens = hosted.left
            pixels = {"image": hosted.images} if hosted.images else None
            output = (await llm_engine.generate(hosted.ids, deepcopy(params), multi_modal_data=pixels)).outputs[0]
            tokens = list(output.token_ids)
            if not tokens:
                break
            ranges.append((len(hosted.ids), len(hosted.ids) + len(tokens)))
            if logprobs is not None:
                logprobs += [step[token].logprob for step, token in zip(output.logprobs, tokens, strict=True)]
            crops = len(hosted.visual)
            put_in = await asyncio.to_thread(hosted.take, tokens)
            if logprobs is not None:
                logprobs += [0.0] * put_in
            for visual in hosted.visual[crops:]:
                tensors = accumulate_mm_inputs(tensors, dict(visual))
            truncated = hosted.row.ended in (None, "tokens", "context", "segments")
        trace = hosted.row.trace()
        reward, scores, logs = await asyncio.to_thread(region_rewards, trace, prompt, label)
        return {
            "prompt": prompt,
            "label": label,
            "images": images,
            "mm_train_inputs": tensors,
            "reward": reward,
            "scores": scores,
            "observation_tokens": hosted.ids,
            "action_ranges": ranges,
            "rollout_log_probs": logprobs,
            "truncated": truncated,
            "extra_logs": logs,
        }
