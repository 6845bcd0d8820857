"""Writes assistant turns on with a Transformers model, as many at a time as a batch holds.

Where the model's cache allows it, a turn joins the batch as soon as another one has ended its segment; elsewhere they are written
in rounds. A turn's tensors are kept while it lasts, so that every image goes through the processor once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from rap_plugin.engines.facts import vision_tokens
from rap_plugin.engines.hf.batching import BatchRunner, ResponseJob
from rap_plugin.engines.hf.chat import ModelInputs, positions_of
from rap_plugin.engines.hf.decoding import SampledResponse
from rap_plugin.engines.hf.draws import uniform_draws
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.memory import is_out_of_memory, release_memory
from rap_plugin.engines.hf.open_batch import CannotJoin, OpenBatch, OpenRow, shared_by_rows
from rap_plugin.engines.hf.padding import ShapesDiffer
from rap_plugin.engines.hf.paths import draw_turns, pads_alike
from rap_plugin.engines.hf.together import NOT_SHOWN, Piece, read_together
from rap_plugin.engines.turns import Segment, Turn, TurnPart, TurnQueue, ends_with_stop
from rap_plugin.errors import one_line
from rap_plugin.rollout import Prompt, Response, Sampling

if TYPE_CHECKING:
    from PIL.Image import Image

TAIL = 24
"""Last tokens that are looked at for a stop text."""

HALF_A_CHARACTER = "\ufffd"
"""How a tokenizer writes a character of which not all bytes are there."""

TYPES = "mm_token_type_ids"
"""Input that says which tokens are image tokens; processors give it where they are asked."""

Prepare = Callable[[Sequence[Prompt], Sampling], Sequence[ModelInputs | Response]]


@dataclass(frozen=True, slots=True)
class TurnInputs:
    """A prompt and a turn as the model takes them."""

    inputs: ModelInputs
    sampled: Tensor
    """(L,) true where the model sampled the token: not in the prompt, not in what was put in."""
    parts: int
    """How many parts of the turn are in it."""
    before: ModelInputs | None = None
    """What stood in front of the turn's last segment; None where that is not known."""
    new_visual: dict[str, Tensor] = field(default_factory=dict)
    """Visual inputs of what stands behind `before`."""


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
    if shared_by_rows(model):
        _write_openly(write, model, queue, sampling)
    while turns := queue.take(batches.batch_size):
        write.together(turns, queue)


def _write_openly(write: _TurnWriter, model: LoadedModel, queue: TurnQueue, sampling: Sampling) -> None:
    """Turns join and leave one batch until the queue is empty, or until the model or its memory does not allow that.

    What fails is written again in batches that are halved: draws do not depend on the batch.
    """
    batch = OpenBatch(model, sampling, write.banned)
    while model.joins:
        taken = queue.take(room) if (room := batch.room(write.batch_size)) else []
        rows = write.read(taken, queue)
        if not batch.running and not taken:
            return
        try:
            if rows and not pads_alike(model, [row.inputs for row in (*batch.rows, *rows)]):
                raise CannotJoin(f"{type(model.network).__name__}: rows of a batch change each other")
            if rows:
                batch.join(rows)
                rows = []
            elif room:
                batch.leave()
            if batch.running:
                for row in batch.step():
                    queue.give(row.turn, write.segment(row))
                for row in batch.rows:
                    write.tell(row)
        except Exception as error:
            left = [row.turn for row in (*batch.clear(), *rows)]
            model.joins = not isinstance(error, CannotJoin) and not is_out_of_memory(error)
            del error
            if not model.joins:
                release_memory(model.network.device)
            write.together(left, queue)


