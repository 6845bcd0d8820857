"""Rows on real engines: every batch size says the same, and crops stand inside the assistant turn."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3.boxes import STOPS
from rap_plugin.vlm_r3.coordinates import frame_of
from rap_plugin.vlm_r3.driver import RegionQueue, run_rows
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.trace import Trace
from tests.vlm_r3 import looker as script

ROOT = Path(__file__).parents[2]


def rows(engine, count: int = 16, **options) -> Iterator[RegionRow]:
    frame = frame_of(engine.vision())
    for number in range(count):
        yield RegionRow.of(script.prompt(number), frame, replace(script.loop_options(), **options), seed=number)


def run(engine, made, **sampling) -> dict[str, RegionRow]:
    done: dict[str, RegionRow] = {}
    run_rows(engine, made, script.sampling(**sampling), lambda row: done.setdefault(row.key, row))
    return done


def test_rows_say_the_same_alone_and_in_batches_of_any_size(open_looker) -> None:
    alone, *others = (
        {key: row.trace() for key, row in run(engine, rows(engine)).items()} for engine in map(open_looker, (1, 5, 16))
    )
    assert alone == others[0] == others[1]
    assert [list(alone[f"q{number}"].segments) for number in range(16)] == [script.said(number) for number in range(16)]
    assert {trace.ended for trace in alone.values()} == {"answer"}
    assert sum(trace.crops for trace in alone.values()) == 15
    assert "3 numbers" in alone["q14"].looks[0].problem
    assert alone["q15"].looks[1].problem == "this region was shown already"


def test_draws_do_not_depend_on_the_batch_nor_on_where_segments_end(open_looker) -> None:
    one, many = (
        {key: row.trace() for key, row in run(engine, rows(engine, 6), temperature=4.0).items()}
        for engine in map(open_looker, (1, 6))
    )
    assert one == many
    assert any(list(one[f"q{number}"].segments) != script.said(number) for number in range(6))


class Watched(RegionQueue):
    """Counts the rows that the engine holds whenever it says that one has ended its segment."""

    def __init__(self, rows, done) -> None:
        super().__init__(rows, done)
        self.held = 0
        self.counts: list[int] = []
        self.taken = 0

    def take(self, most: int):
        turns = super().take(most)
        self.held += len(turns)
        self.taken += len(turns)
        return turns

    def give(self, turn, segment) -> None:
        self.counts.append(self.held)
        self.held -= 1
        super().give(turn, segment)


def test_a_row_that_has_ended_makes_room_at_once_and_not_when_all_have(open_looker) -> None:
    done: list[RegionRow] = []
    watched = Watched(rows(engine := open_looker(4)), done.append)
    engine.continue_turns(watched, script.sampling(), STOPS)
    assert len(done) == 16
    assert watched.taken == sum(len(script.said(number)) for number in range(16))
    # Rows that end with the same token leave together; before each token all places are taken while rows wait.
    assert watched.counts[0] == 4
    assert sum(count == 4 for count in watched.counts) > 0.6 * len(watched.counts)


def test_rows_say_the_same_where_none_may_join_a_batch_at_work(open_looker) -> None:
    engine = open_looker(5)
    engine._model().joins = False
    done: list[RegionRow] = []
    watched = Watched(rows(engine), done.append)
    engine.continue_turns(watched, script.sampling(), STOPS)
    assert {row.key: list(row.trace().segments) for row in done} == {f"q{at}": script.said(at) for at in range(16)}
    assert watched.counts[:6] == [5, 4, 3, 2, 1, 5], "rounds"


@pytest.mark.parametrize(("at", "error"), [(3, "OutOfMemoryError"), (3, "ValueError"), (30, "OutOfMemoryError")])
def test_a_batch_that_fails_is_written_again_and_says_the_same(open_looker, at: int, error: str) -> None:
    import torch

    engine = open_looker(8)
    calls: list[int] = []

    def fail(module, inputs, options) -> None:
        calls.append(1)
        if len(calls) == at:
            raise torch.OutOfMemoryError("CUDA out of memory") if error == "OutOfMemoryError" else ValueError("no")

    hook = engine._model().network.register_forward_pre_hook(fail, with_kwargs=True)
    try:
        done = run(engine, rows(engine))
    finally:
        hook.remove()
    assert len(calls) > at
    assert [list(done[f"q{number}"].trace().segments) for number in range(16)] == [script.said(n) for n in range(16)]
    assert engine._model().joins == (error == "ValueError")


def test_a_turn_is_heard_while_it_is_written(open_looker) -> None:
    engine = open_looker(2)
    two, three = list(rows(engine, 4))[2:]
    heard: list[str] = []
    two.turn.heard = heard.append
    run(engine, [two, three])
    first, second, answer = script.said(2)
    assert len(heard) > 40
    for text in (first, second, answer):
        assert text[:5] in heard
        assert text[:-1] in heard
    assert all(any(text.startswith(one) for text in (first, second, answer)) for one in heard)


def test_tokens_of_the_turn_are_those_that_were_sampled_with_every_crop_between_them(open_looker) -> None:
    import torch

    from rap_plugin.engines.hf.chat import prepare
    from rap_plugin.engines.hf.turns import turn_inputs

    engine = open_looker(3)
    row = run(engine, [list(rows(engine, 3))[2]])["q2"]
    network, processor = engine._model().network, engine.processor
    prompt = prepare(row.turn.prompt, processor, network)
    whole = turn_inputs(row.turn, prompt, processor, network)
    sampled = [token for part in row.turn.parts for token in part.token_ids]
    assert whole.inputs.ids[whole.sampled].tolist() == sampled
    assert not whole.sampled[: prompt.length].any()
    image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    patches = whole.inputs.visual["image_grid_thw"].prod(dim=1) // 4
    assert (whole.inputs.ids == image).sum() == patches.sum()
    assert len(patches) == 3
    assert not whole.sampled[whole.inputs.ids == image].any()
    # What the engine sampled greedily is what the model says when it reads the whole turn at once.
    inputs = {name: value[None] for name, value in whole.inputs.aligned.items()}
    with torch.inference_mode():
        logits = network(
            input_ids=whole.inputs.ids[None],
            position_ids=whole.inputs.positions[:, None],
            **inputs,
            **whole.inputs.visual,
        ).logits[0]
        logits[:, [image]] = -torch.inf
    said = logits.argmax(-1)[:-1][whole.sampled[1:]]
    assert said.tolist() == sampled


def test_rows_end_cleanly_where_room_or_tokens_end(open_looker) -> None:
    engine = open_looker(8)
    few = run(engine, rows(engine, 6, max_new_tokens=20))
    assert {row.ended for row in few.values()} == {"tokens", "answer"}
    assert all(row.turn.drawn <= 20 for row in few.values())
    assert not few["q2"].looks, "a box that was cut off is none"
    tight = run(engine, rows(engine, 6), max_new_tokens=1, max_prompt_tokens=85)
    assert {row.ended for row in tight.values()} <= {"context", "answer"}
    assert not any(row.error and row.ended == "engine_error" for row in tight.values())
    overlong = run(engine, rows(engine, 2), max_prompt_tokens=10)
    assert {row.ended for row in overlong.values()} == {"overlong"}
    assert "max_prompt_tokens is 10" in overlong["q0"].error


def test_one_bad_prompt_stops_no_other(open_looker) -> None:
    engine = open_looker(4)
    good = list(rows(engine, 3))
    bad = RegionRow.of(Prompt("bad", "image", "<image><image>", (script.picture(1),)), good[0].frame, good[0].options)
    done = run(engine, [good[0], bad, *good[1:]])
    assert done["bad"].ended == "engine_error"
    assert "2 <image> placeholders" in done["bad"].error
    assert {done[f"q{number}"].ended for number in range(3)} == {"answer"}


def test_a_model_never_samples_the_tokens_of_an_image(open_looker) -> None:
    from rap_plugin.engines.facts import vision_tokens

    engine = open_looker(8)
    network = engine._model().network
    banned = vision_tokens(engine.processor, network.config)
    assert len(banned) == 4
    with_bias = network.lm_head.register_forward_hook(
        lambda module, inputs, out: out.index_add_(-1, _ids(banned), _ones(out, banned))
    )
    try:
        done = run(engine, rows(engine, 4, max_new_tokens=12))
    finally:
        with_bias.remove()
    assert not {token for row in done.values() for part in row.turn.parts for token in part.token_ids} & set(banned)


def _ids(tokens):
    import torch

    return torch.tensor(tokens)


def _ones(out, tokens):
    return out.new_full((*out.shape[:-1], len(tokens)), 1e4)


def test_an_engine_that_cannot_write_turns_on_says_so() -> None:
    class Plain:
        name = "openai"

    with pytest.raises(RapError, match="engine openai cannot put images into an answer"):
        run_rows(Plain(), [], script.sampling(), print)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_says_the_same_as_hf(looker: Path, tmp_path: Path) -> None:
    out = tmp_path / "traces.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.vlm_r3.on_vllm", str(looker), str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_CI_ENV": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(out.read_text())
    heard = json.loads(told.pop("heard"))
    assert all(text[:-1] in heard for text in script.said(2)), "a turn is heard while it is written"
    found = {key: Trace.from_json(text) for key, text in told.items()}
    assert [list(found[f"q{number}"].segments) for number in range(16)] == [script.said(number) for number in range(16)]
    assert sum(trace.crops for key, trace in found.items() if key[0] == "q") == 15
    assert found["overlong"].ended == "overlong"
    assert found["tight"].ended in ("context", "answer")
    assert found["cut"].ended == "tokens"
