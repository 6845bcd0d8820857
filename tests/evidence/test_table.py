"""The table that scorers and selectors get: plain data, whole, in pool order."""

from __future__ import annotations

import pickle
from contextlib import closing

import numpy as np
import pytest

from rap_plugin.evidence.rollouts import read_rollouts
from rap_plugin.evidence.table import ArmCounts, with_statistics
from rap_plugin.rollout import ARMS
from tests.fabricate import Fabricated, fabricate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    with closing((made := fabricate(tmp_path_factory.mktemp("table"), 30)).store):
        yield made


def test_a_table_holds_no_handle_and_survives_being_sent_away(made: Fabricated) -> None:
    again = pickle.loads(pickle.dumps(made.selection.table))
    assert (again.ids == made.selection.table.ids).all()
    assert again.path == made.run / "evidence.sqlite"


def test_counts_are_the_sums_of_the_rollouts_one_by_one(made: Fabricated) -> None:
    table = made.selection.table
    for arm in ARMS:
        read = read_rollouts(made.store, table, arm)
        for name in ArmCounts.__dataclass_fields__:
            assert (read.counts[name].sum(axis=1) == getattr(table.arms[arm], name)).all(), name


def test_a_statistic_is_the_reduction_over_the_image_rollouts(made: Fabricated) -> None:
    names = [("psi_suffix_mean_5", "max"), ("psi_suffix_mean_5", "mean")]
    table = with_statistics(made.store, made.selection.table, names)
    each = read_rollouts(made.store, table, "image", ["psi_suffix_mean_5"]).statistics["psi_suffix_mean_5"]
    assert np.array_equal(table.statistic("psi_suffix_mean_5", "max"), each.max(axis=1))
    assert np.allclose(table.statistic("psi_suffix_mean_5", "mean"), each.mean(axis=1))
    assert set(made.selection.table.statistics) < set(table.statistics)


def test_a_statistic_that_was_not_read_is_an_error_and_not_a_number(made: Fabricated) -> None:
    with pytest.raises(KeyError, match="was not read with this table"):
        made.selection.table.statistic("psi_suffix_mean_5")
    with pytest.raises(KeyError, match="psi_of_mine is not one of"):
        with_statistics(made.store, made.selection.table, [("psi_of_mine", "max")])


def test_rows_keep_the_order_of_the_pool(made: Fabricated) -> None:
    rows = made.selection.table.rows.tolist()
    assert rows == sorted(rows)
    assert len(rows) == 28  # two of the thirty have a broken picture
