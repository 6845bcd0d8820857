"""The rollout actor inside its Ray process: OpenRLHF's own class with a few methods more.

Imported by the driver, to put the class in its place, and by Ray in every engine process. The methods of the base
class are untouched: once scoring is over, training uses exactly what it would have used.
"""

from __future__ import annotations

import asyncio
from typing import Any

from rap_plugin.engines.ace import usable_span
from rap_plugin.engines.vllm.capture import REQUEST
from rap_plugin.engines.vllm.options import whole_prompts
from rap_plugin.engines.vllm.tracked import NO_ROOM
from rap_plugin.errors import one_line
from rap_plugin.openrlhf_hooks.contract import actor_class
from rap_plugin.openrlhf_hooks.reward import UNGRADED

Base: Any = actor_class()

WORKER = "rap_plugin.openrlhf_hooks.worker.CapturingWorkerWrap"

Answer = dict[str, Any]
"""One rollout as it crosses process borders: plain values, no image tensors."""

READ_AGAIN = 3
"""Times that a stored response is read again where there was no room for its queries and keys."""

UNSET = -1
"""Position of the first kept query, until the prompt's length is known."""


class SharedReading:
    """A processor that reads one prompt with its images once, however many rollouts ask for it.

    OpenRLHF's executors run the processor once per rollout; the M rollouts of a sample have the same input.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._read: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, **options: Any) -> Any:
        text = options.get("text")
        key = (tuple(text) if isinstance(text, list) else text, tuple(map(id, options.get("images") or ())))
        if key not in self._read:
            self._read[key] = self._processor(**options)
        return self._read[key]


class RapRolloutActor(Base):  # type: ignore[misc]
    """`RolloutRayActor` that also samples with a seed per rollout and says what attention did."""

    async def __init__(self, *args: Any, **options: Any) -> None:  # type: ignore[misc]  # Ray awaits it
        self._rap_processor: Any = None
        self._rap_end_ids: frozenset[int] = frozenset()
        self._rap_count = 0
        self._rap_alone = asyncio.Lock()
        # Tokens that vLLM puts around each image beyond the processor's own: OpenRLHF hands InternVL prompts on with their
        # <img> and </img>, and vLLM adds both again. Learned from the first answer.
        self._rap_added = 0
        # Requests whose prompt had another length than was assumed, so that wrong rows were kept.
        self._rap_elsewhere: dict[str, int] = {}
        await super().__init__(*args, **{**_for_seeds(options), **options})

    async def rap_begin(self, processor: Any, end_ids: list[int], measure: bool) -> str:
        """Gets ready to score; returns why attention cannot be read, empty where it can or is not wanted."""
        self._rap_processor, self._rap_end_ids = processor, frozenset(end_ids)
        if not measure:
            return ""
        try:
            # Keys of blocks that are cached already were never seen.
            await self.llm.reset_prefix_cache()
            answers = await self.llm.collective_rpc("rap_attention_start")
        except Exception as error:
            if self.llm.errored:
                raise
            return f"this vLLM is not as expected ({one_line(error)})"
        reason: str = next((answer["reason"] for answer in answers if answer["reason"]), "")
        if reason:
            await self.rap_stop_measuring()
        elif cost := next((answer["cost"] for answer in answers if answer["cost"]), ""):
            print(f"rap-plugin: {cost}", flush=True)  # Ray brings it to the driver
        return reason

    async def rap_stop_measuring(self) -> None:
        """Takes the hooks off and frees the mirrors of keys; does nothing where there are none."""
        await self.llm.collective_rpc("rap_attention_stop")

    async def rap_end(self, measure: bool) -> None:
        """Scoring is over: frees what it kept."""
        self._rap_processor = None
        if measure:
            await self.rap_stop_measuring()

    async def rap_sample(
        self, prompt: str, label: Any, images: Any, seeds: list[int], params: Any, max_length: int, measure: bool
    ) -> list[Answer]:
        """One rollout per seed of one prompt, through the run's own executor and reward.

        A rollout that fails alone has an `error`. Raises only when the engine itself is gone.
        """
        try:
            images = load_all(images)
        except Exception as error:
            return [{"error": one_line(error)} for _ in seeds]
        reading = SharedReading(self._rap_processor)
        answers = await asyncio.gather(
            *(self._rap_rollout(prompt, label, images, seed, params, max_length, reading, measure) for seed in seeds)
        )
        if measure:
            await self._rap_collect(answers)
            again = [answer for answer in answers if answer.get("attention") == {}]
            if again:
                found = await self.rap_attention(prompt, images, [answer["token_ids"] for answer in again], max_length)
                for answer, attention in zip(again, found, strict=True):
                    answer["attention"] = attention
        return answers

    async def rap_attention(self, prompt: str, images: Any, responses: list[list[int]], max_length: int) -> list[Any]:
        """Attention of given responses: a prefill of prompt + response each. A text says why there is none."""
        from openrlhf.utils.vlm_utils import process_prompt_with_images

        try:
            images = load_all(images)
            tokens, _, pictures = process_prompt_with_images(self._rap_processor, prompt, images)
        except Exception as error:
            return [one_line(error) for _ in responses]
        data = {"image": pictures} if pictures else None
        return await asyncio.gather(*(self._rap_read(tokens, ids, data, max_length) for ids in responses))

    async def generate(self, prompt_token_ids: Any, sampling_params: Any, multi_modal_data: Any = None) -> Any:
        """The base class's, with the place of the response's second token noted where attention is wanted."""
        marked = (sampling_params.extra_args or {}).get(REQUEST)
        if marked is None:
            return await super().generate(prompt_token_ids, sampling_params, multi_modal_data)
        key, first = marked
        images = len((multi_modal_data or {}).get("image") or ())
        added = images * self._rap_added
        first = len(prompt_token_ids) + 1 if first == UNSET else first
        sampling_params.extra_args = {REQUEST: [key, first + added]}
        output = await super().generate(prompt_token_ids, sampling_params, multi_modal_data)
        found = len(output.prompt_token_ids or ()) - len(prompt_token_ids)
        if found != added:
            self._rap_elsewhere[key] = found
            if images and found % images == 0:
                self._rap_added = found // images
        return output

    async def _rap_rollout(
        self,
        prompt: str,
        label: Any,
        images: Any,
        seed: int,
        params: Any,
        max_length: int,
        reading: SharedReading,
        measure: bool,
    ) -> Answer:
        params = params.clone()
        params.seed = seed
        key = self._rap_key()
        asked = {"key": key} if measure else {}
        if measure:
            params.extra_args = {REQUEST: [key, UNSET]}
        try:
            response = await self.executor.execute(
                prompt=prompt,
                label=label,
                sampling_params=params,
                max_length=max_length,
                hf_tokenizer=reading,
                llm_engine=self,
                images=images,
            )
        except Exception as error:
            if self.llm.errored:
                raise
            return {"error": one_line(error), **asked}
        ranges = response["action_ranges"]
        if not ranges:
            return {"error": "no room for a response behind the prompt", "overlong": True, **asked}
        ids = list(response["observation_tokens"][ranges[0][0] :])
        answer = {
            "text": reading.decode(ids, skip_special_tokens=True),
            "token_ids": ids,
            "prompt_tokens": ranges[0][0],
            "truncated": bool(response.get("truncated")),
            "reward": reward_of(response),
        }
        return {**answer, **asked}

    async def _rap_collect(self, answers: list[Answer]) -> None:
        """Adds `attention` to answers: statistics, a reason, or {} where it has to be read again."""
        wanted: list[list[Any]] = []
        waiting: list[Answer] = []
        for answer in answers:
            key = answer.pop("key", None)
            if key is None:
                continue
            elsewhere = self._rap_elsewhere.pop(key, 0)
            if "error" in answer:
                # Asked for all the same: what the workers keep of a request goes then.
                wanted.append([key, 0])
                waiting.append({})
                continue
            if elsewhere:
                answer["attention"] = {}
            wanted.append([key, self._rap_rows(answer["token_ids"])])
            waiting.append(answer)
        for answer, measured in zip(waiting, await self._rap_measured(wanted), strict=True):
            # Not seen while sampling (inside a CUDA graph, the last token of a cut response, elsewhere): read again.
            answer.setdefault("attention", {} if isinstance(measured, str) else measured)

    async def _rap_read(self, tokens: list[int], ids: list[int], data: Any, max_length: int) -> Any:
        rows = self._rap_rows(ids)
        if rows < 2:
            return {}
        if len(tokens) + rows + 1 >= max_length:
            return "prompt and response fill the context"
        found = await self._rap_read_once(tokens, ids[: rows + 1], data, rows)
        for _ in range(READ_AGAIN):
            if found != NO_ROOM:
                break
            # Beside the others there was no room for it: one after the other, until there is.
            async with self._rap_alone:
                found = await self._rap_read_once(tokens, ids[: rows + 1], data, rows)
        return found

    async def _rap_read_once(self, tokens: list[int], ids: list[int], data: Any, rows: int) -> Any:
        from vllm import SamplingParams

        shift = 0
        for _ in range(2):  # the second time where the first has shown what vLLM adds to this model's images
            key = self._rap_key()
            params = SamplingParams(max_tokens=1, temperature=0.0, detokenize=False, skip_reading_prefix_cache=True)
            params.extra_args = {REQUEST: [key, len(tokens) + 1]}
            try:
                await self.generate([*tokens, *ids], params, data)
            except Exception as error:
                if self.llm.errored:
                    raise
                return one_line(error)
            found = (await self._rap_measured([[key, rows]]))[0]
            shift = self._rap_elsewhere.pop(key, 0)
            if not shift:
                return found
        return f"vLLM's prompt is {shift:+d} tokens longer than the processor's"

    async def _rap_measured(self, wanted: list[list[Any]]) -> list[Any]:
        if not wanted:
            return []
        answers = await self.llm.collective_rpc("rap_attention_collect", args=(wanted,))
        found: list[Any] = next(
            (answer for answer in answers if answer), ["no worker has the last layer"] * len(wanted)
        )
        return found

    def _rap_rows(self, ids: list[int]) -> int:
        first, stop = usable_span(ids, self._rap_end_ids)
        return stop - first

    def _rap_key(self) -> str:
        self._rap_count += 1
        return f"rap-{self._rap_count}"


def _for_seeds(options: Answer) -> Answer:
    """What vLLM needs beside the run's own options to sample with seeds: nothing on a GPU."""
    from vllm.platforms import current_platform

    length = options.get("max_model_len")
    return whole_prompts(length) if current_platform.device_type == "cpu" and length else {}


