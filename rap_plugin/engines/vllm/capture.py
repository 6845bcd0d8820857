"""Attention inside vLLM: queries and keys of the last decoder layer, kept while the engine runs, reduced in its workers.

`CaptureExtension` is named to vLLM as `worker_extension_cls`, so that the driver calls it by method name with
plain arguments and gets plain numbers back: no pickled functions, no patched vLLM classes.

How a sequence is put together again, whatever the batch looked like:

- **Keys** go into a mirror, one row per slot of the KV cache, written from the same `key` and the same slot mapping
  as the cache itself. A prompt's keys are therefore there for every request that hits its blocks in the prefix
  cache, and chunked prefill, decoding and preemption need no case of their own. The mirror has a plain layout (caches
  are packed differently by every backend) and costs 1 / (2 * layers) of the KV cache.
- **Queries** are kept per request, for response positions alone, as copies within a bound (`tracked`). Their rows are
  found in the flattened batch by the slots that they write, which are computed from the scheduler's block lists. The
  order of the batch, which differs between vLLM's two model runners, therefore does not matter, and a row that is not
  there is noticed.
- **What was not seen is not guessed.** A step that ran without our code (a CUDA graph that holds the attention
  call), a row that hit the prefix cache, or keys that were never mirrored (NaN) give a reason instead of a number.
- **Tensor parallel** ranks hold some heads each: rows are reduced over the local heads, then over ranks (`ranks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rap_plugin.engines.vllm.full_graphs import CannotPutAside, put_aside_full_graphs
from rap_plugin.engines.vllm.last_layer import LastAttention, UnreadableAttention, find_last_layer
from rap_plugin.engines.vllm.options import KEPT_GB
from rap_plugin.engines.vllm.ranks import Ranks
from rap_plugin.engines.vllm.reduction import AttentionShape, Measured, measure_all
from rap_plugin.engines.vllm.row_pool import RowPool
from rap_plugin.engines.vllm.tracked import PlannedRows, TrackedRequest, TrackedRequests
from rap_plugin.errors import one_line

if TYPE_CHECKING:
    from torch import Tensor

REQUEST = "rap_attention"
"""`SamplingParams.extra_args[REQUEST] = [key, first]`: keep this request's queries from position `first` on."""

KEPT_BYTES = int(KEPT_GB * 2**30)
"""Queries and keys kept per rank, beside the mirror; requests beyond it are left to a pass of their own."""


class CaptureExtension:
    """Methods added to vLLM's worker class; every one is called on all ranks, by name."""

    def rap_attention_start(self, limit_bytes: int = KEPT_BYTES) -> dict[str, Any]:
        """Begins to keep queries and keys. Call it right after `reset_prefix_cache`.

        Returns `reason` (empty where the last layer can be read); `room`, the rows that are kept at most: one per
        response token, and `key_share` for every token of prompt and response; `cost`, what makes it dearer than it
        should be. Ranks without the last layer have no room.
        """
        self.rap_attention_stop()
        nothing = {"reason": "", "room": 0, "key_share": 0.0, "cost": ""}
        try:
            last = find_last_layer(self)
            if last is None:
                return nothing
            capture = Capture(self, last, limit_bytes)
        except UnreadableAttention as error:
            return {**nothing, "reason": str(error)}
        except Exception as error:
            # A name of vLLM that moved must not look like a broken engine, which would be started again and again.
            return {**nothing, "reason": f"this vLLM is not as expected ({one_line(error)})"}
        self.__dict__["_rap_capture"] = capture
        share = capture.shape.kv_heads / capture.shape.heads
        return {"reason": "", "room": capture.requests.pool.capacity, "key_share": share, "cost": capture.cost}

    def rap_attention_stop(self) -> None:
        """Puts everything back and frees the mirror."""
        capture = self.__dict__.pop("_rap_capture", None)
        if capture is not None:
            capture.remove()

    def rap_attention_collect(self, wanted: list[list[Any]]) -> list[Measured]:
        """Statistics of ended requests, `wanted` = [key, usable rows] each; forgets them.

        Empty on ranks that do not hold the last layer.
        """
        capture = self.__dict__.get("_rap_capture")
        return [] if capture is None else capture.collect([(key, rows) for key, rows in wanted])