class _TurnWriter:
    """Writes the next segments of turns."""

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
        self.batch_size = batches.batch_size
        self.banned = vision_tokens(processor, model.network.config)

    def read(self, turns: Sequence[Turn], queue: TurnQueue) -> list[OpenRow]:
        """The turns that can be written on, with their tensors; the queue is told about the others."""
        rows = []
        for turn, read in zip(turns, self._read(turns), strict=True):
            if isinstance(read, Segment):
                queue.give(turn, read)
                continue
            turn.read = read
            room = self._sampling.max_prompt_tokens + self._sampling.max_new_tokens - read.inputs.length
            if room < 1:
                queue.give(turn, _overlong(read.inputs.length, self._sampling))
                continue
            most = min(turn.left, room)
            uniforms = uniform_draws(turn.seed, turn.drawn + most)[turn.drawn :]
            response = SampledResponse(stop=self._texts.end, most=most)
            rows.append(OpenRow(turn, response, uniforms, read.inputs, read.before, read.new_visual))
        return rows

    def _read(self, turns: Sequence[Turn]) -> list[TurnInputs | Segment]:
        """The tensors of turns, or why there are none; what is new of several goes through the processor together."""
        begun = [turn for turn in turns if turn.read is None]
        prompts = self._prepare([turn.prompt for turn in begun], self._sampling)
        known: dict[int, TurnInputs | Segment] = {id(turn): turn.read for turn in turns if turn.read is not None}
        known |= {id(turn): _beginning(prompt) for turn, prompt in zip(begun, prompts, strict=True)}
        pieces = self._pieces([(turn, known[id(turn)]) for turn in turns])
        return [self._extended(turn, known[id(turn)], pieces) for turn in turns]

    def _pieces(self, turns: Sequence[tuple[Turn, TurnInputs | Segment]]) -> dict[int, Piece]:
        """Pictures of turns that have not been read, by the part's `id`, where one call may read them."""
        new = [
            (part, tuple(known.inputs.aligned))
            for turn, known in turns
            if isinstance(known, TurnInputs)
            for part in turn.parts[known.parts :]
            if part.image is not None
        ]
        if len({names for _, names in new}) != 1:
            return {}
        parts, names = [part for part, _ in new], new[0][1]
        pieces = pictures_together(parts, self._processor, names, self._model.reads_together)
        return {id(part): piece for part, piece in zip(parts, pieces or (), strict=False)}

    def _extended(self, turn: Turn, known: TurnInputs | Segment, pieces: Mapping[int, Piece]) -> TurnInputs | Segment:
        if isinstance(known, Segment):
            return known
        try:
            return _extended(known, turn, self._processor, self._model.network, pieces)
        except ShapesDiffer as error:
            return Segment(status="engine_error", error=f"{type(self._model.network).__name__}: {error}")
        except Exception as error:
            return Segment(status="engine_error", error=f"the processor failed: {one_line(error)}")

    def together(self, turns: Sequence[Turn], queue: TurnQueue) -> None:
        """One segment for each of these, in batches that are halved where one fails."""
        rows = self.read(turns, queue)

        def run(batch: Sequence[ResponseJob]) -> None:
            chosen = [rows[job.prompt] for job in batch]
            drawn = [SampledResponse(stop=row.response.stop, most=row.response.most) for row in chosen]
            width = max(len(row.uniforms) for row in chosen)
            uniforms = np.stack([np.pad(row.uniforms, (0, width - len(row.uniforms))) for row in chosen])
            inputs = [row.inputs for row in chosen]
            draw_turns(self._model, inputs, drawn, uniforms, self._sampling, self.banned)
            for row, response in zip(chosen, drawn, strict=True):
                row.response = response
                self.tell(row)

        def fail(job: ResponseJob, reason: str) -> None:
            rows[job.prompt].response = SampledResponse(error=reason)

        jobs = [ResponseJob(at, 0, row.inputs) for at, row in enumerate(rows)]
        self._batches.run(jobs, lambda job: job.inputs.length + len(rows[job.prompt].uniforms), run, fail)
        for row in rows:
            queue.give(row.turn, self.segment(row))

    def segment(self, row: OpenRow) -> Segment:
        """What a row has written."""
        return _segment(row.response, self._processor.tokenizer, row.inputs.length)

    def tell(self, row: OpenRow) -> None:
        """Lets who listens to a turn hear what is written of its segment."""
        if row.turn.heard is None or row.response.ended:
            return
        text = self._processor.tokenizer.decode(row.response.token_ids, skip_special_tokens=True)
        if not text.endswith(HALF_A_CHARACTER):
            row.turn.heard(text)


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
    if processor not in _MARKS:
        _MARKS[processor] = _image_mark(processor)
    return _MARKS[processor]


