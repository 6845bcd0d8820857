"""Several prompts and pictures read in one call are what a call for each reads."""

from __future__ import annotations

import pytest
import torch

from rap_plugin.engines.hf import chat
from rap_plugin.engines.hf.turns import pictures_together, piece_of
from rap_plugin.engines.turns import TurnPart
from rap_plugin.rollout import Prompt

SIZES = {"qwen2_5_vl": ((112, 84), (56, 140)), "qwen3_vl": ((128, 96), (64, 160)), "llava": ((112, 84),) * 2}


def prompts(picture, sizes) -> list[Prompt]:
    asked = [
        Prompt(f"{at}", "image", f"<image>{'what ' * (at + 1)}?", (picture(*sizes[at % 2], at),)) for at in range(3)
    ]
    return [*asked, Prompt("blind", "blind", "what?")]


@pytest.mark.parametrize("family", SIZES)
def test_what_is_read_together_is_what_is_read_one_by_one(open_tiny, picture, family: str) -> None:
    engine = open_tiny(family)
    processor, network = engine.processor, engine._model().network
    known: dict[str, bool] = {}
    for asked in (prompts(picture, SIZES[family]), prompts(picture, SIZES[family])[::-1]):
        together = chat.prepare_together(asked, processor, network, known)
        assert together is not None
        for prompt, found in zip(asked, together, strict=True):
            alone = chat.prepare(prompt, processor, network)
            assert torch.equal(found.ids, alone.ids)
            assert torch.equal(found.positions, alone.positions)
            assert found.next_position == alone.next_position
            for mine, its in ((found.aligned, alone.aligned), (found.visual, alone.visual)):
                assert mine.keys() == its.keys()
                assert all(torch.equal(mine[name], its[name]) for name in mine)
    parts = [TurnPart(image=picture(*size, 7)) for size in SIZES[family]]
    names = tuple(alone.aligned)
    pieces = pictures_together(parts, processor, names, known)
    assert pieces is not None
    for part, (ids, along, visual) in zip(parts, pieces, strict=True):
        wanted = piece_of(part, processor, names)
        assert torch.equal(ids, wanted[0])
        assert all(torch.equal(along[name], wanted[1][name]) for name in wanted[1])
        assert all(torch.equal(visual[name], wanted[2][name]) for name in wanted[2])
    assert known == {"prompts": True, "pictures": True}


def test_what_one_call_reads_otherwise_is_read_one_by_one(open_tiny, picture, monkeypatch) -> None:
    engine = open_tiny("qwen2_5_vl")
    processor, network = engine.processor, engine._model().network
    read, calls = type(processor).__call__, []

    def other(self, *args, **options):
        calls.append(1)
        found = read(self, *args, **options)
        if len(found["input_ids"]) > 1:
            found["pixel_values"] += 1
        return found

    monkeypatch.setattr(type(processor), "__call__", other)
    known: dict[str, bool] = {}
    asked = prompts(picture, SIZES["qwen2_5_vl"])
    assert chat.prepare_together(asked, processor, network, known) is None
    assert known == {"prompts": False}
    tried = len(calls)
    assert chat.prepare_together(asked, processor, network, known) is None
    assert len(calls) == tried, "not tried again"


def test_pictures_that_would_be_padded_to_one_size_and_huge_ones_are_read_one_by_one(open_tiny, picture) -> None:
    engine = open_tiny("llava")
    network = engine._model().network
    for sizes in (((112, 84), (84, 112)), ((2048, 1024),) * 2):
        known: dict[str, bool] = {}
        assert chat.prepare_together(prompts(picture, sizes), engine.processor, network, known) is None
        assert known == {}
