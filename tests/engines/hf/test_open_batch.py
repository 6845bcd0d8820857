"""Turns that are written on in one batch: what was read of a turn is kept, and changes nothing."""

from __future__ import annotations

import pytest

from rap_plugin.engines.turns import Segment, Turn, TurnPart
from rap_plugin.rollout import Prompt, Sampling

NO_STOP = ("\x00\x01",)


class Script:
    """Six turns of three segments; behind a segment a text is put in, or a text and a picture."""

    def __init__(self, picture) -> None:
        self.picture = picture
        self.ready = [
            Turn(Prompt(f"q{at}", "image", f"<image>{'abc' * (at + 1)}?", (picture(112, 84, at),)), at, 3 + at)
            for at in range(6)
        ]
        self.written: dict[int, list[tuple[int, ...]]] = {}

    def take(self, most: int) -> list[Turn]:
        taken, self.ready = self.ready[:most], self.ready[most:]
        return taken

    def give(self, turn: Turn, segment: Segment) -> None:
        assert segment.status == "ok", segment.error
        told = self.written.setdefault(turn.seed, [])
        told.append(segment.token_ids)
        if len(told) == 3:
            return
        turn.parts += [TurnPart(token_ids=segment.token_ids), TurnPart(text="see ")]
        if (turn.seed + len(told)) % 3:
            turn.parts.append(TurnPart(image=self.picture(56, 56 + 28 * (turn.seed % 2), 9 + turn.seed)))
        turn.max_new_tokens += 4 + turn.seed % 3
        self.ready.insert(0, turn)  # what was begun comes first, as in the region loop's queue


def write(engine, picture, **sampling) -> tuple[dict[int, list[tuple[int, ...]]], int, int]:
    """What is written, and how many tokens and images the model read for it."""
    network, seen = engine._model().network, [0, 0]

    def count(module, inputs, options) -> None:
        seen[0] += int(options["attention_mask"][:, -options["input_ids"].shape[1] :].sum())
        pictures = options.get("image_grid_thw", options.get("pixel_values"))
        seen[1] += 0 if pictures is None else len(pictures)

    hook = network.register_forward_pre_hook(count, with_kwargs=True)
    script = Script(picture)
    try:
        engine.continue_turns(script, Sampling(max_prompt_tokens=4000, max_new_tokens=300, **sampling), NO_STOP)
    finally:
        hook.remove()
    return script.written, *seen


@pytest.mark.parametrize(("family", "temperature"), [("qwen2_5_vl", 0.0), ("qwen3_vl", 1.0), ("llava", 1.0)])
def test_a_turn_that_is_kept_says_what_one_that_is_read_anew_says(
    open_tiny, picture, family: str, temperature: float
) -> None:
    one, many, anew = (open_tiny(family, size) for size in (1, 4, 4))
    anew._model().keeps = False
    written = write(one, picture, temperature=temperature)[0]
    assert len(written) == 6
    for engine in (many, anew):
        assert write(engine, picture, temperature=temperature)[0] == written
    assert many._model().keeps
    assert many._model().tried_keeping
    # From now on all is read once: every token, and every picture.
    again, tokens, images = write(many, picture, temperature=temperature)
    assert again == written
    assert images == 6 + sum((seed + told) % 3 != 0 for seed in range(6) for told in (1, 2))
    assert tokens < 0.7 * write(anew, picture, temperature=temperature)[1]


def test_a_model_whose_prompt_looks_ahead_has_its_turns_read_anew(open_tiny, picture, caplog) -> None:
    one, many = open_tiny("paligemma", 1), open_tiny("paligemma", 4)
    assert write(one, picture)[0] == write(many, picture)[0]
    assert not many._model().keeps
    assert "PaliGemmaForConditionalGeneration: a turn is read anew" in caplog.text


def test_a_model_that_takes_no_pictures_of_different_sizes_says_so(open_tiny, picture) -> None:
    class Ends(Script):
        def give(self, turn: Turn, segment: Segment) -> None:
            self.written.setdefault(turn.seed, []).append(segment.error)
            if segment.status == "ok":
                turn.parts += [TurnPart(token_ids=segment.token_ids), TurnPart(image=self.picture(56, 140))]
                turn.max_new_tokens += 4
                self.ready.append(turn)

    script = Ends(picture)
    script.ready = script.ready[:2]
    open_tiny("minicpmv4_6", 2).continue_turns(script, Sampling(max_prompt_tokens=4000, max_new_tokens=300), NO_STOP)
    for told in script.written.values():
        assert told[-1].startswith("MiniCPM")
        assert "takes no pictures of different sizes in one turn" in told[-1]