class MeasuringRolloutActor(RapRolloutActor):
    """The same with workers that can show their attention."""

    async def __init__(self, *args: Any, **options: Any) -> None:  # type: ignore[misc]  # Ray awaits it
        options["worker_extension_cls"] = WORKER
        await super().__init__(*args, **options)


def load_all(images: Any) -> Any:
    """The images of a prompt as OpenRLHF loads them, once. Raises ValueError where it would leave some out."""
    from openrlhf.utils.vlm_utils import load_images

    references = [image for image in (images if isinstance(images, list) else [images]) if image is not None]
    if not references:
        return None
    loaded = load_images(references)
    if len(loaded) < len(references):
        raise ValueError(f"OpenRLHF loads {len(loaded)} of the {len(references)} images of this row")
    return loaded


def reward_of(response: Answer) -> float | None:
    """What the run's reward says of a response: its score where it gives one. None where it could not judge."""
    if (response.get("extra_logs") or {}).get(UNGRADED):
        return None
    return number(response.get("scores"), response.get("reward"))


def number(*values: Any) -> float | None:
    """The first value that is one finite number: rewards come as numbers, lists of one, or tensors of one."""
    for value in values:
        if hasattr(value, "tolist"):
            value = value.tolist()
        while isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if isinstance(value, (bool, int, float)) and abs(value) < float("inf"):
            return float(value)
    return None
