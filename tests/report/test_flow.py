"""The flow: nobody gets lost on the way, and nothing is drawn over anything else."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.config import load_config
from rap_plugin.report.flow import BAR, Flow, build_flow
from rap_plugin.samples.sample import Quarantined
from rap_plugin.selectors.base import CHOSEN, VERDICTS, Decision, Selection
from tests.fabricate import Fabricated, fabricate
from tests.tables import make_table


def selection_of(counts: dict[str, int], quarantined: int, **options: object) -> Selection:
    verdicts = np.array([word for word, number in counts.items() for _ in range(number)], dtype="U16")
    n = len(verdicts)
    table = make_table([1] * n, [0] * n)
    config = load_config(flags={f"selection.{name}": value for name, value in options.items()})
    quarantine = [Quarantined(i, "duplicate", "again") for i in range(quarantined)]
    return Selection(config, table, {"log_psi": np.full(n, -9.0)}, Decision(verdicts, [""] * n), quarantine)


def check(flow: Flow, counts: dict[str, int], quarantined: int) -> None:
    nodes = {node.key: node for node in flow.nodes}
    chosen = sum(counts.get(word, 0) for word in CHOSEN)
    assert nodes["pool"].count == sum(counts.values()) + quarantined == flow.total
    assert nodes["selection"].count == chosen
    for node in flow.nodes:
        into = sum(link.count for link in flow.links if link.target == node.key)
        out = sum(link.count for link in flow.links if link.source == node.key)
        assert node.key == "pool" or into == node.count
        assert node.ends or node.key == "selection" or out == node.count
    ended = {node.key: node.count for node in flow.nodes if node.ends}
    assert ended.pop("quarantine", 0) == quarantined
    assert ended == {word: number for word, number in counts.items() if number and word not in CHOSEN}


def check_drawing(flow: Flow) -> None:
    for node in flow.nodes:
        assert 0 <= node.x <= flow.width - BAR
        assert node.y + node.height <= flow.height
        for other in flow.nodes:
            if other is not node and other.column == node.column and other.count and node.count:
                assert node.y + node.height <= other.y or other.y + other.height <= node.y, (node.key, other.key)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(VERDICTS), st.integers(1, 300), max_size=8), st.integers(0, 40))
def test_every_sample_of_the_pool_arrives_somewhere(counts: dict[str, int], quarantined: int) -> None:
    flow = build_flow(selection_of(counts, quarantined))
    check(flow, counts, quarantined)
    check_drawing(flow)


@pytest.mark.parametrize(
    "options", [{"selector": "band"}, {"preset": "released"}, {"ace": False, "drm": False}, {"cde": False}]
)
def test_other_selectors_and_switched_off_tests_have_a_flow_too(options: dict[str, object]) -> None:
    counts = {"selected": 5, "language_prior": 3, "unsolved": 2, "not_chosen": 4, "text_only": 1}
    flow = build_flow(selection_of(counts, 2, **options))
    check(flow, counts, 2)
    check_drawing(flow)


def test_a_verdict_of_a_plugin_has_its_place_under_its_own_name() -> None:
    flow = build_flow(selection_of({"selected": 3, "too_long": 2}, 0, selector="band"))
    node = next(node for node in flow.nodes if node.key == "too_long")
    assert (node.title, node.kind, node.count) == ("Too long", "other", 2)


def test_an_empty_pool_has_a_flow() -> None:
    flow = build_flow(selection_of({}, 0))
    assert flow.total == 0
    assert flow.height > 0


def test_a_single_sample_of_a_large_pool_is_still_seen() -> None:
    flow = build_flow(selection_of({"selected": 1, "language_prior": 4999}, 1))
    assert min(node.height for node in flow.nodes) >= 2.0


def test_heads_count_what_is_left_after_each_test(made: Fabricated) -> None:
    counts = made.selection.decision.counts()
    heads = {head.step: head.count for head in build_flow(made.selection).heads}
    cde = sum(counts.values()) - counts["language_prior"] - counts["unsolved"]
    assert heads["Pool"] == 240
    assert heads["Usable"] == 237
    assert heads["CDE"] == cde
    assert heads["ACE"] == cde - counts["attention_biased"]
    assert heads["DRM"] == heads["Selection"] == counts["selected"] + counts["hard_replacement"]


def test_a_pool_without_measured_attention_has_no_ace_column(tmp_path: Path) -> None:
    with closing((made := fabricate(tmp_path, 40, attention=False)).store):
        assert [head.step for head in build_flow(made.selection).heads] == ["Pool", "Usable", "CDE", "DRM", "Selection"]


def test_the_page_draws_every_ribbon(made: Fabricated, page: str) -> None:
    assert len(re.findall('class="ribbon"', page)) == len(build_flow(made.selection).links)
