"""Engine `openrlhf`: the training run's own rollout actors, before training starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.hosts.pool import row_numbers
from rap_plugin.openrlhf_hooks.prompting import OpenRLHFPrompts
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling, rollout_seed
from rap_plugin.run_dir import files

RESPONSES_PER_ENGINE = 512
"""Responses of a batch per engine: vLLM's running batch stays full, and a killed run loses no more than that."""

PROMPTS_IN_FLIGHT = 128
"""Prompts handed to one engine at a time: their images are in memory, and the rest goes to whoever is free first."""


@dataclass(frozen=True)
class RolloutSettings:
    """What the run's arguments say about its engines."""

    max_len: int
    """Tokens of prompt + response, as `--data.max_len`."""
    max_new_tokens: int | None
    """As the flag; None: whatever the prompt leaves of max_len."""
    sleeps: bool
    """`--vllm.enable_sleep`: engines sleep whenever they are not asked."""
    agent: bool
    """Multi-turn: attention over several turns and foreign text has no meaning, and is not measured."""


class RolloutEngine:
    """Both arms through the `RolloutRayActor`s of a training run; see `engines.base.Engine` for the contract.

    `make_actors` is `create_vllm_engines`; it is called when the first rollout is missing, so what cannot work is
    known before minutes go by. The run trains with the same actors afterwards.
    """

    name = "openrlhf"

    def __init__(
        self,
        identity: ModelIdentity,
        prompts: OpenRLHFPrompts,
        settings: RolloutSettings,
        rows: Any,
        run: Path,
        count: int,
        make_actors: Callable[[bool], list[Any]],
    ) -> None:
        self.identity = identity
        self.measures_attention = not settings.agent
        self.batch_size = RESPONSES_PER_ENGINE * count
        self.measure = not settings.agent
        """Whether the actors are made with workers that can show their attention; set before the first call."""
        self._prompts, self._settings, self._rows, self._run = prompts, settings, rows, run
        self._make_actors = make_actors
        self._numbers: dict[str, int] = {}
        self._actors: list[Any] | None = None
        self._awake = False
        self._processor: Any = None
        self.unreadable = ""
        """Why attention cannot be read in these engines, empty where it can."""

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        return [[response for response, _ in row] for row in self._sample(requests, sampling, measure=False)]

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, with attention read from the same forward passes."""
        return self._sample(requests, sampling, measure=True)

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        """Measures stored responses with a prefill each; one list per prompt, one entry per response."""
        self.start()
        calls = []
        for prompt, responses in prompts:
            text, _, images = self._prompts.build(self._row(prompt.sample_id), prompt)
            calls.append(("rap_attention", (text, images, [list(ids) for ids in responses], self._settings.max_len)))
        if self.unreadable:
            return [[_attention(self.unreadable) for _ in responses] for _, responses in prompts]
        return [[_attention(found) for found in answers] for answers in self._call_all(calls)]

    def close(self) -> None:
        """Leaves the engines as the trainer expects them: nothing captured, asleep where they are to sleep."""
        if self._actors is None or not self._awake:
            return
        self._awake = False
        try:
            self._all("rap_end", self.measure and not self.unreadable)
            if self._settings.sleeps:
                self._all("sleep")
        except RapError:
            # Closing after engines died: what is to be said has been said.
            return

    # -- for the run ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Engines up, awake, and knowing the processor; once."""
        if self._awake:
            return
        import ray

        if self._actors is None:
            self._actors = self._make_actors(self.measure)
        if self._settings.sleeps:
            self._all("wake_up")
        # Once into the object store, not with every prompt: a processor is megabytes.
        self._processor = ray.put(self._prompts.processor)
        reasons = self._all("rap_begin", self._processor, self._end_ids(), self.measure)
        self.unreadable = next(filter(None, reasons), "")
        if self.unreadable:
            # Those that could measure let their hooks and key mirrors go: what cannot be measured everywhere is not.
            self._all("rap_stop_measuring")
        self._awake = True

    def attention_problem(self, sampling: Sampling) -> str:
        """Why the actors cannot show their attention, empty where they can."""
        self.start()
        return self.unreadable if self.measure else ""

    def actors(self) -> list[Any] | None:
        """The actors that scoring has made; None where nothing was missing and so none were needed."""
        return self._actors

    # -- sampling -------------------------------------------------------------------------------------------------

    def _sample(
        self, requests: Sequence[Request], sampling: Sampling, *, measure: bool
    ) -> list[list[tuple[Response, Attention]]]:
        self.start()
        measure = measure and self.measure and not self.unreadable
        params = self._params(sampling)
        calls = []
        out: list[list[tuple[Response, Attention]]] = [[] for _ in requests]
        asked = []
        for at, request in enumerate(requests):
            prompt = request.prompt
            try:
                text, label, images = self._prompts.build(self._row(prompt.sample_id), prompt)
            except RapError:
                raise
            except Exception as error:
                failed = {"error": f"no prompt from this row ({type(error).__name__}: {error})"}
                out[at] = [_paired(failed, rollout, self.unreadable) for rollout in request.rollouts]
                continue
            seeds = [rollout_seed(sampling.seed, prompt.sample_id, prompt.arm, i) for i in request.rollouts]
            calls.append(("rap_sample", (text, label, images, seeds, params, self._settings.max_len, measure)))
            asked.append(at)
        for at, answers in zip(asked, self._call_all(calls), strict=True):
            rollouts = requests[at].rollouts
            out[at] = [_paired(answer, i, self.unreadable) for i, answer in zip(rollouts, answers, strict=True)]
        return out

    def _params(self, sampling: Sampling) -> Any:
        """As `SamplesGenerator._dispatch_prompts_to_vllm` makes them; the seed is set per rollout."""
        from vllm import SamplingParams

        wanted = self._settings.max_new_tokens
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=-1,
            max_tokens=None if wanted is None else min(wanted, sampling.max_new_tokens),
            min_tokens=1,
            skip_special_tokens=False,
        )

    def _row(self, sample_id: str) -> Mapping[str, Any]:
        if not self._numbers:
            self._numbers = row_numbers(self._run)
        row: Mapping[str, Any] = self._rows[self._numbers[sample_id]]
        return row

    # -- actors ---------------------------------------------------------------------------------------------------

    def _end_ids(self) -> list[int]:
        from transformers import GenerationConfig

        try:
            ends = GenerationConfig.from_pretrained(self.identity.name).eos_token_id
        except OSError:
            ends = None
        tokenizer = getattr(self._prompts.processor, "tokenizer", self._prompts.processor)
        found = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        return sorted(token for token in found if token is not None)

    def _all(self, method: str, *arguments: Any) -> list[Any]:
        import ray

        assert self._actors is not None
        references = [getattr(actor, method).remote(*arguments) for actor in self._actors]
        found = []
        for at, reference in enumerate(references):
            try:
                found.append(ray.get(reference))
            except ray.exceptions.RayError as error:
                raise self._gone(at, error) from None
        return found

    def _call_all(self, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """One call per prompt, each to the engine with the least to do; results in order.

        Raises RapError when an engine is gone; what earlier batches stored is kept.
        """
        import ray

        assert self._actors is not None
        results: list[Any] = [None] * len(calls)
        loads = [0] * len(self._actors)
        running: dict[Any, tuple[int, int]] = {}
        waiting: Iterator[tuple[int, tuple[str, tuple[Any, ...]]]] = iter(enumerate(calls))
        more = True
        while more or running:
            while more and min(loads) < PROMPTS_IN_FLIGHT:
                entry = next(waiting, None)
                if entry is None:
                    more = False
                    break
                at, (method, arguments) = entry
                free = loads.index(min(loads))
                loads[free] += 1
                running[getattr(self._actors[free], method).remote(*arguments)] = (at, free)
            if not running:
                break
            ready, _ = ray.wait(list(running), num_returns=1)
            at, engine = running.pop(ready[0])
            loads[engine] -= 1
            try:
                results[at] = ray.get(ready[0])
            except ray.exceptions.RayError as error:
                raise self._gone(engine, error) from None
        return results

    def _gone(self, at: int, error: BaseException) -> RapError:
        assert self._actors is not None
        try:
            with closing(EvidenceStore(self._run / files.EVIDENCE, read_only=True)) as store:
                kept = store.rollout_count()
        except RapError:
            kept = 0
        return RapError(
            f"engine {at + 1} of {len(self._actors)} stopped ({_last_line(error)}); {kept} rollouts are kept in {self._run}: "
            "start the same command again, it samples only what is missing"
        )


def _paired(answer: Mapping[str, Any], rollout: int, unreadable: str) -> tuple[Response, Attention]:
    if "error" in answer:
        text = str(answer["error"])
        overlong = answer.get("overlong") or ("prompt length" in text.lower() and "exceeds" in text)
        response = Response(rollout, status="overlong" if overlong else "engine_error", error=text)
        return response, _attention(text)
    response = Response(
        rollout,
        answer["text"],
        tuple(answer["token_ids"]),
        "length" if answer["truncated"] else "stop",
        answer["prompt_tokens"],
        reward=answer["reward"],
    )
    return response, _attention(answer.get("attention", unreadable or "not measured"))


def _attention(found: Any) -> Attention:
    if isinstance(found, str):
        return Attention(dict.fromkeys(STATISTIC_COLUMNS), found)
    return Attention({name: found.get(name) for name in STATISTIC_COLUMNS})


def _last_line(error: BaseException) -> str:
    """What an actor died of: Ray puts the remote traceback first and the exception last."""
    lines = [part.strip(" ;.") for part in str(error).splitlines() if part.strip(" ;.")]
    return lines[-1][:300] if lines else type(error).__name__
