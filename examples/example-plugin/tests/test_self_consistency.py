"""The example's own tests: register it, drive the pipeline, unregister."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import rap_self_consistency as plugin

from rap_plugin import decide_run, load_config, load_selection
from rap_plugin.plugins import get_plugins


@pytest.fixture
def registered() -> Iterator[None]:
    plugins = get_plugins()
    if plugins.manager.is_registered(plugin):  # installed: its entry point has brought it already
        yield
        return
    plugins.register(plugin, "self-consistency")
    yield
    plugins.unregister(plugin)


@pytest.mark.usefixtures("registered")
def test_the_samples_that_are_taken_are_those_whose_answers_agree_least(finished_run: Path) -> None:
    selection, store = load_selection(finished_run)
    agreement = selection.scores["self_consistency"]
    store.close()
    assert ((agreement >= 0.2) & (agreement <= 1)).all()
    config = load_config(flags={"selection.selector": "uncertain", "selection.keep": 0.25}, base=selection.config)
    result = decide_run(finished_run, config)
    chosen = result.selection.decision.chosen
    assert chosen.sum() == round(0.25 * len(chosen))
    assert agreement[chosen].max() <= agreement[~chosen].min()
    assert "rap_self_consistency" in pq.read_table(finished_run / "scores.parquet").column_names