class Capture:
    """What one worker keeps. It wraps two bound methods of two objects, and nothing else, until `remove`."""

    def __init__(self, worker: Any, last: LastAttention, limit_bytes: int) -> None:
        from vllm.distributed import get_tp_group

        self.worker = worker
        self.last = last
        self.shape = attention_shape(last.layer)
        tensor_parallel = get_tp_group()
        self.ranks = Ranks(tensor_parallel.world_size, tensor_parallel.device_group, tensor_parallel.cpu_group)
        cache = worker.model_runner.kv_cache_config.kv_cache_groups[last.cache_group].kv_cache_spec
        self.block_size = int(cache.block_size)
        self.mirror = self._make_mirror(int(worker.cache_config.num_gpu_blocks) * self.block_size)
        width = self.shape.heads * self.shape.head_size
        pool = RowPool(width, worker.model_config.dtype, worker.device, limit_bytes)
        self.requests = TrackedRequests(pool, self.shape.kv_heads, self.shape.head_size)
        self.plan: list[PlannedRows] = []
        self.seen_step = False
        self.stale = False
        """Whether a step went by unseen: then the mirror may hold old keys for blocks of the prefix cache."""
        self.cost = ""
        try:
            self._restore_graphs = put_aside_full_graphs(worker)
        except CannotPutAside as error:
            self._restore_graphs = lambda: None
            self.cost = (
                f"vLLM's full CUDA graphs hide attention and cannot be put aside ({error}): every response is read twice; "
                "with enforce_eager or cudagraph_mode PIECEWISE it is not"
            )
        # Not the worker's: one of vLLM's executors calls its model runner directly.
        self._execute = worker.model_runner.execute_model
        self._attend = last.layer.impl.forward
        worker.model_runner.execute_model = self.execute_model
        last.layer.impl.forward = self.forward

    def remove(self) -> None:
        """Takes both wrappers off and frees what is kept."""
        del self.worker.model_runner.execute_model
        del self.last.layer.impl.forward
        self._restore_graphs()
        del self.mirror, self.requests

    def _make_mirror(self, slots: int) -> Tensor:
        """Keys by slot of the KV cache, NaN until they are seen: (slots + 1, Hkv, d)."""
        import torch

        # One spare row at the end: padding tokens have slot -1.
        size = (slots + 1, self.shape.kv_heads, self.shape.head_size)
        dtype = self.worker.model_config.dtype
        try:
            return torch.full(size, float("nan"), dtype=dtype, device=self.worker.device)
        except RuntimeError:
            gigabytes = size[0] * size[1] * size[2] * dtype.itemsize / 1e9
            raise UnreadableAttention(
                f"no memory for a {gigabytes:.1f} GB mirror of keys; lower gpu_memory_utilization"
            ) from None

    # -- in every step --------------------------------------------------------------------------------------------

    def execute_model(self, scheduled: Any, *args: Any, **options: Any) -> Any:
        """The model runner's step, with the scheduler's decisions read first."""
        if options.get("dummy_run"):
            return self._execute(scheduled, *args, **options)
        try:
            self.follow(scheduled)
        except Exception as error:
            # Sampling goes on whatever happens here.
            self.plan, self.stale = [], True
            self.requests.lose_all(f"its step could not be followed ({one_line(error)})")
        self.seen_step = False
        result = self._execute(scheduled, *args, **options)
        if scheduled.total_num_scheduled_tokens > 0 and not self.seen_step:
            self.stale = True
            for identity in scheduled.num_scheduled_tokens:
                self._lose(self.requests.running.get(identity), "a step ran inside a CUDA graph, where nothing is seen")
        self.plan = []
        return result

    def follow(self, scheduled: Any) -> None:
        """Keeps block lists and plans which rows of this step to keep."""
        for identity in scheduled.finished_req_ids:
            self.requests.end(identity, self.mirrored_keys)
        positions: dict[str, int] = {}
        for request in scheduled.scheduled_new_reqs:
            self.begin(request)
            positions[request.req_id] = request.num_computed_tokens
        positions |= self.go_on(scheduled.scheduled_cached_reqs)
        self.plan = []
        for identity, position in positions.items():
            tracked = self.requests.running.get(identity)
            if tracked is None or tracked.lost:
                continue
            tracked.computed = position + scheduled.num_scheduled_tokens.get(identity, 0)
            if position > tracked.next:
                self._lose(tracked, "rows of the response came from the prefix cache")
            elif tracked.computed > tracked.next:
                self.plan.append(PlannedRows(tracked, tracked.next, tracked.computed))

    def begin(self, request: Any) -> None:
        """A request starts, or (in vLLM's second model runner) goes on after a preemption."""
        blocks = list(request.block_ids[self.last.cache_group])
        known = self.requests.running.get(request.req_id)
        if known is not None:
            known.blocks = blocks
            return
        parameters = request.sampling_params
        marked = (parameters.extra_args or {}).get(REQUEST) if parameters is not None else None
        if marked is None:
            return
        tracked = TrackedRequest(str(marked[0]), int(marked[1]), blocks)
        self.requests.running[request.req_id] = tracked
        if self.stale and request.num_computed_tokens:
            self._lose(tracked, "its prompt came from the prefix cache after a step that was not seen")

    def go_on(self, cached: Any) -> dict[str, int]:
        """Requests that run already: adds their new blocks, returns the position where each goes on."""
        positions: dict[str, int] = {}
        for at, identity in enumerate(cached.req_ids):
            tracked = self.requests.running.get(identity)
            if tracked is None:
                continue
            positions[identity] = cached.num_computed_tokens[at]
            blocks = cached.new_block_ids[at]
            if identity in cached.resumed_req_ids:
                tracked.blocks = list(blocks[self.last.cache_group])
            elif blocks is not None:
                tracked.blocks.extend(blocks[self.last.cache_group])
        return positions

    def slots(self, tracked: TrackedRequest, begin: int, stop: int) -> list[int]:
        """Slots in the KV cache of positions begin .. stop - 1."""
        # Plain integers: while decoding these are one or two per request, where tensors would cost more than the step.
        size, blocks = self.block_size, tracked.blocks
        return [blocks[position // size] * size + position % size for position in range(begin, stop)]

    def mirrored_keys(self, tracked: TrackedRequest, count: int) -> Tensor:
        """The first `count` keys of a request whose blocks are still its own: (count, Hkv, d)."""
        return self.mirror[self.slots(tracked, 0, count)]

    def _lose(self, tracked: TrackedRequest | None, reason: str) -> None:
        if tracked is not None and not tracked.lost:
            self.requests.lose(tracked, reason)

    # -- in the last layer ----------------------------------------------------------------------------------------

    def forward(self, layer: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Any:
        """The attention call itself, after a look at its queries (tokens, H, d) and keys (tokens, Hkv, d)."""
        self.see(query, key)
        return self._attend(layer, query, key, value, *args, **options)

    def see(self, query: Tensor, key: Tensor) -> None:
        """Mirrors this step's keys and keeps the planned queries. Whatever happens here, the step goes on."""
        try:
            slots = self.written_slots(len(key))
            if slots is None:  # a warm-up, or a batch split in two (then the step counts as unseen)
                return
            self.mirror[slots] = key[: len(slots)].to(self.mirror.dtype)
            self.seen_step = True
            self.keep(query, slots)
        except Exception as error:
            for rows in self.plan:
                self._lose(rows.tracked, f"its queries could not be kept ({one_line(error, 200)})")

    def written_slots(self, most: int) -> Tensor | None:
        """The slots of the KV cache that this call writes, one per token; None where vLLM does not say."""
        from vllm.forward_context import get_forward_context

        mapping = get_forward_context().slot_mapping
        slots = mapping.get(self.last.name) if isinstance(mapping, dict) else None
        return None if slots is None else slots[:most].long()

    def keep(self, query: Tensor, slots: Tensor) -> None:
        """Copies the planned rows of `query`, found by the slots that they write, as far as there is room."""
        import torch

        planned = self.requests.reserve(self.plan)
        if not planned:
            return
        written = [slot for rows in planned for slot in self.slots(rows.tracked, rows.begin, rows.stop)]
        wanted = torch.tensor(written, dtype=torch.long, device=slots.device)
        ordered, order = slots.sort()
        at = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
        # Rows that are not where they should be become NaN: known without waiting for the device.
        found = query[order[at]].masked_fill_((ordered[at] != wanted)[:, None, None], float("nan"))
        self.requests.write(planned, found)

    # -- when asked -----------------------------------------------------------------------------------------------

    def collect(self, wanted: Sequence[tuple[str, int]]) -> list[Measured]:
        """Statistics in the order of `wanted`; see `CaptureExtension.rap_attention_collect`."""
        keys = {key for key, _ in wanted}
        for identity in [identity for identity, one in self.requests.running.items() if one.key in keys]:
            self.requests.end(identity, self.mirrored_keys)
        measured = measure_all(self.requests, wanted, self.shape, self.ranks)
        for key in keys:
            self.requests.forget(key)
        return measured


def attention_shape(layer: Any) -> AttentionShape:
    """What `ace.measure` needs to know of vLLM's `Attention` module, on this rank."""
    softcap = float(getattr(layer.impl, "logits_soft_cap", None) or 0.0) or None
    return AttentionShape(
        int(layer.num_heads), int(layer.num_kv_heads), int(layer.head_size), float(layer.impl.scale), softcap
    )
