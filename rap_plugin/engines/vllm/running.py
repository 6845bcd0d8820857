"""vLLM as it was started: requests go in, finished ones and their attention come out."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rap_plugin.config import ModelConfig
from rap_plugin.engines.base import not_measured
from rap_plugin.engines.vllm.capture import REQUEST
from rap_plugin.engines.vllm.options import KEPT_GB
from rap_plugin.engines.vllm.processes import Answer, EngineProcesses, ProcessesGone
from rap_plugin.errors import RapError, one_line
from rap_plugin.rollout import Attention, Sampling

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 7200.0
"""As `execution.answer_within_s`."""

COLLECT = 64
"""Finished responses whose attention is reduced in one call, while others are still sampled."""


@dataclass(frozen=True, slots=True)
class FinishedRequest:
    """A request that vLLM has finished."""

    key: str
    token_ids: list[int]
    finish_reason: str
    """`stop` where the model ended it, `length` where it was cut; anything else is an accident."""
    stopped_by: str | int | None = None
    """The stop text or, for an end token that is not the tokeniser's own, the token that ended it."""


class RunningVLLM:
    """One started `LLM` with what is known about its model, and the capture in its workers."""

    def __init__(
        self,
        llm: Any,
        processes: EngineProcesses,
        config: ModelConfig,
        device: str,
        length: int,
        processor: Any,
        end_ids: frozenset[int],
    ) -> None:
        self.llm = llm
        self._processes = processes
        self.device = device
        """cuda, rocm, cpu, .."""
        self.config = config
        self.length = length
        """max_model_len."""
        self.processor = processor
        self.end_ids = end_ids
        self.stopped = False
        """Whether its processes have been ended."""
        self.answer_within_s = ANSWER_WITHIN_S
        """A step that takes longer hangs."""
        self.unreadable = ""
        """Why attention cannot be read in vLLM; empty where it can, and before `start_capture`."""
        self.missed: Counter[str] = Counter()
        """Why attention of finished requests was not seen, and how often."""
        self.room = 0
        """Rows that every worker can keep at a time: one per response token, and some for keys (see `needed_rows`)."""
        self._key_share = 0.0
        self._capturing = False
        self._count = 0
        self._listeners: dict[str, Callable[[str], None]] = {}

    # -- requests -------------------------------------------------------------------------------------------------

    def new_key(self) -> str:
        """A name that no request of this engine has had."""
        self._count += 1
        return f"rap-{self._count}"

    def add(
        self,
        inputs: Mapping[str, Any],
        sampling: Sampling,
        *,
        first_row: int | None = None,
        heard: Callable[[str], None] | None = None,
        **parameters: Any,
    ) -> str:
        """Queues a request and returns its key; `first_row` is the position from which its queries are kept.

        `heard` is called with the text so far, after each step that adds to it. `parameters` are vLLM's SamplingParams beyond temperature and top_p. Raises what vLLM raises.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        key = self.new_key()
        # Text is decoded by the caller, once per response, from exactly the tokens that are kept; vLLM itself needs text
        # only to find the texts that stop it.
        settings = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            detokenize="stop" in parameters,
            output_kind=RequestOutputKind.FINAL_ONLY if heard is None else RequestOutputKind.CUMULATIVE,
            extra_args=None if first_row is None else {REQUEST: [key, first_row]},
            **parameters,
        )
        self.llm.llm_engine.add_request(key, dict(inputs), settings)
        if heard is not None:
            self._listeners[key] = heard
        return key

    @property
    def busy(self) -> bool:
        """Whether a request is queued or at work."""
        return bool(self.llm.llm_engine.has_unfinished_requests())

    def step(self) -> list[FinishedRequest]:
        """One step of vLLM; the requests that have finished with it."""
        try:
            outputs = self._call(self.llm.llm_engine.step)
        except Exception as error:
            raise self._broken(error) from error
        found = []
        for output in outputs:
            if not output.finished:
                self._listeners[output.request_id](output.outputs[0].text)
                continue
            self._listeners.pop(output.request_id, None)
            answer = output.outputs[0]
            reason = str(answer.finish_reason)
            found.append(FinishedRequest(output.request_id, list(answer.token_ids), reason, answer.stop_reason))
        return found

    def finished(self) -> Iterator[FinishedRequest]:
        """Runs vLLM until every queued request has finished, and yields each as it does; others may be added meanwhile."""
        try:
            while self.busy:
                yield from self.step()
        except KeyboardInterrupt:
            self.drop_requests()
            raise

    def drop_requests(self) -> None:
        """Drops what is queued and what the workers keep of it, so that the engine can be closed or used again."""
        if self.stopped:
            return
        self._listeners.clear()
        engine = self.llm.llm_engine
        engine.abort_request(list(engine.output_processor.request_states), internal=True)
        with contextlib.suppress(RapError):
            self.stop_capture()

    # -- attention ------------------------------------------------------------------------------------------------

    def usable_rows(self, token_ids: list[int] | tuple[int, ...]) -> int:
        """Usable rows of a response: see `ace.usable_span`."""
        from rap_plugin.engines.ace import usable_span

        first, stop = usable_span(token_ids, self.end_ids)
        return stop - first

    def start_capture(self) -> str:
        """Starts capturing in the workers, once; returns why attention cannot be read, empty where it can."""
        if self._capturing or self.unreadable:
            return self.unreadable
        gigabytes = float(self.config.options.get("attention_gb", KEPT_GB))
        try:
            # Keys of blocks that are cached already were never mirrored.
            self._call(self.llm.reset_prefix_cache)
            answers = self._call(lambda: self.llm.collective_rpc("rap_attention_start", args=(int(gigabytes * 2**30),)))
        except Exception as error:
            if isinstance(error, ProcessesGone) or type(error).__name__ == "EngineDeadError":
                raise self._broken(error) from error
            # A name that moved is no reason to start the command again, which would fail in the same way for ever.
            self.unreadable = f"this vLLM is not as expected ({one_line(error)})"
            return self.unreadable
        self.unreadable = next((answer["reason"] for answer in answers if answer["reason"]), "")
        cost = next((answer["cost"] for answer in answers if answer["cost"]), "")
        if cost:
            log.warning("%s", cost)
        self.room = min((answer["room"] for answer in answers if answer["room"]), default=0)
        self._key_share = max(answer["key_share"] for answer in answers)
        self._capturing = True
        if self.unreadable:
            self.stop_capture()
        return self.unreadable

    def stop_capture(self) -> None:
        """Puts the workers back as they were and frees what they keep."""
        if self._capturing:
            self._call_workers("rap_attention_stop")
            self._capturing = False

    def needed_rows(self, prompt_tokens: int, response_tokens: int) -> int:
        """Of `room`, what the queries of a response and the keys of prompt and response take."""
        return response_tokens + math.ceil((prompt_tokens + response_tokens) * self._key_share)

    def collect(self, rows: Mapping[str, int]) -> dict[str, Attention | None]:
        """Attention of finished requests, given their usable rows by key; None where it was not seen."""
        if not rows:
            return {}
        answers = self._call_workers("rap_attention_collect", [[key, count] for key, count in rows.items()])
        measured = next((answer for answer in answers if answer), ["no worker holds the last layer"] * len(rows))
        found: dict[str, Attention | None] = {}
        for (key, count), statistics in zip(rows.items(), measured, strict=True):
            if count < 2:
                found[key] = not_measured("")
            elif isinstance(statistics, str):
                log.debug("attention of %s: %s", key, statistics)
                self.missed[statistics] += 1
                found[key] = None
            else:
                found[key] = Attention(statistics)
        return found

    def _call_workers(self, method: str, *arguments: Any) -> list[Any]:
        """Calls a method of `CaptureExtension` on all workers."""
        try:
            return list(self._call(lambda: self.llm.collective_rpc(method, args=arguments)))
        except Exception as error:
            raise self._broken(error) from error

    def sleep(self) -> None:
        """Moves the weights to the CPU and frees the GPU."""
        self.stop_capture()
        self._call(lambda: self.llm.sleep(level=1))

    def wake(self) -> None:
        """Takes the GPU's memory back."""
        self._call(self.llm.wake_up)

    def _call(self, function: Callable[[], Answer]) -> Answer:
        return self._processes.call(function, self.answer_within_s)

    # -- the end --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ends vLLM's processes and gives its memory back."""
        if self.stopped:
            return
        self.stopped = True
        shutdown = getattr(self.llm.llm_engine.engine_core, "shutdown", None)
        self.llm = None
        if shutdown is not None:
            shutdown()
        gc.collect()

    def _broken(self, error: Exception) -> RapError:
        """vLLM's processes are gone or in an unknown state: ends them."""
        self.stop()
        if isinstance(error, (AttributeError, ImportError, TypeError)):
            # A name that moved: the same command would fail in the same way for ever.
            return RapError(
                f"this vLLM is not as expected ({one_line(error)}); install a version that docs/engines.md names"
            )
        return RapError(f"vLLM stopped ({one_line(error)}); start the command again, stored rollouts are kept")


class AttentionCollector:
    """Asks for the attention of finished requests, some dozens at a time."""

    def __init__(self, vllm: RunningVLLM) -> None:
        self.found: dict[str, Attention | None] = {}
        """By key; None where it was not seen."""
        self._vllm = vllm
        self._rows: dict[str, int] = {}

    def add(self, key: str, usable_rows: int) -> None:
        self._rows[key] = usable_rows
        if len(self._rows) >= COLLECT:
            self.flush()

    def flush(self) -> None:
        """Asks for what has been added since the last time."""
        self.found |= self._vllm.collect(self._rows)
        self._rows = {}
