"""Attention inside vLLM: queries and keys of the last decoder layer, kept while the engine runs, reduced in its workers.

`CaptureExtension` is named to vLLM as `worker_extension_cls`, so that the driver calls it by method name with
plain arguments and gets plain numbers back: no pickled functions, no patched vLLM classes.

How a sequence is put together again, whatever the batch looked like:

- **Keys** go into a mirror, one row per slot of the KV cache, written from the same `key` and the same slot mapping
  as the cache itself. A prompt's keys are therefore there for every request that hits its blocks in the prefix
  cache, and chunked prefill, decoding and preemption need no case of their own. The mirror has a plain layout (caches
  are packed differently by every backend) and costs 1 / (2 * layers) of the KV cache.
- **Queries** are kept per request, for response positions alone. Their rows are found in the flattened batch by
  the slots that they write, which are computed from the scheduler's block lists. The order of the batch, which differs
  between vLLM's two model runners, therefore does not matter, and a row that is not there is noticed.
- **What was not seen is not guessed.** A step that ran without our code (a CUDA graph that holds the attention
  call), a row that hit the prefix cache, or keys that were never mirrored (NaN) give a reason instead of a number.
- **Tensor parallel** ranks hold some heads each: rows are reduced over the local heads, then over ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import one_line
from rap_plugin.evidence.variants import STATISTIC_COLUMNS

if TYPE_CHECKING:
    from torch import Tensor

REQUEST = "rap_attention"
"""`SamplingParams.extra_args[REQUEST] = [key, first]`: keep this request's queries from position `first` on."""

QUERY_BYTES = 2 * 2**30
"""Kept queries per rank; requests beyond it are left to a pass of their own."""

BATCH_BYTES = 32 * 2**20
"""Queries and keys, padded, that are reduced together."""

Measured = dict[str, "float | None"] | str
"""The statistics of one response, or the reason why there are none."""


@dataclass
class Tracked:
    """One request whose queries are kept: its blocks, and what was seen of it."""

    key: str
    first: int
    """Position of the first row that is wanted."""
    blocks: list[int]
    cached: int
    """Tokens whose keys came from the prefix cache when the request started."""
    queries: list[tuple[int, Tensor]] = field(default_factory=list)
    """(position of the first row, (n, H, d)) in the order of the steps."""
    next: int = 0
    """Position up to which rows are there without a gap."""
    keys: Tensor | None = None
    """(L, Hkv, d), once the request has ended and its blocks may go to others."""
    computed: int = 0
    """Tokens that the model has read."""
    reason: str = ""


class CaptureExtension:
    """Methods added to vLLM's worker class; every one is called on all ranks, by name."""

    def rap_attention_start(self) -> dict[str, Any]:
        """Begins to keep queries and keys. Call it right after `reset_prefix_cache`.

        Returns `reason` (empty where the last layer can be read) and `row_bytes`, the size of one query row.
        """
        self.rap_attention_stop()
        try:
            capture = Capture(self)
        except Unreadable as error:
            return {"reason": str(error), "row_bytes": 0}
        self.__dict__["_rap_capture"] = capture
        return {"reason": "", "row_bytes": capture.row_bytes}

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
        if capture is None:
            return ["attention is not being captured" for _ in wanted]
        return capture.collect(wanted) if capture.layer is not None else []


class Unreadable(Exception):
    """The last layer's attention is not one that `engines.ace` computes: the message says why."""


