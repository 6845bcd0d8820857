"""Engines that are asked for their attention while a training follows: before it starts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from rap_plugin.errors import RapError
from rap_plugin.openrlhf_hooks.measuring import require_measurable


def sleeping(enabled):
    return SimpleNamespace(vllm=SimpleNamespace(enable_sleep=enabled))


def calls(ray, actor):
    return [call[0] for call in ray.get(actor.calls.remote())]


def test_engines_are_tried_before_the_training_and_left_as_they_were(ray_here, stand_ins):
    actors = stand_ins([{}, {}])
    require_measurable(actors, sleeping(True))
    assert [calls(ray_here, actor) for actor in actors] == [["wake_up", "begin", "end", "sleep"]] * 2
    actors = stand_ins([{}])
    require_measurable(actors, sleeping(False))
    assert calls(ray_here, actors[0]) == ["begin", "end"]


def test_one_engine_that_cannot_show_it_is_one_line_and_the_others_let_go(ray_here, stand_ins):
    actors = stand_ins([{}, {"unreadable": "layers of MLA have no queries"}])
    with pytest.raises(RapError, match=r"^--rap\.follow_renew_attention: layers of MLA have no queries; leave it out$"):
        require_measurable(actors, sleeping(False))
    assert calls(ray_here, actors[0]) == ["begin", "end"]
