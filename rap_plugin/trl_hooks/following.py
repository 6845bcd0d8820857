"""Following under TRL: the rows of every batch are chosen by the rewards of the trainer's own groups.

Trainer reads a data set of places, one for each prompt of the whole training, in their order. A place is filled when it is read, with a row that
the rewards so far ask for. No response is sampled beside the trainer's own unless `renew` asks for it, in any number of processes; with
`renew_attention` some of the trainer's own are read once more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.hosts.follower import Follower, beliefs_of_run
from rap_plugin.posterior.attention import AttentionTest
from rap_plugin.posterior.following import FollowOptions, begin, group_numbers, wording_of
from rap_plugin.trl_hooks.measuring import attention_test, measure_attention, require_measurable
from rap_plugin.trl_hooks.options import prompts_per_batch
from rap_plugin.trl_hooks.renewing import require_sampler, sample_blind
from rap_plugin.trl_hooks.rewards import Reward

PLACE, ROW = "rap_place", "rap_row"
"""Columns that a row gets on its way to the trainer; reward functions see them."""


def follow(
    dataset: Any,
    *,
    args: Any,
    run: str | Path | None = None,
    groups: str | Sequence[object] | None = None,
    right_at: float = 0.5,
    half_life: float = 100.0,
    strength: float = 2.0,
    explore: float = 0.1,
    image_weight: float = 0.5,
    headroom: float = 0.0,
    renew: float = 0.0,
    renew_attention: float = 0.0,
    attention_weight: float = 0.0,
    ace: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Followed:
    """A training that follows the model: its data set, its reward, and what attaches both to TRL's trainer.

        followed = follow(dataset, args=args)
        trainer = GRPOTrainer(model, reward_funcs=followed.watch(accuracy_reward), args=args, train_dataset=followed.dataset)
        followed.attach(trainer)

    `run` names a run of `select_dataset` or `rap select` over the same rows, whose evidence it starts from; without its blind
    arm nothing is known of who needs the image. `groups` says which rows share strength: a column's name, or a label per row; by default the wording of
    the prompt. A reward from `right_at` on counts as right. `renew` is the budget of the blind arm: responses without the image that a batch
    adds, as a share of its own. `renew_attention` is that of ACE: the share of a batch's own responses whose psi is measured, with the options
    that `ace` names (reduction, heads, window, sigma, lambda_a); `attention_weight` says what psi counts for. The other options are those of docs/following.md. Raises RapError.
    """
    if getattr(args, "max_steps", 0) <= 0:
        raise RapError(
            "following has no epochs: rows come as often as they teach something; set max_steps in the arguments"
        )
    size = prompts_per_batch(args)
    if not size:
        raise RapError("the arguments name no generation_batch_size and num_generations; give GRPOConfig or RLOOConfig")
    if args.dataloader_num_workers:
        raise RapError("data loader workers read rows before their rewards are known; set dataloader_num_workers=0")
    labels = _labels(dataset, groups)
    numbers = group_numbers(labels)
    seed = args.seed if seed is None else seed
    options = FollowOptions(args.num_generations, half_life, strength, explore, image_weight, headroom, seed, renew)
    options = replace(options, renew_attention=renew_attention, attention_weight=attention_weight)
    test = attention_test(ace)
    repeats = getattr(args, "num_iterations", 1) * args.steps_per_generation
    # Trainer reads the micro-batches of a step together, and accelerate one more.
    lag = args.gradient_accumulation_steps // repeats + 1
    batches = math.ceil(args.max_steps * args.gradient_accumulation_steps / repeats)
    known = test if renew_attention or attention_weight else None
    beliefs = begin(numbers) if run is None else beliefs_of_run(Path(run), numbers, known)
    if attention_weight and not renew_attention and not beliefs.measured.any():
        raise RapError("attention_weight weighs nothing: give renew_attention, or a run whose attention was measured")
    return Followed(dataset, Follower(beliefs, options, size, lag), batches, right_at, test)


class Followed:
    """What `follow` returns."""

    def __init__(self, dataset: Any, follower: Follower, batches: int, right_at: float, test: AttentionTest) -> None:
        import datasets

        self.follower, self.right_at, self.test = follower, right_at, test
        self._given, self._trainer = dataset, None
        places = datasets.Dataset.from_dict({PLACE: list(range(batches * follower.size))})
        self.dataset = places.with_transform(_Filled(dataset, follower))
        """For the trainer's `train_dataset`."""

    def watch(self, reward: Reward) -> Reward:
        """The same reward function, whose values are what is followed. One function of a trainer is watched."""
        return _Watched(reward, self)

    def attach(self, trainer: Any) -> None:
        """Adds what saves and resumes the state to a trainer whose `train_dataset` is `dataset`. Raises RapError."""
        from rap_plugin.trl_hooks.callbacks import FollowCallback

        if trainer.train_dataset is not self.dataset:
            raise RapError("the trainer reads another data set; give it train_dataset=followed.dataset")
        if trainer.args.remove_unused_columns:
            raise RapError("remove_unused_columns=True would take the only column away; leave it at TRL's False")
        if not any(isinstance(reward, _Watched) for reward in trainer.reward_funcs):
            raise RapError("no reward is watched; give reward_funcs=[followed.watch(your_reward), ..]")
        if self.follower.options.renew:
            require_sampler(trainer)
        if self.follower.options.renew_attention:
            require_measurable(trainer)
        self._trainer = trainer
        # The order of places is the order of batches; rows are drawn anyway.
        trainer.shuffle_dataset = False
        trainer.add_callback(FollowCallback(self.follower))

    def tell(
        self,
        places: Sequence[int],
        rows: Sequence[int],
        values: Sequence[float | None],
        ask_blind: Callable[[Sequence[int]], Sequence[float | None]],
        measure: Callable[[Sequence[int]], list[tuple[int, float | None]]],
    ) -> dict[str, float]:
        """The rewards of this process's responses; those of all processes are gathered. Returns the metrics of the batch.

        `ask_blind` samples rows without their image; `measure` gives the rows of responses of this process, by their places
        in `rows`, and whether they are attention-biased.
        """
        from accelerate.utils import gather_object  # type: ignore[import-untyped]

        count, process = (self._trainer.args.world_size, self._trainer.args.process_index) if self._trainer else (1, 0)
        told = gather_object(list(zip(places, rows, values, [process] * len(rows), strict=True)))
        number = self.follower.batches
        batches = {place // self.follower.size for place, *_ in told}
        if batches != {number}:
            raise RapError(
                f"rewards of batch {sorted(batches)} came where those of batch {number} were due; was a "
                "checkpoint of another training resumed?"
            )
        rewards = self._counted((row, value) for _, row, value, _ in told)
        # Every process samples as many of them, since all have a part in each forward pass where weights are shared out.
        mine = self.follower.renewals_of(number, count)[process::count]
        blind = gather_object(list(zip(mine, ask_blind(mine), strict=True))) if mine else []
        attention: list[tuple[int, float | None]] = []
        if self.follower.options.renew_attention:
            # Each process those of its own.
            chosen = _first_of(self.follower.measurements_of(number), [row for _, row, *_ in told])
            own = [at for at, (*_, of) in enumerate(told) if of == process]
            attention = gather_object(measure([at for at, place in enumerate(own) if place in chosen]))
        biased: dict[int, list[float]] = {}
        for row, value in attention:
            if value is not None:
                biased.setdefault(row, []).append(value)
        return self.follower.tell(rewards, self._counted(blind), biased)

    def ask_blind(self, reward: Reward, columns: Mapping[str, Any], rows: Sequence[int]) -> list[float | None]:
        """Rewards of one response to each of these rows without its image. Raises RapError before `attach`."""
        if self._trainer is None:
            raise RapError("renew samples with the trainer; call followed.attach(trainer) before trainer.train()")
        return sample_blind(self._trainer, self._given, rows, reward, columns)

    def measure(
        self, prompts: Sequence[Any], responses: Sequence[Sequence[int]], rows: Sequence[int], places: Sequence[int]
    ) -> list[tuple[int, float | None]]:
        """The row of each response at these places, and 1 where it is attention-biased, 0 where not, None where that was
        not measured. Raises RapError before `attach`.
        """
        if self._trainer is None:
            raise RapError(
                "renew_attention reads the trainer's model; call followed.attach(trainer) before trainer.train()"
            )
        of_row: dict[int, list[Sequence[int]]] = {}
        for place in places:
            of_row.setdefault(rows[place], []).append(responses[place])
        asked = {rows[place]: prompts[place] for place in places}
        found = measure_attention(self._trainer, asked, of_row)
        return [(row, self.test.biased(one.statistics)) for row, measured in found.items() for one in measured]

    def _counted(self, rewards: Iterable[tuple[int, float | None]]) -> dict[int, list[float]]:
        found: dict[int, list[float]] = {}
        for row, value in rewards:
            of_row = found.setdefault(row, [])
            if value is not None and math.isfinite(value):
                of_row.append(float(value >= self.right_at))
        return found


class _Filled:
    """The data set's transform: places -> the rows that stand there."""

    def __init__(self, dataset: Any, follower: Follower) -> None:
        self._dataset, self._follower = dataset, follower
        self._rows: tuple[int, list[int]] = (-1, [])

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, Any]:
        rows = [self._row(place) for place in batch[PLACE]]
        found: dict[str, Any] = self._dataset[rows]
        return {**found, PLACE: batch[PLACE], ROW: rows}

    def _row(self, place: int) -> int:
        number, at = divmod(place, self._follower.size)
        if self._rows[0] != number:
            self._rows = number, self._follower.rows_of(number)
        return self._rows[1][at]


