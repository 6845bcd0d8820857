"""Groups of samples that are alike."""

from __future__ import annotations

import numpy as np
import pytest

from rap_plugin.posterior.groups import cluster


def blobs(each: int = 30) -> np.ndarray:
    random = np.random.default_rng(0)
    centres = random.normal(size=(4, 6)) * 10
    return np.concatenate([centre + random.normal(size=(each, 6)) for centre in centres])


def test_what_lies_together_is_one_group_whatever_the_columns_are_measured_in() -> None:
    points = blobs()
    found = cluster(points, 4, seed=1).reshape(4, 30)
    assert all(len(set(row)) == 1 for row in found.tolist())
    assert len(set(found[:, 0].tolist())) == 4
    scaled = points * [1, 1000, 1, 0.001, 1, 0]
    assert (cluster(scaled, 4, seed=1) == cluster(scaled[:, :5], 4, seed=1)).all(), "a constant column says nothing"
    np.testing.assert_array_equal(cluster(points, 4, seed=1), cluster(points, 4, seed=1))


@pytest.mark.parametrize("groups", [1, 3, 10])
def test_there_are_no_more_groups_than_different_points(groups: int) -> None:
    points = np.repeat(np.arange(3.0)[:, None], 5, axis=0)
    found = cluster(points, groups)
    assert len(set(found.tolist())) == min(groups, 3)
