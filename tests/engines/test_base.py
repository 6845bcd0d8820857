"""The optional abilities of an engine: engines with neither, either or both work."""

from __future__ import annotations

import pytest

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import ChecksAttention, Engine, MeasuresWhileSampling, Starts
from rap_plugin.errors import RapError
from rap_plugin.executors.batches import SampleReader
from rap_plugin.executors.local import LocalExecutor
from rap_plugin.rollout import ModelIdentity


class Plain:
    """An engine of a plugin that knows only what every engine must."""

    name, identity, measures_attention, batch_size = "plain", ModelIdentity("m", "1"), True, 4

    def generate(self, requests, sampling):
        return []

    def attention(self, prompts, sampling):
        return []

    def close(self):
        pass


class Starting(Plain):
    started = 0

    def start(self):
        self.started += 1


class Measuring(Plain):
    def generate_with_attention(self, requests, sampling):
        return []


class Unreadable(Plain):
    def attention_problem(self, sampling):
        return "its last layer has a sliding window"


def test_an_engine_without_the_optional_abilities_is_an_engine():
    assert isinstance(Plain(), Engine)
    assert not isinstance(Plain(), Starts)
    assert not isinstance(Plain(), MeasuresWhileSampling)


def test_an_ability_is_there_where_its_method_is():
    assert isinstance(Starting(), Starts)
    assert isinstance(Measuring(), MeasuresWhileSampling)
    assert not isinstance(Measuring(), Starts)
    assert isinstance(Unreadable(), ChecksAttention)


def test_an_executor_starts_the_engines_that_can_be_started():
    engine = Starting()
    reader: SampleReader = None  # nothing is read
    assert LocalExecutor(engine, reader, RunConfig()).start() >= 0
    assert engine.started == 1
    assert LocalExecutor(Plain(), reader, RunConfig()).start() is None


def test_attention_that_cannot_be_measured_is_a_choice_before_anything_is_sampled():
    reader: SampleReader = None  # nothing is read
    with pytest.raises(RapError, match=r"sliding window.*ace.enabled=false"):
        LocalExecutor(Unreadable(), reader, RunConfig()).start()
    config = RunConfig.model_validate({"ace": {"enabled": False}})
    assert LocalExecutor(Unreadable(), reader, config).start() >= 0
