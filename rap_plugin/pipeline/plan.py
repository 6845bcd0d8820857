"""What is asked of an engine, batch by batch.

The plan is a function of the pool alone, never of what is missing. For an engine that takes batches: windows of
consecutive samples, sorted by size inside, cut into batches. A restart therefore sees the batches that an undisturbed
run would have seen, skips the finished ones and repeats an unfinished one whole, so both end with the same bytes. For an
engine that streams: one sample after the other, each a batch of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from rap_plugin.config import RunConfig
from rap_plugin.errors import Option, RapError
from rap_plugin.evidence.records import PoolSample
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.executors import Executor
from rap_plugin.executors.batches import Batch, BatchItem, SampleReader
from rap_plugin.executors.partners import Groups, partners, partners_hash, sharing
from rap_plugin.rollout import Arm

SAMPLED: tuple[Arm, ...] = ("blind", "image", "facts")
"""The order of the arms inside a window."""

WINDOW = 512
"""Samples whose images are in memory together: enough to sort by length, read from the file in one go."""

STREAMED_WINDOW = 64
"""The same where nothing is sorted: read in one go, in the order of the pool."""

TEMPLATE_TOKENS, CHARACTERS_PER_TOKEN, PIXELS_PER_TOKEN = 50, 3, 28 * 28
"""What a prompt is taken to have before it is tokenised: rather too many tokens than too few."""

FACTS_TOKENS = 400
"""The same of the facts of a diagram in words."""

SHARED_IMAGES = "shared_images"
"""Name in the store's table of facts: which samples share an image, and of which samples that is known."""


def shared_images(store: EvidenceStore, ids: Sequence[str], pool: SampleReader | None = None) -> Groups:
    """Which of these samples share an image. Where it is not known it is read from the `pool`, all of it; without one it
    counts as none, as in evidence of an older rap."""
    known = json.loads(store.get_meta(SHARED_IMAGES) or "{}")
    of = partners_hash(ids)
    if known.get("of") != of:
        if pool is None:
            return ()
        known = {"of": of, "groups": sharing(pool.all(sample.row for sample in store.samples() if sample.images > 0))}
        store.set_meta(SHARED_IMAGES, json.dumps(known))
    groups: Groups = known["groups"]
    return groups


def plan_sampling(
    store: EvidenceStore,
    config: RunConfig,
    executor: Executor,
    samples: Sequence[PoolSample],
    wanted: Mapping[Arm, Mapping[int, int]],
    asked: Mapping[Arm, Mapping[int, int]] | None = None,
) -> Iterator[Batch]:
    """The batches that sample what is wanted: per arm, bit sets of rollout indices by sample.

    `asked` says how many rollouts of each sample an instalment asks for, those that are stored by now among them; without
    it batches are cut as for all rollouts of all samples.
    """
    by_id = {sample.id: sample for sample in samples}
    partner_of: Mapping[str, str] = {}
    if config.prompt.blind == "shuffle":
        partner_of = partners(list(by_id), shared_images(store, list(by_id)))
        if len(by_id) == 1 or not partner_of:
            has = "has one sample with images" if len(by_id) == 1 else "shows the same image in every sample"
            raise RapError(
                Option("prompt.blind"),
                f" shuffle gives every sample the images of another one, and this pool {has}; take drop, blank or noise",
            )
    streams = executor.streams
    if asked is not None:
        samples = [sample for sample in samples if any(sample.sample in some for some in asked.values())]
    every = dict.fromkeys((sample.sample for sample in samples), config.sampling.rollouts)
    for window in _windows(samples, STREAMED_WINDOW if streams else WINDOW):
        rows = tuple(sample.row for sample in window if any(sample.sample in some for some in wanted.values()))
        for arm in (arm for arm in SAMPLED if arm in wanted):
            responses = every if asked is None else asked.get(arm, {})
            for group in ([sample] for sample in window) if streams else _groups(config, executor, window, responses):
                items = []
                for sample in group:
                    bits = wanted[arm].get(sample.sample, 0)
                    rollouts = tuple(i for i in range(bits.bit_length()) if bits >> i & 1)
                    partner = None
                    if partner_of and arm == "blind":
                        other = by_id[partner_of[sample.id]]
                        partner = (other.row, other.id)
                    if rollouts:
                        tokens = len(rollouts) * _most_tokens(config, sample, arm)
                        items.append(BatchItem(sample.sample, sample.row, sample.id, rollouts, partner, tokens=tokens))
                if items:
                    yield Batch(arm, tuple(items), rows)


def _most_tokens(config: RunConfig, sample: PoolSample, arm: Arm) -> int:
    """Of a prompt, as far as can be told before it is tokenised, and its longest response."""
    pixels = 0 if arm == "blind" and config.prompt.blind == "drop" else sample.pixels
    characters = len(sample.question) + len(config.prompt.instruction or "") + len(config.prompt.system)
    told = FACTS_TOKENS if arm == "facts" else 0
    prompt = TEMPLATE_TOKENS + told + characters // CHARACTERS_PER_TOKEN + pixels // PIXELS_PER_TOKEN
    return min(prompt, config.sampling.max_prompt_tokens) + config.sampling.max_new_tokens


def plan_measuring(
    store: EvidenceStore,
    config: RunConfig,
    executor: Executor,
    probe: int,
    samples: Sequence[PoolSample],
    wanted: Mapping[int, Sequence[int]],
) -> Iterator[Batch]:
    """The batches that measure stored responses: rollout indices by sample."""
    for window in _windows(samples, WINDOW):
        rows = tuple(sample.row for sample in window if sample.sample in wanted)
        every = dict.fromkeys((sample.sample for sample in window), config.sampling.rollouts)
        for group in _groups(config, executor, window, every):
            items = tuple(
                BatchItem(
                    sample.sample,
                    sample.row,
                    sample.id,
                    tuple(rollouts),
                    token_ids=tuple(map(tuple, store.token_ids(probe, sample.sample, rollouts))),
                )
                for sample in group
                if (rollouts := wanted.get(sample.sample))
            )
            if items:
                yield Batch("image", items, rows, measure=True)


def _windows(samples: Sequence[PoolSample], size: int) -> Iterator[Sequence[PoolSample]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _groups(
    config: RunConfig, executor: Executor, window: Sequence[PoolSample], responses: Mapping[int, int]
) -> Iterator[Sequence[PoolSample]]:
    """A window's samples, alike in size, in groups of about the wanted number of responses; those with none are left out."""
    most = config.model.batch_size or executor.batch_size
    group: list[PoolSample] = []
    held = 0
    for sample in sorted(window, key=lambda sample: (sample.pixels, len(sample.question), sample.id)):
        new = responses.get(sample.sample, 0)
        if group and held + new > most:
            yield group
            group, held = [], 0
        if new:
            group.append(sample)
            held += new
    if group:
        yield group
