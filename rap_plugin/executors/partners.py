"""Whose images a sample gets in a blind arm of intervention `shuffle`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from rap_plugin.samples.sample import Sample

Groups = Sequence[Sequence[str]]
"""Ids of samples that share an image, directly or over others: several questions on one picture."""


def sharing(samples: Iterable[Sample]) -> list[list[str]]:
    """The groups of samples that share an image's bytes, each sorted, groups of one left out."""
    leader: dict[str, str] = {}
    first: dict[bytes, str] = {}

    def lead(one: str) -> str:
        while leader[one] != one:
            leader[one] = leader[leader[one]]
            one = leader[one]
        return one

    for sample in samples:
        leader.setdefault(sample.id, sample.id)
        for data in sample.images:
            other = first.setdefault(hashlib.blake2b(data, digest_size=16).digest(), sample.id)
            one, two = sorted((lead(sample.id), lead(other)))
            leader[two] = one
    groups: dict[str, list[str]] = {}
    for one in sorted(leader):
        groups.setdefault(lead(one), []).append(one)
    return [group for _, group in sorted(groups.items()) if len(group) > 1]


def partners(ids: Sequence[str], groups: Groups = ()) -> dict[str, str]:
    """For every sample one whose images it gets: of another group, by ids and so by no row order.

    Everybody's images are used once, unless one group holds more than half of the samples. {} where all share an image.
    """
    ordered, group_of = sorted(ids), _group_of(groups)
    following = {one: ordered[(i + 1) % len(ordered)] for i, one in enumerate(ordered)}
    if not any(_alike(group_of, one, other) for one, other in following.items()):
        return following
    sizes: dict[int, int] = {}
    for one in ordered:
        if one in group_of:
            sizes[group_of[one]] = sizes.get(group_of[one], 0) + 1
    # Groups one after the other, the largest first: as many places on as it has members is another group.
    by_group = sorted(
        ordered, key=lambda one: (-sizes.get(group_of.get(one, -1), 1), group_of.get(one, len(groups)), one)
    )
    most = max(sizes.values(), default=1)
    if 2 * most <= len(ordered):
        return {one: by_group[(i + most) % len(ordered)] for i, one in enumerate(by_group)}
    largest, others = by_group[:most], by_group[most:]
    if not others:
        return {}
    found = {one: others[i % len(others)] for i, one in enumerate(largest)}
    return found | {one: largest[i % most] for i, one in enumerate(others)}


def partners_hash(ids: Sequence[str], groups: Groups = ()) -> str:
    """Names who gets whose images: 16 hexadecimal digits over the pool's samples, and over who shares an image where that
    decides."""
    ordered = sorted(ids)
    text = "\n".join(ordered)
    if groups and partners(ordered, groups) != partners(ordered):
        text += "\n\n" + "\n".join(" ".join(sorted(group)) for group in sorted(map(list, groups)))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _group_of(groups: Groups) -> Mapping[str, int]:
    return {one: number for number, group in enumerate(sorted(map(sorted, groups))) for one in group}


def _alike(group_of: Mapping[str, int], one: str, other: str) -> bool:
    return one == other or (one in group_of and group_of[one] == group_of.get(other))
