"""Who gets whose images under intervention `shuffle`."""

from __future__ import annotations

from collections import Counter

import pytest

from rap_plugin.executors.partners import partners, partners_hash, sharing
from rap_plugin.samples.sample import Sample

IDS = [f"{i:02}" for i in range(7)]


def sample(name: str, *images: bytes) -> Sample:
    return Sample(name, 0, "q", "g", images)


def test_partners_are_everybody_once_nobody_oneself_and_no_matter_of_order() -> None:
    found = partners(IDS)
    assert sorted(found.values()) == IDS
    assert all(one != other for one, other in found.items())
    assert partners(IDS[::-1]) == found
    assert partners_hash(IDS[::-1]) == partners_hash(IDS) != partners_hash(IDS[:-1])


def test_samples_share_an_image_also_over_others() -> None:
    samples = [
        sample("a", b"1"),
        sample("b", b"2", b"3"),
        sample("c", b"4"),
        sample("d", b"3"),
        sample("e", b"2", b"1"),
    ]
    assert sharing(samples) == sharing(samples[::-1]) == [["a", "b", "d", "e"]]
    assert sharing([sample("a", b"1"), sample("b", b"2")]) == []


@pytest.mark.parametrize(
    "groups",
    [
        [["00", "01"]],
        [["00", "01", "02"], ["03", "04"]],
        [["00", "03"], ["01", "04"], ["02", "05", "06"]],
        [["04", "05", "06"]],
    ],
)
def test_a_partner_shows_another_image_and_everybody_is_one(groups: list[list[str]]) -> None:
    found = partners(IDS, groups)
    assert sorted(found.values()) == IDS
    for one, other in found.items():
        assert one != other
        assert not any(one in group and other in group for group in groups)
    assert partners(IDS[::-1], groups[::-1]) == found
    assert partners_hash(IDS, groups) != partners_hash(IDS)


def test_an_image_of_more_than_half_of_the_samples_uses_the_others_more_than_once() -> None:
    found = partners(IDS, [IDS[:5]])
    assert {found[one] for one in IDS[:5]} == set(IDS[5:])
    assert {found[one] for one in IDS[5:]} <= set(IDS[:5])
    assert max(Counter(found.values()).values()) == 3


def test_one_image_in_every_sample_has_no_partner_for_any() -> None:
    assert partners(IDS, [IDS]) == {}


def test_partners_that_differ_anyway_keep_their_old_name() -> None:
    groups = [["00", "03"]]
    assert partners(IDS, groups) == partners(IDS)
    assert partners_hash(IDS, groups) == partners_hash(IDS)