class Capture:
    """What one worker keeps. It wraps two bound methods of two objects, and nothing else, until `remove`."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.tracked: dict[str, Tracked] = {}
        self.done: dict[str, Tracked] = {}
        self.plan: list[tuple[Tracked, int, int]] = []
        self.seen_step = False
        self.stale = False
        """Whether a step went by unseen: then the mirror may hold old keys for blocks of the prefix cache."""
        self.query_bytes = 0
        self.row_bytes = 0
        self.name, self.layer, self.group = find_last_layer(worker)
        if self.layer is None:
            return
        import torch

        cache = worker.cache_config
        self.block_size = int(worker.model_runner.kv_cache_config.kv_cache_groups[self.group].kv_cache_spec.block_size)
        slots = int(cache.num_gpu_blocks) * self.block_size
        dtype, device = worker.model_config.dtype, worker.device
        heads, size = self.layer.num_heads, self.layer.head_size
        self.row_bytes = heads * size * torch.empty((), dtype=dtype).element_size()
        try:
            # One spare row at the end: padding tokens have slot -1.
            self.mirror = torch.full(
                (slots + 1, self.layer.num_kv_heads, size), float("nan"), dtype=dtype, device=device
            )
        except RuntimeError:
            share = (slots + 1) * self.layer.num_kv_heads * size * self.row_bytes / (heads * size) / 1e9
            raise Unreadable(f"no memory for a {share:.1f} GB mirror of keys; lower gpu_memory_utilization") from None
        self._execute = worker.execute_model
        self._attend = self.layer.impl.forward
        worker.execute_model = self.execute_model
        self.layer.impl.forward = self.forward

    def remove(self) -> None:
        """Takes both wrappers off and frees what is kept."""
        if self.layer is not None:
            del self.worker.execute_model
            del self.layer.impl.forward
            self.layer = None
            del self.mirror
        self.tracked.clear()
        self.done.clear()

    # -- in every step --------------------------------------------------------------------------------------------

    def execute_model(self, scheduled: Any, *args: Any, **options: Any) -> Any:
        """The worker's step, with the scheduler's decisions read first."""
        self.follow(scheduled)
        self.seen_step = False
        result = self._execute(scheduled, *args, **options)
        if scheduled.total_num_scheduled_tokens > 0 and not self.seen_step:
            self.stale = True
            for identity in scheduled.num_scheduled_tokens:
                if identity in self.tracked:
                    self.lose(self.tracked[identity], "a step ran inside a CUDA graph that holds the attention call")
        self.plan = []
        return result

    def follow(self, scheduled: Any) -> None:
        """Keeps block lists and plans which rows of this step to keep."""
        for identity in scheduled.finished_req_ids:
            self.end(identity)
        for request in scheduled.scheduled_new_reqs:
            self.begin(request)
        cached = scheduled.scheduled_cached_reqs
        positions: dict[str, int] = {}
        for at, identity in enumerate(cached.req_ids):
            tracked = self.tracked.get(identity)
            if tracked is None:
                continue
            positions[identity] = cached.num_computed_tokens[at]
            blocks = cached.new_block_ids[at]
            if identity in cached.resumed_req_ids:
                tracked.blocks = list(blocks[self.group])
            elif blocks is not None:
                tracked.blocks.extend(blocks[self.group])
        for request in scheduled.scheduled_new_reqs:
            positions[request.req_id] = request.num_computed_tokens
        self.plan = []
        for identity, position in positions.items():
            tracked = self.tracked.get(identity)
            if tracked is None or tracked.reason:
                continue
            stop = position + scheduled.num_scheduled_tokens.get(identity, 0)
            tracked.computed = stop
            begin = max(position, tracked.next)
            if begin > tracked.next:
                self.lose(tracked, "rows of the response came from the prefix cache")
            elif stop > begin:
                self.plan.append((tracked, begin, stop))

    def begin(self, request: Any) -> None:
        """A request starts, or (in vLLM's second model runner) goes on after a preemption."""
        known = self.tracked.get(request.req_id)
        if known is not None:
            known.blocks = list(request.block_ids[self.group])
            return
        params = request.sampling_params
        marked = (params.extra_args or {}).get(REQUEST) if params is not None else None
        if marked is None:
            return
        key, first = str(marked[0]), int(marked[1])
        tracked = Tracked(key, first, list(request.block_ids[self.group]), request.num_computed_tokens, next=first)
        self.tracked[request.req_id] = tracked
        if self.stale and tracked.cached:
            self.lose(tracked, "its prompt came from the prefix cache after a step that was not seen")
        elif self.query_bytes > QUERY_BYTES:
            self.lose(tracked, "too many responses at once to keep their queries")

    def end(self, identity: str) -> None:
        """A request has ended: takes its keys before its blocks are written by others."""
        tracked = self.tracked.pop(identity, None)
        if tracked is None:
            return
        if not tracked.reason:
            tracked.keys = self.mirror[self.slots(tracked, 0, min(tracked.computed, tracked.next))]
        self.done[tracked.key] = tracked

    def lose(self, tracked: Tracked, reason: str) -> None:
        """Gives a request up: it gets a reason, never a number."""
        tracked.reason = reason
        self.query_bytes -= sum(rows.shape[0] for _, rows in tracked.queries) * self.row_bytes
        tracked.queries = []

    def slots(self, tracked: Tracked, begin: int, stop: int) -> list[int]:
        """Slots in the KV cache of positions begin .. stop - 1."""
        # Plain integers: while decoding these are one or two per request, where tensors would cost more than the step.
        size, blocks = self.block_size, tracked.blocks
        return [blocks[position // size] * size + position % size for position in range(begin, stop)]

    # -- in the last layer ----------------------------------------------------------------------------------------

    def forward(self, layer: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Any:
        """The attention call itself, after a look at its queries (tokens, H, d) and keys (tokens, Hkv, d)."""
        self.see(query, key)
        return self._attend(layer, query, key, value, *args, **options)

    def see(self, query: Tensor, key: Tensor) -> None:
        """Mirrors this step's keys and keeps the planned queries."""
        from vllm.forward_context import get_forward_context

        mapping = get_forward_context().slot_mapping
        slots = mapping.get(self.name) if isinstance(mapping, dict) else None
        if slots is None:  # a warm-up, or a batch split in two (then the step counts as unseen)
            return
        count = min(len(slots), len(key))
        slots = slots[:count].long()
        self.mirror[slots] = key[:count].to(self.mirror.dtype)
        self.seen_step = True
        if not self.plan:
            return
        try:
            self.keep(query, slots)
        except RuntimeError as error:
            reason = one_line(error, 200)
            for tracked, _, _ in self.plan:
                self.lose(tracked, f"its queries could not be kept ({reason})")

    def keep(self, query: Tensor, slots: Tensor) -> None:
        """Copies the planned rows of `query`, found by the slots that they write."""
        import torch

        planned = [slot for tracked, begin, stop in self.plan for slot in self.slots(tracked, begin, stop)]
        wanted = torch.tensor(planned, dtype=torch.long, device=slots.device)
        ordered, order = slots.sort()
        at = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
        rows = query[order[at]]
        # Rows that are not where they should be become NaN: known without waiting for the device.
        rows = rows.masked_fill((ordered[at] != wanted)[:, None, None], float("nan"))
        done = 0
        for tracked, begin, stop in self.plan:
            tracked.queries.append((begin, rows[done : done + stop - begin]))
            tracked.next = stop
            done += stop - begin
        self.query_bytes += done * self.row_bytes

    # -- when asked -----------------------------------------------------------------------------------------------

    def collect(self, wanted: Sequence[Sequence[Any]]) -> list[Measured]:
        """Statistics in the order of `wanted`; see `CaptureExtension.rap_attention_collect`."""
        import torch

        keys = {key for key, _ in wanted}
        for identity in [identity for identity, tracked in self.tracked.items() if tracked.key in keys]:
            self.end(identity)
        found: list[Measured] = ["not measured" for _ in wanted]
        ready: list[tuple[int, Tracked, int]] = []
        for at, (key, rows) in enumerate(wanted):
            tracked = self.done.pop(key, None)
            if tracked is None:
                found[at] = "the request was not seen"
                continue
            self.query_bytes -= sum(part.shape[0] for _, part in tracked.queries) * self.row_bytes
            if tracked.reason:
                found[at] = tracked.reason
            elif rows < 2:
                found[at] = dict.fromkeys(STATISTIC_COLUMNS)
            elif tracked.next < tracked.first + rows or tracked.keys is None:
                found[at] = f"only {max(0, tracked.next - tracked.first)} of {rows} rows were seen"
            else:
                ready.append((at, tracked, rows))
        ready = self.agreed(ready, len(wanted))
        for at, _, _ in ready:
            found[at] = "another rank did not see it"
        ready.sort(key=lambda entry: (entry[2], entry[1].first, entry[0]))
        with torch.inference_mode():
            for batch in self.batches(ready):
                for (at, _, _), statistics in zip(batch, self.reduce(batch), strict=True):
                    broken = any(value is not None and value != value for value in statistics.values())
                    found[at] = "its queries or keys were not all seen" if broken else statistics
        return found

    def agreed(self, ready: list[tuple[int, Tracked, int]], count: int) -> list[tuple[int, Tracked, int]]:
        """What all tensor-parallel ranks have: else one would wait for rows that another never sends."""
        import torch
        from vllm.distributed import get_tp_group

        group = get_tp_group()
        if group.world_size == 1 or not count:
            return ready
        flags = torch.zeros(count, dtype=torch.int32, device=self.mirror.device)
        flags[[at for at, _, _ in ready]] = 1
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MIN, group=group.device_group)
        shared = flags.tolist()
        return [entry for entry in ready if shared[entry[0]]]

    def batches(self, ready: list[tuple[int, Tracked, int]]) -> list[list[tuple[int, Tracked, int]]]:
        """Responses alike in length, in batches whose padded queries and keys stay within BATCH_BYTES."""
        assert self.layer is not None
        share = self.layer.num_kv_heads / self.layer.num_heads
        out: list[list[tuple[int, Tracked, int]]] = []
        most = 0.0
        for entry in ready:
            _, tracked, rows = entry
            most = max(most, (rows + share * (tracked.first + rows)) * self.row_bytes)
            if not out or most * (len(out[-1]) + 1) > BATCH_BYTES:
                out.append([])
                most = (rows + share * (tracked.first + rows)) * self.row_bytes
            out[-1].append(entry)
        return out

    def reduce(self, batch: list[tuple[int, Tracked, int]]) -> list[dict[str, float | None]]:
        """`ace.measure` over a batch, padded as it asks: prompts in front, responses at the end."""
        import torch

        from rap_plugin.engines import ace

        assert self.layer is not None
        width = max(rows for _, _, rows in batch)
        front = max(tracked.first for _, tracked, _ in batch)
        size = self.layer.head_size
        query = self.mirror.new_zeros(len(batch), width, self.layer.num_heads, size)
        key = self.mirror.new_zeros(len(batch), front + width, self.layer.num_kv_heads, size)
        starts = []
        for at, (_, tracked, rows) in enumerate(batch):
            joined = torch.cat([part for _, part in tracked.queries])[:rows]
            start = front - tracked.first
            query[at, :rows] = joined
            assert tracked.keys is not None
            key[at, start : front + rows] = tracked.keys[: tracked.first + rows]
            starts.append(start)
        return ace.measure(
            query.transpose(1, 2),
            key.transpose(1, 2),
            float(self.layer.impl.scale),
            rows=[rows for _, _, rows in batch],
            starts=starts,
            softcap=float(getattr(self.layer.impl, "logits_soft_cap", None) or 0.0) or None,
            combine=over_ranks,
        )


def over_ranks(top: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum and mean over all heads from those over each tensor-parallel rank's heads (equally many on each)."""
    import torch
    from vllm.distributed import get_tp_group

    group = get_tp_group()
    if group.world_size > 1:
        top, mean = top.contiguous(), mean.contiguous()
        torch.distributed.all_reduce(top, torch.distributed.ReduceOp.MAX, group=group.device_group)
        torch.distributed.all_reduce(mean, torch.distributed.ReduceOp.SUM, group=group.device_group)
        mean = mean / group.world_size
    return top, mean


def find_last_layer(worker: Any) -> tuple[str, Any, int]:
    """Name, module and KV cache group of the last decoder layer's attention; no module on ranks without it.

    Raises Unreadable where its attention is not plain causal softmax attention over a plain cache.
    """
    from vllm.distributed import get_pp_group
    from vllm.model_executor.layers.attention import Attention
    from vllm.model_executor.models.utils import extract_layer_index

    config = worker.vllm_config
    parallel = config.parallel_config
    if config.speculative_config is not None:
        raise Unreadable("speculative decoding mixes drafts into the batch")
    if getattr(parallel, "decode_context_parallel_size", 1) > 1:
        raise Unreadable("context parallelism splits a sequence's keys over ranks")
    if getattr(parallel, "prefill_context_parallel_size", 1) > 1:
        raise Unreadable("context parallelism splits a sequence's keys over ranks")
    if config.kv_transfer_config is not None:
        raise Unreadable("keys that a KV connector brings are not seen")
    if not get_pp_group().is_last_rank:
        return "", None, 0
    groups = worker.model_runner.kv_cache_config.kv_cache_groups
    of_group = {name: at for at, group in enumerate(groups) for name in group.layer_names}
    last = worker.model_config.hf_text_config.num_hidden_layers - 1
    layers = config.compilation_config.static_forward_context
    named = [name for name in of_group if name in layers and extract_layer_index(name) == last]
    if len(named) != 1:
        raise Unreadable(f"layer {last}, the last, has {len(named)} attention caches instead of one")
    name = named[0]
    layer = layers[name]
    kind = f"{name} is {type(layer).__name__}"
    if type(layer) is not Attention or str(layer.attn_type) not in ("decoder", "AttentionType.DECODER"):
        raise Unreadable(f"{kind}, not plain decoder attention")
    impl = layer.impl
    if layer.sliding_window is not None:
        raise Unreadable(f"{kind} with a sliding window, whose keys are dropped on the way")
    if layer.has_sink or getattr(impl, "sinks", None) is not None:
        raise Unreadable(f"{kind} with attention sinks")
    if getattr(impl, "alibi_slopes", None) is not None:
        raise Unreadable(f"{kind} with ALiBi")
    if layer.kv_sharing_target_layer_name is not None:
        raise Unreadable(f"{kind} that shares the cache of another layer")
    if layer.kv_cache_torch_dtype != worker.model_config.dtype or layer.query_quant is not None:
        raise Unreadable(f"{kind} with a {layer.kv_cache_dtype} cache, whose keys are not the ones it was given")
    return name, layer, of_group[name]
