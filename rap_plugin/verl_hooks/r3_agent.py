"""The region loop as verl's agent loop: `actor_rollout_ref.rollout.agent.agent_loop_config_path="$(rap path verl-r3-agent)"`,
and `agent_name: rap_r3` in the rows, or `agent.default_agent_loop=rap_r3`.

With RAP_R3_REWARD=released or paper the row's reward is R-GRPO's, in place of verl's reward function. verl imports this file
itself. Options are environment variables: RAP_R3_MAX_CROPS, RAP_R3_COORDINATES, .. (section `r3`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput, register
from verl.utils.profiler import simple_timer

from rap_plugin.errors import RapError
from rap_plugin.verl_hooks.reward import open_grader_for
from rap_plugin.vlm_r3.hosted import HostedRow, sampling_changes
from rap_plugin.vlm_r3.hosted_reward import PRESET, hosted_reward
from rap_plugin.vlm_r3.trace import Trace


@register("rap_r3")
class RegionAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """One prompt and its turn with crops inside; crops are in `multi_modal_data`, and masked in `response_mask`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.response_length = self.rollout_config.response_length

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """verl's contract: ids and mask of the response, at most `response_length` of them, and all images."""
        messages = list(kwargs["raw_prompt"])
        data = await self.process_multi_modal_info(messages)
        pictures = list(data.get("images") or ())
        self._assert_mm_supported(bool(data))
        ids = await self.ct_build_initial_tokens(messages, images=pictures or None)
        hosted = HostedRow(ids, pictures, self.processor, most_tokens=len(ids) + self.response_length)
        changes = sampling_changes(self.processor)
        timing: dict[str, Any] = {}
        logprobs: list[float] | None = []
        request = uuid4().hex
        while not hosted.done:
            with simple_timer("generate_sequences", timing):
                output = await self.server_manager.generate(
                    request_id=request,
                    prompt_ids=hosted.ids,
                    sampling_params={**sampling_params, **changes, "max_tokens": hosted.left},
                    image_data=hosted.images or None,
                )
            tokens = list(output.token_ids)[: hosted.left]
            if not tokens:
                break
            put_in = await asyncio.to_thread(hosted.take, tokens)
            if output.log_probs and logprobs is not None:
                logprobs += [*output.log_probs[: len(tokens)], *([0.0] * put_in)]
            else:
                logprobs = None
        trace = hosted.row.trace()
        reward = None
        if PRESET in os.environ:
            reward = await asyncio.to_thread(_reward, trace, messages, kwargs)
        return AgentLoopOutput(
            prompt_ids=ids,
            response_ids=hosted.response_ids[: self.response_length],
            response_mask=hosted.response_mask[: self.response_length],
            response_logprobs=logprobs[: self.response_length] if logprobs else None,
            multi_modal_data={**data, "images": hosted.images} if hosted.images else data,
            reward_score=reward,
            num_turns=2 + 2 * len(trace.looks),
            metrics=AgentLoopMetrics(generate_sequences=timing.get("generate_sequences", 0.0)),
            extra_fields={"turn_scores": [], "tool_rewards": [], "rap_r3_trace": trace.to_json()},
        )


def _reward(trace: Trace, messages: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> float:
    """R-GRPO's reward of one response; the gold answer stands where verl's rows have it."""
    gold = (row.get("reward_model") or {}).get("ground_truth")
    if gold is None:
        raise RapError("rows need reward_model.ground_truth for RAP_R3_REWARD, as verl's own rewards do")
    question = (row.get("extra_info") or {}).get("question") or _text_of(messages)
    reward, _ = hosted_reward(trace, str(question), gold, open_grader_for(None))
    return reward


def _text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    content = next((one["content"] for one in reversed(messages) if one.get("role") == "user"), "")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)
