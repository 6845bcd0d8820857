"""The cache with spare room holds what Transformers' own cache would hold."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import DynamicCache  # noqa: E402

from rap_plugin.engines.hf.cache import LEAST_ROOM, RoomyLayer, make_room  # noqa: E402


def filled(length):
    cache = DynamicCache()
    generator = torch.Generator().manual_seed(length)
    for layer in range(2):
        states = torch.randn(2, 3, 2, length, 4, generator=generator)
        cache.update(states[0], states[1], layer)
    return cache


@pytest.mark.parametrize("length", [1, 700])
def test_it_grows_and_selects_rows_like_a_dynamic_cache(length):
    plain, roomy = filled(length), filled(length)
    make_room(roomy)
    generator = torch.Generator().manual_seed(9)
    rows = 3
    for step in range(2 * LEAST_ROOM):
        if step in (5, 70):
            chosen = torch.tensor([0, 2, 2, 1] if step == 5 else [3, 1])
            plain.batch_select_indices(chosen)
            roomy.batch_select_indices(chosen)
            rows = len(chosen)
        for layer in range(2):
            new = torch.randn(2, rows, 2, 1, 4, generator=generator)
            for wanted, found in zip(
                plain.update(new[0], new[1], layer), roomy.update(new[0], new[1], layer), strict=True
            ):
                assert torch.equal(wanted, found)
        assert roomy.get_seq_length() == plain.get_seq_length() == length + step + 1


def test_a_token_is_written_in_place_while_there_is_room():
    cache = filled(10)
    make_room(cache)
    assert all(type(layer) is RoomyLayer for layer in cache.layers)
    places = set()
    for _ in range(LEAST_ROOM):
        keys, _ = cache.update(torch.ones(3, 2, 1, 4), torch.ones(3, 2, 1, 4), 0)
        places.add(keys.data_ptr())
    assert len(places) == 1