class _Watched:
    """A reward function that is listened to."""

    def __init__(self, reward: Reward, followed: Followed) -> None:
        self._reward, self._followed = reward, followed
        self.__name__ = getattr(reward, "__name__", type(reward).__name__)

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        values = self._reward(prompts=prompts, completions=completions, completion_ids=completion_ids, **columns)
        # Rows of an evaluation come from another data set.
        if PLACE in columns:
            ask = partial(self._followed.ask_blind, self._reward, columns)
            measure = partial(self._followed.measure, prompts, completion_ids, columns[ROW])
            metrics = self._followed.tell(columns[PLACE], columns[ROW], values, ask, measure)
            if log := columns.get("log_metric"):
                for name, value in metrics.items():
                    log(name, value)
        return values


def _first_of(named: Sequence[int], rows: Sequence[int]) -> set[int]:
    """Places in `rows`: of each row the first ones, as many as it is named."""
    left, found = Counter(named), set()
    for place, row in enumerate(rows):
        if left[row]:
            left[row] -= 1
            found.add(place)
    return found


def _labels(dataset: Any, groups: str | Sequence[object] | None) -> list[object]:
    if isinstance(groups, str):
        if groups not in dataset.column_names:
            raise RapError(
                f"groups={groups!r}: the data set has no such column; columns: {', '.join(dataset.column_names)}"
            )
        return list(dataset[groups])
    if groups is not None:
        if len(groups) != len(dataset):
            raise RapError(f"groups: {len(groups)} labels for {len(dataset)} rows")
        return list(groups)
    return [wording_of(_text(prompt)) for prompt in dataset["prompt"]]


def _text(prompt: Any) -> str:
    """The words of a prompt, a text or messages."""
    if isinstance(prompt, str):
        return prompt
    parts = []
    for message in prompt or ():
        content = message.get("content")
        content = content if isinstance(content, list) else [{"text": content}]
        parts += [str(part.get("text") or "") for part in content]
    return " ".join(parts)
