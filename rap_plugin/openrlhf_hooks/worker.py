"""The vLLM worker extension of a training run whose attention is read: OpenRLHF's weight updates and our capture."""

from __future__ import annotations

from openrlhf.trainer.ray.vllm_worker_wrap import WorkerWrap

from rap_plugin.engines.vllm.capture import CaptureExtension


class CapturingWorkerWrap(WorkerWrap, CaptureExtension):  # type: ignore[misc]
    """Named to vLLM as `worker_extension_cls` in place of `WorkerWrap`, whose methods it has."""
