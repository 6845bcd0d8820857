"""Writes assistant turns on with a Transformers model: rounds of as many turns as a batch holds.

A turn that is done makes room for another one in the next round. A turn's tensors are kept while it lasts, so that every
image goes through the processor once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rap_plugin.engines.facts import vision_tokens
from rap_plugin.engines.hf.batching import BatchRunner, ResponseJob
from rap_plugin.engines.hf.chat import ModelInputs, positions_of
from rap_plugin.engines.hf.decoding import SampledResponse
from rap_plugin.engines.hf.draws import uniform_draws
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.paths import draw_turns
from rap_plugin.engines.turns import Segment, Turn, TurnPart, TurnQueue, ends_with_stop
from rap_plugin.errors import one_line
from rap_plugin.rollout import Prompt, Response, Sampling

TAIL = 24
"""Last tokens that are looked at for a stop text."""

TYPES = "mm_token_type_ids"
"""Input that says which tokens are image tokens; processors give it where they are asked."""

Prepare = Callable[[Prompt, Sampling], ModelInputs | Response]


@dataclass(frozen=True, slots=True)
class TurnInputs:
    """A prompt and a turn as the model takes them."""

    inputs: ModelInputs
    sampled: Tensor
    """(L,) true where the model sampled the token: not in the prompt, not in what was put in."""
    parts: int
    """How many parts of the turn are in it."""


def continue_turns(
    model: LoadedModel,
    processor: Any,
    prepare: Prepare,
    batches: BatchRunner,
    queue: TurnQueue,
    sampling: Sampling,
    stops: Sequence[str],
) -> None:
    """See `engines.turns.ContinuesTurns`."""
    write = _TurnWriter(model, processor, prepare, batches, sampling, stops)
    while turns := queue.take(batches.batch_size):
        for turn, segment in zip(turns, write(turns), strict=True):
            queue.give(turn, segment)


class _TurnWriter:
    """Writes the next segment of some turns together."""

    def __init__(
        self,
        model: LoadedModel,
        processor: Any,
        prepare: Prepare,
        batches: BatchRunner,
        sampling: Sampling,
        stops: Sequence[str],
    ) -> None:
        self._model, self._processor, self._prepare = model, processor, prepare
        self._batches, self._sampling = batches, sampling
        self._texts = StopTexts(processor.tokenizer, stops)
        self._banned = vision_tokens(processor, model.network.config)

    def __call__(self, turns: Sequence[Turn]) -> list[Segment]:
        """One segment per turn, in order."""
        segments: dict[int, Segment] = {}
        jobs: list[ResponseJob] = []
        most: dict[int, int] = {}
        for at, turn in enumerate(turns):
            read = _read(turn, self._prepare, self._processor, self._model.network, self._sampling)
            if isinstance(read, Segment):
                segments[at] = read
                continue
            turn.read = read
            room = self._sampling.max_prompt_tokens + self._sampling.max_new_tokens - read.inputs.length
            if room < 1:
                segments[at] = _overlong(read.inputs.length, self._sampling)
                continue
            most[at] = min(turn.left, room)
            jobs.append(ResponseJob(at, 0, read.inputs))

        def run(batch: Sequence[ResponseJob]) -> None:
            rows = [SampledResponse(stop=self._texts.end, most=most[job.prompt]) for job in batch]
            width = max(most[job.prompt] for job in batch)
            used = [(turns[job.prompt].seed, turns[job.prompt].drawn) for job in batch]
            uniforms = np.stack([uniform_draws(seed, drawn + width)[drawn:] for seed, drawn in used])
            inputs = [job.inputs for job in batch]
            draw_turns(self._model, inputs, rows, uniforms, self._sampling, self._banned)
            for job, row in zip(batch, rows, strict=True):
                segments[job.prompt] = _segment(row, self._processor.tokenizer, job.inputs.length)

        def fail(job: ResponseJob, reason: str) -> None:
            segments[job.prompt] = Segment(turn_tokens=job.inputs.length, status="engine_error", error=reason)

        self._batches.run(jobs, lambda job: job.inputs.length + most[job.prompt], run, fail)
        return [segments[at] for at in range(len(turns))]


class StopTexts:
    """Finds the texts that end a segment, looking only where a token could end one."""

    def __init__(self, tokenizer: Any, stops: Sequence[str]) -> None:
        self._decode = cache(lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True))
        self._plain = tokenizer.decode
        self._stops = tuple(stops)
        self._last = {stop[-1] for stop in stops}

    def end(self, token_ids: Sequence[int]) -> bool:
        """Whether the last token ends a stop text."""
        if not self._last.intersection(self._decode((token_ids[-1],))):
            return False
        tail = list(token_ids[-TAIL:])
        before = self._plain(tail[:-1], skip_special_tokens=True)
        text = self._plain(tail, skip_special_tokens=True)
        return ends_with_stop(text, self._stops, max(1, len(text) - len(before)))


def turn_inputs(turn: Turn, prompt: ModelInputs, processor: Any, network: Any) -> TurnInputs:
    """The tensors of a prompt with all parts of a turn behind it. Raises whatever the processor raises."""
    return _extended(TurnInputs(prompt, torch.zeros(prompt.length, dtype=torch.bool), 0), turn, processor, network)


def image_mark(processor: Any) -> str:
    """What the chat template writes for an image inside a message."""
    text = {"type": "text", "text": "X"}
    with_image, without = (
        processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
        for content in ([{"type": "image"}, text], [text])
    )
    start = next((at for at, (one, other) in enumerate(zip(with_image, without, strict=False)) if one != other), 0)
    return with_image[start : len(with_image) - (len(without) - start)]


def _read(turn: Turn, prepare: Prepare, processor: Any, network: Any, sampling: Sampling) -> TurnInputs | Segment:
    known: TurnInputs | None = turn.read
    if known is None:
        prompt = prepare(turn.prompt, sampling)
        if isinstance(prompt, Response):
            return Segment(turn_tokens=prompt.prompt_tokens, status=prompt.status, error=prompt.error)
        known = TurnInputs(prompt, torch.zeros(prompt.length, dtype=torch.bool), 0)
    try:
        return _extended(known, turn, processor, network)
    except Exception as error:
        return Segment(status="engine_error", error=f"the processor failed: {one_line(error)}")


def _extended(known: TurnInputs, turn: Turn, processor: Any, network: Any) -> TurnInputs:
    """What is known with the parts that are new."""
    new = turn.parts[known.parts :]
    if not new:
        return known
    ids, sampled = [known.inputs.ids], [known.sampled]
    aligned = {name: [value] for name, value in known.inputs.aligned.items()}
    visual = {name: [value] for name, value in known.inputs.visual.items()}
    for part in new:
        piece, along, seen = piece_of(part, processor, known.inputs.aligned)
        ids.append(piece)
        sampled.append(torch.full((len(piece),), part.sampled))
        for name, values in aligned.items():
            values.append(along.get(name, torch.zeros(len(piece), dtype=values[0].dtype)))
        for name, value in seen.items():
            visual.setdefault(name, []).append(value)
    joined = torch.cat(ids)
    all_aligned = {name: torch.cat(values) for name, values in aligned.items()}
    all_visual = {name: torch.cat(values) for name, values in visual.items()}
    positions = positions_of(joined, all_aligned, all_visual, network)
    inputs = ModelInputs(joined, positions, int(positions.max()) + 1, all_aligned, all_visual)
    return TurnInputs(inputs, torch.cat(sampled), len(turn.parts))


def piece_of(
    part: TurnPart, processor: Any, names: Collection[str] = ()
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Tokens of one part, the further numbers `names` for each of them, and visual inputs."""
    if part.sampled:
        return torch.tensor(part.token_ids), {}, {}
    if part.image is None:
        ids = processor.tokenizer.encode(part.text, add_special_tokens=False)
        return torch.tensor(ids, dtype=torch.long), {}, {}
    image = part.image if part.image.mode == "RGB" else part.image.convert("RGB")
    options = {"add_special_tokens": False, **({f"return_{TYPES}": True} if TYPES in names else {})}
    inputs = processor(text=[image_mark(processor)], images=[image], return_tensors="pt", text_kwargs=options)
    ids = inputs.pop("input_ids")[0]
    along, seen = {}, {}
    for name, value in inputs.items():
        if value is None or name in ("attention_mask", "labels"):
            continue
        value = torch.as_tensor(value)
        if name in names:
            along[name] = value[0]
        else:
            seen[name] = value
    return ids, along, seen


def _segment(row: SampledResponse, tokenizer: Any, turn_tokens: int) -> Segment:
    if row.error:
        return Segment(turn_tokens=turn_tokens, status="engine_error", error=row.error)
    finish = "closed" if row.stopped else "end" if row.finish == "stop" else "length"
    text = tokenizer.decode(row.token_ids, skip_special_tokens=True)
    return Segment(tuple(row.token_ids), text, finish, turn_tokens)  # type: ignore[arg-type]


def _overlong(length: int, sampling: Sampling) -> Segment:
    most = sampling.max_prompt_tokens + sampling.max_new_tokens
    return Segment(
        turn_tokens=length, status="overlong", error=f"prompt and turn have {length} tokens, the limit is {most}"
    )
