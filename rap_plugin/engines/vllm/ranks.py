"""Tensor-parallel ranks that work on one thing together: none waits for another that has failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class OtherRankFailed(Exception):
    """Another rank has failed in the work that all ranks were doing."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The ranks that share each layer. Every method is called by all of them, in the same order."""

    size: int = 1
    devices: Any = None
    """Process group that moves tensors of the device."""
    hosts: Any = None
    """Process group that moves tensors of the CPU."""

    def agree(self, flags: Sequence[bool]) -> list[bool]:
        """True where the flag is set on every rank."""
        if self.size == 1 or not flags:
            return list(flags)
        import torch

        shared = torch.tensor(list(flags), dtype=torch.int32)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MIN, group=self.hosts)
        return [bool(flag) for flag in shared.tolist()]

    def combine(self, top: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Maximum and mean over all heads from those over each rank's heads (equally many on each).

        Raises OtherRankFailed where another rank has failed before it came here; only inside `together`.
        """
        if self.size == 1:
            return top, mean
        import torch

        if not self.agree([True])[0]:
            raise OtherRankFailed("another rank failed")
        top, mean = top.contiguous(), mean.contiguous()
        torch.distributed.all_reduce(top, torch.distributed.ReduceOp.MAX, group=self.devices)
        torch.distributed.all_reduce(mean, torch.distributed.ReduceOp.SUM, group=self.devices)
        return top, mean / self.size

    def together(self, work: Callable[[], T]) -> T:
        """Runs work that calls `combine`; raises on every rank where it raises on one.

        The ranks ask each other at every `combine` and once at the end. A rank that fails says so at the next
        question and the others stop there: all have then asked equally often.
        """
        try:
            result = work()
        except OtherRankFailed:
            raise
        except Exception:
            self.agree([False])
            raise
        if not self.agree([True])[0]:
            raise OtherRankFailed("another rank failed")
        return result
