"""The blind arm while verl trains: an agent loop that also answers some rows without their image.

    actor_rollout_ref.rollout.agent.agent_loop_config_path="$(rap path verl-follow-agent)"
    actor_rollout_ref.rollout.agent.default_agent_loop=rap_follow +data.rap.follow=True +data.rap.renew=0.05

Sampling is verl's own single turn on its own servers, the reward is the training's own. What it says of a response without the image goes along in
the `extra_fields` of one with it, as far as `RapReplayBuffer`. verl imports this file itself.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.utils.reward_score import get_default_compute_score

from rap_plugin.errors import RapError, one_line
from rap_plugin.verl_hooks.options import RENEWED, RENEWING_LOOP

logger = logging.getLogger("rap_plugin.verl")


@register(RENEWING_LOOP)
class FollowAgentLoop(SingleTurnAgentLoop):  # type: ignore[misc]
    """`SingleTurnAgentLoop`, of whose n responses to a row the first ones bring an answer without the image."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        # Rows of a validation ask for none.
        wanted = range(int(kwargs.get(RENEWED) or 0))
        if wanted and "session_id" not in kwargs:
            raise RapError("data.rap.renew works with verl's default trainer; leave it out with trainer.use_v1=False")
        mine = wanted[kwargs["session_id"] :: self.rollout_config.n] if wanted else ()
        output, *blind = await asyncio.gather(
            super().run(sampling_params, **kwargs), *(self._blind(sampling_params, kwargs) for _ in mine)
        )
        output.extra_fields[RENEWED] = [said for said in blind if said is not None]
        return output

    async def _blind(self, sampling_params: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the reward says of one response without the image; None where it could not be had."""
        try:
            ids = await self.ct_build_initial_tokens(without_images(row["raw_prompt"]))
            output = await self.server_manager.generate(
                request_id=uuid4().hex, prompt_ids=ids, sampling_params=sampling_params
            )
            text = self.tokenizer.decode(output.token_ids[: self.response_length], skip_special_tokens=True)
            return await self._score(text, row)
        except Exception as error:  # one bad row never stops a training
            logger.warning("rap: a row could not be asked without its image (%s)", one_line(error))
            return None

    async def _score(self, text: str, row: Mapping[str, Any]) -> dict[str, Any]:
        given = {
            "data_source": row["data_source"],
            "solution_str": text,
            "ground_truth": row["reward_model"]["ground_truth"],
            "extra_info": dict(row.get("extra_info") or {}),
        }
        reward = self._reward()
        # verl wraps a coroutine function in a partial of one.
        said = reward(**given) if inspect.iscoroutinefunction(reward) else asyncio.to_thread(reward, **given)
        found = await said
        return dict(found) if isinstance(found, Mapping) else {"score": float(found)}

    def _reward(self) -> Callable[..., Any]:
        """The reward function of verl's configuration, or its default."""
        found: Callable[..., Any] | None = get_custom_reward_fn(self.config)
        return found or get_default_compute_score(self.config.reward.reward_manager.name)


def without_images(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A prompt as verl's data set makes it, messages of texts or parts, without its images."""
    made = []
    for message in messages:
        content: Any = message["content"]
        if isinstance(content, list):
            content = [part for part in content if part.get("type") != "image"]
        made.append({**message, "content": content})
    return made