_MARKS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _image_mark(processor: Any) -> str:
    text = {"type": "text", "text": "X"}
    with_image, without = (
        processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
        for content in ([{"type": "image"}, text], [text])
    )
    start = next((at for at, (one, other) in enumerate(zip(with_image, without, strict=False)) if one != other), 0)
    return with_image[start : len(with_image) - (len(without) - start)]


def _beginning(prompt: ModelInputs | Response) -> TurnInputs | Segment:
    if isinstance(prompt, Response):
        return Segment(turn_tokens=prompt.prompt_tokens, status=prompt.status, error=prompt.error)
    return TurnInputs(prompt, torch.zeros(prompt.length, dtype=torch.bool), 0)


def _extended(
    known: TurnInputs, turn: Turn, processor: Any, network: Any, pieces: Mapping[int, Piece] = MappingProxyType({})
) -> TurnInputs:
    """What is known with the parts that are new, of which some may have been read: `pieces`, by the part's `id`."""
    new = turn.parts[known.parts :]
    if not new:
        return known
    ids, sampled = [known.inputs.ids], [known.sampled]
    aligned = {name: [value] for name, value in known.inputs.aligned.items()}
    visual: dict[str, list[Tensor]] = {}
    for part in new:
        piece, along, seen = pieces.get(id(part)) or piece_of(part, processor, known.inputs.aligned)
        ids.append(piece)
        sampled.append(torch.full((len(piece),), part.sampled))
        for name, values in aligned.items():
            values.append(along.get(name, torch.zeros(len(piece), dtype=values[0].dtype)))
        for name, value in seen.items():
            visual.setdefault(name, []).append(value)
    joined = torch.cat(ids)
    all_aligned = {name: torch.cat(values) for name, values in aligned.items()}
    new_visual = {name: _behind_each_other(values) for name, values in visual.items()}
    old = known.inputs.visual
    all_visual = old | {
        name: _behind_each_other([old[name], value]) if name in old else value for name, value in new_visual.items()
    }
    positions = positions_of(joined, all_aligned, all_visual, network)
    inputs = ModelInputs(joined, positions, int(positions.max()) + 1, all_aligned, all_visual)
    return TurnInputs(inputs, torch.cat(sampled), len(turn.parts), known.inputs, new_visual)


def _behind_each_other(values: Sequence[Tensor]) -> Tensor:
    if any(value.shape[1:] != values[0].shape[1:] for value in values):
        raise ShapesDiffer("this model takes no pictures of different sizes in one turn, as a crop beside its image is")
    return torch.cat(list(values))


def piece_of(part: TurnPart, processor: Any, names: Collection[str] = ()) -> Piece:
    """Tokens of one part, the further numbers `names` for each of them, and visual inputs."""
    if part.sampled:
        return torch.tensor(part.token_ids), {}, {}
    if part.image is None:
        ids = processor.tokenizer.encode(part.text, add_special_tokens=False)
        return torch.tensor(ids, dtype=torch.long), {}, {}
    inputs = processor(
        text=[image_mark(processor)],
        images=[_picture(part)],
        return_tensors="pt",
        text_kwargs=_text_options(names),
    )
    along, seen = {}, {}
    for name, value in inputs.items():
        if value is None or name in NOT_SHOWN:
            continue
        value = torch.as_tensor(value)
        if name in names:
            along[name] = value[0]
        else:
            seen[name] = value
    return inputs["input_ids"][0], along, seen


def pictures_together(
    parts: Sequence[TurnPart], processor: Any, names: Collection[str], known: dict[str, bool]
) -> list[Piece] | None:
    """`piece_of` for several pictures in one call; None where each is to be read by itself. See `together` on `known`."""
    pictures = [[_picture(part)] for part in parts]

    def many() -> Any:
        options = _text_options(names) | {"padding": True}
        marks = [image_mark(processor)] * len(parts)
        return processor(text=marks, images=pictures, return_tensors="pt", text_kwargs=options)

    return read_together(known, "pictures", processor, pictures, many, lambda at: piece_of(parts[at], processor, names))


def _picture(part: TurnPart) -> Image:
    assert part.image is not None
    return part.image if part.image.mode == "RGB" else part.image.convert("RGB")


def _text_options(names: Collection[str]) -> dict[str, bool]:
    return {"add_special_tokens": False, **({f"return_{TYPES}": True} if TYPES in names else {})}


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
