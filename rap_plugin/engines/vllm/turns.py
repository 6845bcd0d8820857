"""Writes assistant turns on with vLLM: a turn that has ended its segment is queued again at once, beside all others.

The prefix cache holds what was read before, so that a segment costs the tokens behind the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rap_plugin.engines.turns import Segment, Turn, TurnQueue
from rap_plugin.engines.vllm.rendering import RenderedPrompt, process, prompt_tokens, render
from rap_plugin.engines.vllm.running import FinishedRequest, RunningVLLM
from rap_plugin.errors import one_line
from rap_plugin.rollout import Response, Sampling

NEVER = -100.0
"""Logit bias of tokens that are not to be sampled: the least that vLLM takes."""


def continue_turns(
    vllm: RunningVLLM,
    queue: TurnQueue,
    sampling: Sampling,
    stops: Sequence[str],
    batch_size: int,
    banned: Sequence[int],
) -> None:
    """See `engines.turns.ContinuesTurns`."""
    running: dict[str, tuple[Turn, int]] = {}

    def fill() -> None:
        while len(running) < batch_size and (turns := queue.take(batch_size - len(running))):
            for turn in turns:
                started = _start(vllm, turn, sampling, stops, banned)
                if isinstance(started, Segment):
                    queue.give(turn, started)
                else:
                    running[started[0]] = (turn, started[1])

    fill()
    while running:
        for finished in vllm.finished():
            if finished.key in running:
                turn, length = running.pop(finished.key)
                queue.give(turn, _segment(vllm, finished, length))
                fill()
        for turn, length in running.values():  # vLLM has nothing more to do, and has not answered these
            queue.give(turn, Segment(turn_tokens=length, status="engine_error", error="vLLM gave no answer"))
        running.clear()
        fill()


def _start(
    vllm: RunningVLLM, turn: Turn, sampling: Sampling, stops: Sequence[str], banned: Sequence[int]
) -> Segment | tuple[str, int]:
    """Queues a turn: its key and its tokens so far, or why it cannot be written on."""
    rendered = _render(vllm, turn, sampling)
    if isinstance(rendered, Segment):
        return rendered
    limit = min(sampling.max_prompt_tokens + sampling.max_new_tokens, vllm.length - 1)
    room = limit - rendered.length
    if room < 1:
        reason = f"prompt and turn have {rendered.length} tokens, the limit is {limit}"
        return Segment(turn_tokens=rendered.length, status="overlong", error=reason)
    try:
        key = vllm.add(
            rendered.inputs,
            sampling,
            heard=turn.heard,
            max_tokens=min(turn.left, room),
            seed=_seed(turn),
            stop=list(stops),
            include_stop_str_in_output=True,
            logit_bias=dict.fromkeys(banned, NEVER) or None,
        )
    except Exception as error:
        return Segment(turn_tokens=rendered.length, status="engine_error", error=one_line(error))
    return key, rendered.length


def _render(vllm: RunningVLLM, turn: Turn, sampling: Sampling) -> RenderedPrompt | Segment:
    from rap_plugin.engines.hf.turns import image_mark

    if not turn.parts:
        first = render(vllm, turn.prompt, sampling)
        if isinstance(first, Response):
            return Segment(turn_tokens=first.prompt_tokens, status=first.status, error=first.error)
        return first
    try:
        if turn.read is None:
            turn.read = prompt_tokens(vllm, turn.prompt)
        known_ids, known_images = turn.read
        ids, images = list(known_ids), list(known_images)
        encode = vllm.processor.tokenizer.encode
        for part in turn.parts:
            if part.sampled:
                ids += part.token_ids
            elif part.image is None:
                ids += encode(part.text, add_special_tokens=False)
            else:
                ids += encode(image_mark(vllm.processor), add_special_tokens=False)
                images.append(part.image if part.image.mode == "RGB" else part.image.convert("RGB"))
        return process(vllm, ids, images)
    except Exception as error:
        return Segment(status="engine_error", error=f"the processor failed: {one_line(error)}")


def _segment(vllm: RunningVLLM, finished: FinishedRequest, length: int) -> Segment:
    if finished.finish_reason not in ("stop", "length"):
        reason = f"vLLM ended it with {finished.finish_reason}"
        return Segment(turn_tokens=length, status="engine_error", error=reason)
    text = vllm.processor.tokenizer.decode(finished.token_ids, skip_special_tokens=True)
    if finished.finish_reason == "length":
        return Segment(tuple(finished.token_ids), text, "length", length)
    closed = isinstance(finished.stopped_by, str)
    return Segment(tuple(finished.token_ids), text, "closed" if closed else "end", length)


def _seed(turn: Turn) -> int:
    """Of the next segment: vLLM starts a generator anew for each."""
    digest = hashlib.blake2b(f"{turn.seed}/{turn.drawn}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
