"""When memory runs out: how to tell, and how to give back what dropped tensors still hold."""

from __future__ import annotations

import gc

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch could work: CUDA's and MPS's own exception, or the CPU allocator's message."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in text for sign in ("out of memory", "can't allocate memory", "invalid buffer size", "not enough memory")
    )


def is_fatal(error: BaseException) -> bool:
    """Whether every later call on this device would fail too: CUDA reports such errors for the rest of the process."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error) and not is_out_of_memory(error)


def release_memory(device: torch.device) -> None:
    """Gives memory back that dropped tensors still hold: those of a failed batch may hang in reference cycles."""
    if device.type == "cpu":
        gc.collect(1)  # such cycles are young, and a whole collection takes a second where much is imported
        return
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
