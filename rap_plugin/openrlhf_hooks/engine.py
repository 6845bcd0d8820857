"""Engine `openrlhf`: the training run's own rollout actors, before training starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.engines.base import sample_all
from rap_plugin.errors import RapError
from rap_plugin.evidence.snapshots import live_file
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.executors.refs import finished
from rap_plugin.hosts.pool import row_numbers
from rap_plugin.openrlhf_hooks.prompting import OpenRLHFPrompts
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling, rollout_seed
from rap_plugin.run_dir import files

RESPONSES_PER_ENGINE = 512
"""Responses at work per engine, room for the longest: vLLM's running batch stays full, and a killed run loses no more."""

LOOK_S = 0.05
"""How long to wait for an answer before looking whether another prompt is ready."""


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
    answer_within_s: float = 7200.0
    """An engine with work that ends nothing for so long is given up as hung."""


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """A prompt at work in one actor."""

    ticket: int
    lane: int
    rollouts: tuple[int, ...]


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
        self.lanes = count
        self.batch_size = RESPONSES_PER_ENGINE * count
        self.measure = not settings.agent
        """Whether the actors are made with workers that can show their attention; set before the first call."""
        self._prompts, self._settings, self._rows, self._run = prompts, settings, rows, run
        self._make_actors = make_actors
        self._numbers: dict[str, int] = {}
        self._actors: list[Any] | None = None
        self._awake = False
        self._processor: Any = None
        self._running: dict[Any, AskedPrompt] = {}
        """By the reference of the answer."""
        self._done: list[tuple[Hashable, list[tuple[Response, Attention | None]]]] = []
        self._count = 0
        self._open = [0] * count
        """Prompts at work in each actor."""
        self._heard = [0.0] * count
        """When each actor last answered, or got work after having none, by `time.monotonic`."""
        self.unreadable = ""
        """Why attention cannot be read in these engines, empty where it can."""

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        return [[response for response, _ in row] for row in sample_all(self, requests, sampling, measure=False)]

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, with attention read from the same forward passes."""
        rows = sample_all(self, requests, sampling, measure=True)
        return [[(response, seen or attention_of(self.unreadable)) for response, seen in row] for row in rows]

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        """Measures stored responses with a prefill each; one list per prompt, one entry per response."""
        self.start()
        if self.unreadable:
            return [[attention_of(self.unreadable) for _ in responses] for _, responses in prompts]
        assert self._actors is not None
        references = []
        for at, (prompt, responses) in enumerate(prompts):
            text, _, images = self._prompts.build(self._row(prompt.sample_id), prompt)
            given = (text, images, [list(ids) for ids in responses], self._settings.max_len)
            references.append(self._actors[at % self.lanes].rap_attention.remote(*given))
        answers = [self._get(at % self.lanes, reference) for at, reference in enumerate(references)]
        return [[attention_of(found) for found in answer] for answer in answers]

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
        ends = end_ids(self.identity.name, self._prompts.processor)
        reasons = self._all("rap_begin", self._processor, ends, self.measure)
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

    # -- streaming ------------------------------------------------------------------------------------------------

    def begin(self, sampling: Sampling) -> None:
        """Engines up, whatever the lengths."""
        self.start()

    def prepare(self, request: Request) -> tuple[str, Any, Any] | str:
        """Text, label and images of a prompt as OpenRLHF makes them, or why there are none."""
        prompt = request.prompt
        try:
            return self._prompts.build(self._row(prompt.sample_id), prompt)
        except RapError:
            raise
        except Exception as error:
            return f"no prompt from this row ({type(error).__name__}: {error})"

    def submit(
        self, lane: int, request: Request, prepared: tuple[str, Any, Any] | str, sampling: Sampling, *, measure: bool
    ) -> Hashable:
        """Asks one actor for the rollouts of one prompt."""
        assert self._actors is not None
        self._count += 1
        if isinstance(prepared, str):
            failed = [_paired({"error": prepared}, rollout, self.unreadable) for rollout in request.rollouts]
            self._done.append((self._count, failed))
            return self._count
        prompt = request.prompt
        seeds = [rollout_seed(sampling.seed, prompt.sample_id, prompt.arm, i) for i in request.rollouts]
        measure = measure and self.measure and not self.unreadable
        if not self._open[lane]:
            self._heard[lane] = time.monotonic()
        self._open[lane] += 1
        reference = self._actors[lane].rap_sample.remote(
            *prepared, seeds, self._params(sampling), self._settings.max_len, measure
        )
        self._running[reference] = AskedPrompt(self._count, lane, request.rollouts)
        return self._count

    def completed(self) -> list[tuple[Hashable, list[tuple[Response, Attention | None]]]]:
        """What the actors have answered by now. Raises RapError when one is gone or hangs; what is stored is kept."""
        done, self._done = self._done, []
        if not self._running:
            return done
        for reference in finished(list(self._running), 0 if done else LOOK_S):
            asked = self._running.pop(reference)
            answers = self._get(asked.lane, reference)
            self._open[asked.lane] -= 1
            self._heard[asked.lane] = time.monotonic()
            row = [_paired(answer, i, self.unreadable) for i, answer in zip(asked.rollouts, answers, strict=True)]
            done.append((asked.ticket, row))
        for lane in range(self.lanes):
            if self._open[lane] and time.monotonic() - self._heard[lane] > self._settings.answer_within_s:
                raise self._gone(lane, TimeoutError(f"no answer for {self._settings.answer_within_s:g} s"))
        return done

    def abandon(self) -> None:
        """Forgets what is at work; the actors end it unasked."""
        self._running, self._done, self._open = {}, [], [0] * self.lanes

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

    def _all(self, method: str, *arguments: Any) -> list[Any]:
        assert self._actors is not None
        references = [getattr(actor, method).remote(*arguments) for actor in self._actors]
        return [self._get(lane, reference) for lane, reference in enumerate(references)]

    def _get(self, lane: int, reference: Any) -> Any:
        """What an actor has answered. Raises RapError when it is gone."""
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayError as error:
            raise self._gone(lane, error) from None

    def _gone(self, at: int, error: BaseException) -> RapError:
        assert self._actors is not None
        try:
            with closing(EvidenceStore(live_file(self._run / files.EVIDENCE), read_only=True)) as store:
                kept = store.rollout_count()
        except RapError:
            kept = 0
        return RapError(
            f"engine {at + 1} of {len(self._actors)} stopped ({_last_line(error)}); {kept} rollouts are kept in {self._run}: "
            "start the same command again, it samples only what is missing"
        )


def end_ids(model: str, processor: Any) -> list[int]:
    """Tokens that end a response, ascending."""
    from transformers import GenerationConfig

    try:
        ends = GenerationConfig.from_pretrained(model).eos_token_id
    except OSError:
        ends = None
    tokenizer = getattr(processor, "tokenizer", processor)
    found = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
    return sorted(token for token in found if token is not None)


def _paired(answer: Mapping[str, Any], rollout: int, unreadable: str) -> tuple[Response, Attention | None]:
    if "error" in answer:
        text = str(answer["error"])
        overlong = answer.get("overlong") or ("prompt length" in text.lower() and "exceeds" in text)
        response = Response(rollout, status="overlong" if overlong else "engine_error", error=text)
        return response, attention_of(text)
    response = Response(
        rollout,
        answer["text"],
        tuple(answer["token_ids"]),
        "length" if answer["truncated"] else "stop",
        answer["prompt_tokens"],
        reward=answer["reward"],
    )
    return response, attention_of(answer.get("attention", unreadable or "not measured"))


def attention_of(found: Any) -> Attention:
    """What an actor says of a response's attention: statistics by name, or why there are none."""
    if isinstance(found, str):
        return Attention(dict.fromkeys(STATISTIC_COLUMNS), found)
    return Attention({name: found.get(name) for name in STATISTIC_COLUMNS})


def _last_line(error: BaseException) -> str:
    """What an actor died of: Ray puts the remote traceback first and the exception last."""
    lines = [part.strip(" ;.") for part in str(error).splitlines() if part.strip(" ;.")]
    return lines[-1][:300] if lines else type(error).__name__
