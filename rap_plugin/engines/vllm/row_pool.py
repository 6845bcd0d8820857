"""Rows of numbers on one device, allocated as they are needed and never beyond a bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SLAB_BYTES = 32 * 2**20
"""Memory taken from the device at a time."""


class RowPool:
    """At most `limit_bytes` of rows of `width` numbers. Rows are numbered; whoever takes one gives it back.

    What is written is copied, so nothing outside is kept alive.
    """

    def __init__(
        self, width: int, dtype: torch.dtype, device: torch.device | str, limit_bytes: int, slab_bytes: int = SLAB_BYTES
    ) -> None:
        self.width = width
        self.row_bytes = width * dtype.itemsize
        self.capacity = limit_bytes // self.row_bytes
        """Rows that there can be; falls where the device has no memory for them."""
        self._dtype, self._device = dtype, device
        self._slab_rows = max(1, min(slab_bytes // self.row_bytes, self.capacity))
        self._slabs: list[Tensor] = []
        self._free: list[int] = []
        self._taken = 0

    @property
    def room(self) -> int:
        """Rows that can be taken, as far as is known."""
        return self.capacity - self._taken

    @property
    def held_bytes(self) -> int:
        """What the slabs take on the device now."""
        return sum(len(slab) for slab in self._slabs) * self.row_bytes

    def take(self, count: int) -> list[int] | None:
        """Numbers of `count` rows, None where there are not so many."""
        while len(self._free) < count and self._grow():
            pass
        if len(self._free) < count:
            return None
        taken = [self._free.pop() for _ in range(count)]
        self._taken += count
        return taken

    def give_back(self, rows: Sequence[int]) -> None:
        self._free.extend(reversed(rows))
        self._taken -= len(rows)

    def write(self, rows: Sequence[int], values: Tensor) -> None:
        """Copies values (n, width) into n rows."""
        for slab, places, numbers in self._by_slab(rows):
            slab[numbers] = values if len(places) == len(rows) else values[places]

    def read(self, rows: Sequence[int]) -> Tensor:
        """A copy of n rows: (n, width)."""
        import torch

        values = torch.empty((len(rows), self.width), dtype=self._dtype, device=self._device)
        for slab, places, numbers in self._by_slab(rows):
            values[places] = slab[numbers]
        return values

    def zeros(self, *shape: int) -> Tensor:
        """A tensor of the pool's kind, outside of its bound."""
        import torch

        return torch.zeros(shape, dtype=self._dtype, device=self._device)

    def _by_slab(self, rows: Sequence[int]) -> Iterator[tuple[Tensor, list[int], list[int]]]:
        """Per slab: places in `rows`, and row numbers inside the slab."""
        grouped: dict[int, tuple[list[int], list[int]]] = {}
        for place, row in enumerate(rows):
            places, numbers = grouped.setdefault(row // self._slab_rows, ([], []))
            places.append(place)
            numbers.append(row % self._slab_rows)
        for slab, (places, numbers) in grouped.items():
            yield self._slabs[slab], places, numbers

    def _grow(self) -> bool:
        """Takes another slab from the device; False where the bound or the device is at its end."""
        import torch

        known = len(self._slabs) * self._slab_rows
        count = min(self._slab_rows, self.capacity - known)
        if count <= 0:
            return False
        try:
            # Made inside a step or outside of one: written from both.
            with torch.inference_mode(False):
                slab = torch.empty((count, self.width), dtype=self._dtype, device=self._device)
        except RuntimeError:  # the device has less than the bound allows
            self.capacity = known
            return False
        self._slabs.append(slab)
        # The lowest number is taken first: rows that are taken together then lie together.
        self._free[:0] = range(known + count - 1, known - 1, -1)
        return True
