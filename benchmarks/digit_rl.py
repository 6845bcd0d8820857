"""GRPO and RLOO on the demo model, as small as they can be: what `pays_for_itself.py` trains with.

One optimiser step a batch of fresh rollouts, so that the policy that sampled is the policy that learns and clipping would never
act; no reference model (beta = 0), as TRL's own default. The loss of a batch of B prompts with G responses each is

    L = - sum over i, t of  A_i * log pi(y_it | x_i, y_i<t)  /  number of response tokens in the batch

with A_i = (r_i - mean of the group) / (standard deviation of the group + 1e-4) for GRPO (DeepSeekMath, arXiv 2402.03300, token mean
as in DAPO, arXiv 2503.14476) and A_i = r_i - mean of the other responses for RLOO (arXiv 2402.14740). A group whose rewards
are all the same has A = 0: its responses add nothing to the gradient, so they are left out of the backward pass. Hosts that read them
nevertheless pay more than what is counted here (`Work.idle_tokens` says how many tokens those are).

TRL's trainers take the same problems: `make trl` spent 15 ms a response on two cores, this loop spends 7 to 10 on one, and the proof
needs more than a hundred runs.
"""

from __future__ import annotations

import io
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from digit_problems import Problem
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rap_plugin.config import ModelConfig
from rap_plugin.engines.hf import decoding, loading
from rap_plugin.engines.hf.chat import ModelInputs, prepare
from rap_plugin.engines.weights import find_model
from rap_plugin.grading.extract import extract_boxed
from rap_plugin.rollout import Prompt

