"""A cache of keys and values with room behind its end, so that reading one more token copies one token.

Transformers' DynamicCache makes every layer's keys and values anew at every token: two copies of the whole cache for
each use of it. Here tokens are written into spare room, which grows by an eighth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

LEAST_ROOM = 64
"""Tokens of spare room at least."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A DynamicLayer whose `keys` and `values` are views of larger tensors."""

    keys: Tensor
    values: Tensor
    _key_room: Tensor | None = None
    _value_room: Tensor | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Writes (N, H, t, d) new keys and values behind the old ones; returns all of them, as views."""
        self.keys, self._key_room = append(self.keys, self._key_room, key_states)
        self.values, self._value_room = append(self.values, self._value_room, value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps the rows `indices`, in their order; one may come several times."""
        super().batch_select_indices(indices)
        self._key_room = self._value_room = None


def append(used: Tensor, room: Tensor | None, new: Tensor) -> tuple[Tensor, Tensor]:
    """Puts `new` behind `used` (N, H, L, d), in `room` where it still has some; returns what is used now, and its room."""
    length, total = used.shape[-2], used.shape[-2] + new.shape[-2]
    if room is None or room.shape[-2] < total:
        room = used.new_empty((*used.shape[:-2], total + max(LEAST_ROOM, total // 8), used.shape[-1]))
        room[..., :length, :] = used
    room[..., length:total, :] = new
    return room[..., :total, :], room


def select_rows(cache: Any, rows: Tensor) -> None:
    """Keeps the rows `rows` of every layer, in their order; one may come several times.

    Layers with a running state (linear attention, convolutions) know this under the name that beam search uses.
    """
    for layer in cache.layers:
        select = getattr(layer, "batch_select_indices", None)
        # A layer of both kinds inherits the selection of its keys and values alone.
        if select is None or hasattr(layer, "recurrent_states"):
            layer.reorder_cache(rows)
        else:
            select(rows)


def make_room(cache: Any) -> None:
    """Gives every plain layer of a filled cache room to grow; other layers (sliding, linear) stay as they are."""
    for at, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            roomy = RoomyLayer.__new__(RoomyLayer)
            roomy.__dict__.update(layer.__dict__)
            cache.layers[at] = roomy


def lay_together(parts: Sequence[tuple[Any, Tensor | None]], longest: int) -> RoomyLayer:
    """One layer of the rows of several, which all end at its right edge and have at most `longest` tokens.

    Each part is a plain layer with keys and values (N, H, L, d) and its rows that are kept; None for all of them.
    """
    first = parts[0][0]
    roomy = RoomyLayer.__new__(RoomyLayer)
    roomy.__dict__.update(first.__dict__)
    rows = sum(layer.keys.shape[0] if kept is None else len(kept) for layer, kept in parts)
    width = longest + max(LEAST_ROOM, longest // 8)
    for used, room in (("keys", "_key_room"), ("values", "_value_room")):
        sample = getattr(first, used)
        space = sample.new_zeros((rows, sample.shape[1], width, sample.shape[3]))
        at = 0
        for layer, kept in parts:
            states = getattr(layer, used)[..., -longest:, :]
            states = states if kept is None else states[kept]
            space[at : at + len(states), :, longest - states.shape[-2] : longest] = states
            at += len(states)
        setattr(roomy, room, space)
        setattr(roomy, used, space[..., :longest, :])
    return roomy


def close_gaps(layer: Any, order: Tensor) -> None:
    """Puts the columns of a plain layer into `order` (N, L), a row's own."""
    where = order[:, None, :, None]
    layer.keys, layer.values = layer.keys.take_along_dim(where, 2), layer.values.take_along_dim(where, 2)
    layer._key_room = layer._value_room = None