Algorithm = Literal["grpo", "rloo"]
MAX_NEW_TOKENS = 48
BFLOAT16 = any(torch.cpu.get_capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16"))
"""Whether the processor multiplies bfloat16 itself. One that does not takes 2.6 times as long with it to learn from a batch as in single precision."""


@dataclass(frozen=True)
class Exercise:
    """A problem as the model reads it."""

    problem: Problem
    prompt: ModelInputs


@dataclass
class Work:
    """What a training run did so far."""

    steps: int = 0
    responses: int = 0
    prompt_tokens: int = 0
    """Of prompts that were read to sample from, once a group."""
    sampled_tokens: int = 0
    learned_tokens: int = 0
    """Response tokens that went through the backward pass."""
    learned_prompt_tokens: int = 0
    """Prompt tokens that went through it with them, once a response."""
    idle_tokens: int = 0
    """Response tokens of groups whose rewards are all the same."""
    sampling_seconds: float = 0.0
    """Processor time of sampling and grading."""
    learning_seconds: float = 0.0
    """Processor time of the backward pass and the optimiser."""
    informative: list[float] = field(default_factory=list)
    """Share of informative groups of every step."""

    @property
    def seconds(self) -> float:
        return self.sampling_seconds + self.learning_seconds


def load_policy(folder: str) -> tuple[loading.LoadedModel, Any]:
    """The model with gradients on, and its processor."""
    config = ModelConfig(id=folder, device="cpu", dtype="float32")
    processor = loading.load_processor(config, find_model(config.id))
    model = loading.load_model(config, find_model(config.id), processor, torch.device("cpu"), torch.float32)
    model.network.requires_grad_(True)
    return model, processor


def exercises(problems: Sequence[Problem], model: loading.LoadedModel, processor: Any) -> list[Exercise]:
    """Every problem with its prompt prepared once."""
    out = []
    for problem in problems:
        picture = Image.open(io.BytesIO(problem.image)).convert("RGB")
        prompt = Prompt(problem.id, "image", f"<image>{problem.question}", (picture,))
        out.append(Exercise(problem, prepare(prompt, processor, model.network)))
    return out


def without_image(problem: Problem, model: loading.LoadedModel, processor: Any) -> Exercise:
    """The same problem as the blind arm asks it."""
    return Exercise(problem, prepare(Prompt(problem.id, "blind", problem.question, ()), processor, model.network))


def reward(text: str, problem: Problem) -> float:
    """1 where the last \\boxed{} holds the answer: digits only, so equality of strings is equality of numbers."""
    return float(extract_boxed(text) == problem.answer)


def advantages(rewards: Tensor, algorithm: Algorithm) -> Tensor:
    """rewards (B, G) -> advantages (B, G); zero where a group's rewards are all the same."""
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if algorithm == "rloo":
        return centred * (rewards.shape[1] / (rewards.shape[1] - 1))
    return centred / (rewards.std(dim=1, keepdim=True) + 1e-4)


def draw_batches(n: int, size: int, rng: random.Random) -> Iterator[list[int]]:
    """Endless epochs over `n` exercises in fresh random orders; a batch may span two epochs."""
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += rng.sample(range(n), n)
        yield waiting[:size]
        waiting = waiting[size:]


def respond(
    model: loading.LoadedModel, group: Sequence[Exercise], seeds: Sequence[Sequence[int]], temperature: float = 1.0
) -> list[list[decoding.SampledResponse]]:
    """Sampled responses, one per seed of every exercise."""
    return decoding.sample_batch(
        model,
        [(exercise.prompt, wanted) for exercise, wanted in zip(group, seeds, strict=True)],
        temperature=temperature,
        top_p=1.0,
        max_new_tokens=MAX_NEW_TOKENS,
        measure=False,
    )


def text_of(row: decoding.SampledResponse, processor: Any) -> str:
    said = row.token_ids[:-1] if row.finish == "stop" else row.token_ids
    return processor.tokenizer.decode(said, skip_special_tokens=True)


def count_right(
    model: loading.LoadedModel,
    processor: Any,
    given: Sequence[Exercise],
    seed: int,
    temperature: float = 1.0,
    responses: int = 1,
) -> list[int]:
    """How many of so many sampled responses to each exercise are right. The first response is the same whatever their number."""
    by_length = sorted(range(len(given)), key=lambda at: given[at].prompt.length)
    found = [0] * len(given)
    size = max(1, 250 // responses)
    for start in range(0, len(given), size):
        chosen = by_length[start : start + size]
        seeds = [[(seed + 1000 * again) * 1_000_003 + at for again in range(responses)] for at in chosen]
        for at, rows in zip(chosen, respond(model, [given[at] for at in chosen], seeds, temperature), strict=True):
            found[at] = sum(bool(reward(text_of(row, processor), given[at].problem)) for row in rows)
    return found


def policy_loss(
    model: loading.LoadedModel, rows: Sequence[tuple[Exercise, decoding.SampledResponse, float]], tokens: int
) -> Tensor:
    """The loss above over the rows (exercise, response, advantage); `tokens` counts those of the whole batch."""
    network = model.network
    ids = [torch.cat((e.prompt.ids, torch.tensor(row.token_ids))) for e, row, _ in rows]
    inputs = pad_sequence(ids, batch_first=True, padding_value=model.pad_id)
    width = inputs.shape[1]
    at = torch.arange(width)
    starts = torch.tensor([e.prompt.length for e, _, _ in rows])[:, None]
    ends = torch.tensor([len(row) for row in ids])[:, None]
    first = int(starts.min())
    pixels = torch.cat([e.prompt.visual["pixel_values"] for e, _, _ in rows])
    # A response may hold the image token itself, which the network would look for a picture for; as a target it stays.
    shown = torch.where((at >= starts) & (inputs == network.config.image_token_id), model.pad_id, inputs)
    with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
        logits = network(
            input_ids=shown,
            attention_mask=(at < ends).long(),
            pixel_values=pixels,
            logits_to_keep=width - first + 1,
        ).logits[:, :-1]
    targets = inputs[:, first:]
    picked = -torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")
    said = (at[first:] >= starts) & (at[first:] < ends)
    weights = torch.tensor([advantage for *_, advantage in rows])[:, None] * said
    return -(picked * weights).sum() / tokens


@dataclass(frozen=True)
class Group:
    """One prompt with its responses and their rewards."""

    at: int
    """Number of the exercise in the pool."""
    exercise: Exercise
    responses: list[decoding.SampledResponse]
    rewards: list[float]

    @property
    def differs(self) -> bool:
        """Whether there is anything to learn from it."""
        return len(set(self.rewards)) > 1


def sample_groups(
    model: loading.LoadedModel,
    processor: Any,
    rows: Sequence[int],
    asked: Sequence[Exercise],
    seeds: Sequence[Sequence[int]],
    work: Work,
) -> list[Group]:
    """Responses to the exercises of these rows of the pool, graded; adds what that took to `work`."""
    began = time.process_time()
    groups = [
        Group(at, one, said, [reward(text_of(row, processor), one.problem) for row in said])
        for at, one, said in zip(rows, asked, respond(model, asked, seeds), strict=True)
    ]
    work.responses += sum(len(group.responses) for group in groups)
    work.prompt_tokens += sum(group.exercise.prompt.length for group in groups)
    work.sampled_tokens += sum(len(row.token_ids) for group in groups for row in group.responses)
    work.sampling_seconds += time.process_time() - began
    return groups


def learn(
    model: loading.LoadedModel,
    groups: Sequence[Group],
    optimiser: torch.optim.Optimizer,
    algorithm: Algorithm,
    work: Work,
) -> None:
    """One optimiser step on these groups, none if nothing differs; adds what that took to `work`."""
    began = time.process_time()
    rows = [
        (group.exercise, row, gain)
        for group in groups
        if group.differs
        for row, gain in zip(
            group.responses, advantages(torch.tensor([group.rewards]), algorithm)[0].tolist(), strict=True
        )
    ]
    every = sum(len(row.token_ids) for group in groups for row in group.responses)
    learned = sum(len(row.token_ids) for _, row, _ in rows)
    work.steps += 1
    work.learned_tokens += learned
    work.learned_prompt_tokens += sum(exercise.prompt.length for exercise, _, _ in rows)
    work.idle_tokens += every - learned
    work.informative.append(float(np.mean([group.differs for group in groups])) if groups else 0.0)
    rows.sort(key=lambda row: row[0].prompt.length + len(row[1].token_ids))
    optimiser.zero_grad(set_to_none=True)
    for start in range(0, len(rows), 64):
        policy_loss(model, rows[start : start + 64], every).backward()
    if rows:
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        optimiser.step()
    work.learning_seconds += time.process_time() - began


class Sampler(Protocol):
    """Samples for one step; whatever it samples is counted."""

    def __call__(self, rows: Sequence[int], responses: int, blind: bool = False) -> list[Group]:
        """So many responses to each of these rows of the pool, with their images or without."""


Rule = Callable[[int, Sampler], list[Group]]
"""Makes the groups that a step learns from, with as many calls of the sampler as it wants."""


def every_row(n: int, prompts: int, rollouts: int, seed: int) -> Rule:
    """Epochs over the pool in random orders."""
    batches = draw_batches(n, prompts, random.Random(f"training order {seed}"))
    return lambda step, sample: sample(next(batches), rollouts)


def train(
    model: loading.LoadedModel,
    processor: Any,
    pool: Sequence[Exercise],
    *,
    algorithm: Algorithm,
    seed: int,
    learning_rate: float,
    prompts: int,
    rollouts: int,
    max_steps: int,
    after_step: Callable[[int, Work], bool],
    rule: Rule | None = None,
) -> Work:
    """Trains in place until `after_step(step, work)` says True or `max_steps` are done. `rule` chooses the batches."""
    rule = rule or every_row(len(pool), prompts, rollouts, seed)
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
    work = Work()
    seeds = itertools.count((seed * 1_000_003 + 1) * prompts * rollouts)
    for step in range(1, max_steps + 1):

        def sample(rows: Sequence[int], responses: int, blind: bool = False) -> list[Group]:
            wanted = [[next(seeds) for _ in range(responses)] for _ in rows]
            asked = [without_image(pool[at].problem, model, processor) if blind else pool[at] for at in rows]
            return sample_groups(model, processor, rows, asked, wanted, work)

        learn(model, rule(step, sample), optimiser, algorithm, work)
        if after_step(step, work):
            break
    return work
