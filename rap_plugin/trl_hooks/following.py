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
from functools import wraps
from numbers import Real
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.hosts.follower import STATE, Follower, beliefs_of_run
from rap_plugin.posterior.attention import AttentionTest
from rap_plugin.posterior.following import FollowOptions, begin, group_numbers
from rap_plugin.trl_hooks.batch_plan import BatchPlan
from rap_plugin.trl_hooks.followed_rows import fingerprint, labels_of, require_rows_of_run
from rap_plugin.trl_hooks.measuring import attention_test, measure_attention, require_measurable
from rap_plugin.trl_hooks.prompting import IMAGE_COLUMNS, require_rows
from rap_plugin.trl_hooks.renewing import require_sampler, sample_blind
from rap_plugin.trl_hooks.rewards import Reward
from rap_plugin.trl_hooks.watching import PLACE, ROW, Watched

NOT_ATTACHED = "the trainer was not made to follow; call followed.attach(trainer) before trainer.train()"


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
    require_rows(dataset)
    plan = BatchPlan.of(args)
    if not (isinstance(right_at, Real) and math.isfinite(right_at)):
        raise RapError(f"right_at={right_at!r}: give the reward from which a response counts as right")
    numbers = group_numbers(labels_of(dataset, groups))
    seed = args.seed if seed is None else seed
    options = FollowOptions(plan.responses, half_life, strength, explore, image_weight, headroom, seed, renew)
    options = replace(options, renew_attention=renew_attention, attention_weight=attention_weight)
    _require_prompts(dataset, options)
    test = attention_test(ace)
    known = test if renew_attention or attention_weight else None
    beliefs = begin(numbers) if run is None else beliefs_of_run(Path(run), numbers, known)
    if run is not None:
        require_rows_of_run(dataset, Path(run))
    if attention_weight and not renew_attention and not beliefs.measured.any():
        raise RapError("attention_weight weighs nothing: give renew_attention, or a run whose attention was measured")
    follower = Follower(beliefs, options, plan.prompts, plan.lag, fingerprint(dataset))
    return Followed(dataset, follower, plan, float(right_at), test)


class Followed:
    """What `follow` returns."""

    def __init__(self, dataset: Any, follower: Follower, plan: BatchPlan, right_at: float, test: AttentionTest) -> None:
        import datasets

        self.follower, self.plan, self.right_at, self.test = follower, plan, right_at, test
        self._given, self._trainer = dataset, None
        self._checkpoint: Path | None = None
        """Where the training that goes on was told to go on from."""
        self._again = -1
        """A batch that was told before the checkpoint and is sampled anew after it."""
        self._filled = _Filled(dataset, follower)
        places = datasets.Dataset.from_dict({PLACE: list(range(plan.batches * follower.size))})
        self.dataset = places.with_transform(self._filled)
        """For the trainer's `train_dataset`."""

    def watch(self, reward: Reward) -> Reward:
        """The same reward function, whose values are what is followed. One function of a trainer is watched.

        A coroutine function is waited for. Raises RapError for what is no function.
        """
        return Watched(reward, self)

    def attach(self, trainer: Any) -> None:
        """Adds what saves and resumes the state to a trainer whose `train_dataset` is `dataset`. Raises RapError."""
        from rap_plugin.trl_hooks.callbacks import FollowCallback

        self._require_reading(trainer)
        watched = [reward for reward in trainer.reward_funcs if isinstance(reward, Watched)]
        if not watched:
            raise RapError("no reward is watched; give reward_funcs=[followed.watch(your_reward), ..]")
        if any(reward.followed is not self for reward in watched):
            raise RapError(
                "a reward is watched by another follow(..); give followed.watch(..) of the one that is attached"
            )
        if len(watched) > 1:
            raise RapError(
                f"{len(watched)} rewards are watched, and one is followed; watch the one that says what is right"
            )
        if self.follower.options.renew:
            require_sampler(trainer)
        if self.follower.options.renew_attention:
            require_measurable(trainer)
        self._trainer, self._filled.attached = trainer, True
        # The order of places is the order of batches; rows are drawn anyway.
        trainer.shuffle_dataset = False
        # A callback is not told which checkpoint a training goes on from.
        train = trainer.train

        @wraps(train)
        def noted(resume_from_checkpoint: Any = None, *given: Any, **options: Any) -> Any:
            self._checkpoint = None if isinstance(resume_from_checkpoint, bool) else resume_from_checkpoint
            return train(resume_from_checkpoint, *given, **options)

        trainer.train = noted
        trainer.add_callback(FollowCallback(self))

    def _require_reading(self, trainer: Any) -> None:
        """Raises RapError for a trainer that reads the places in another way than `follow` was told."""
        if trainer.train_dataset is not self.dataset:
            raise RapError("the trainer reads another data set; give it train_dataset=followed.dataset")
        if trainer.eval_dataset is self.dataset:
            raise RapError("an evaluation would be followed too; give eval_dataset rows of its own")
        if trainer.args.remove_unused_columns:
            raise RapError("remove_unused_columns=True would take the only column away; leave it at TRL's False")
        if getattr(trainer, "max_rounds", 1) > 1:
            raise RapError("dynamic sampling draws rows of its own; follow with max_rounds=1")
        plan = BatchPlan.of(trainer.args)
        if plan.steps > self.plan.steps or replace(plan, steps=self.plan.steps) != self.plan:
            raise RapError(f"the trainer's arguments make another training ({plan}) than those of follow ({self.plan})")

    def begin(self, step: int) -> None:
        """A training begins, or goes on from the checkpoint of a step. Raises RapError where it cannot be followed from there."""
        trainer: Any = self._trainer
        if not step:
            if self.follower.batches:
                raise RapError("this follow(..) has followed a training already; make another one")
            return
        if trainer.args.ignore_data_skip:
            raise RapError("ignore_data_skip=True reads the first rows again; leave it out to go on from a checkpoint")
        folder = Path(self._checkpoint or Path(trainer.args.output_dir) / f"checkpoint-{step}")
        self.follower.load(folder / STATE)
        told, due = self.follower.batches, self.plan.told_after(step)
        if told != due:
            raise RapError(
                f"{folder}: {told} batches in {step} steps, of which these arguments make {due}; go on with its "
                "gradient_accumulation_steps, steps_per_generation and num_iterations"
            )
        if self.plan.inside(step):
            # TRL has lost the responses of this batch and samples it again, but would count its micro-batches from 0.
            self._again = told - 1
            trainer._step = step * self.plan.accumulated

    def tell(
        self,
        places: Sequence[int],
        values: Sequence[float | None],
        ask_blind: Callable[[Sequence[int]], Sequence[float | None]],
        measure: Callable[[Sequence[int], Sequence[int]], list[tuple[int, float | None]]],
    ) -> dict[str, float]:
        """The rewards of this process's responses; those of all processes are gathered. Returns the metrics of the batch.

        `ask_blind` samples rows without their image; `measure` is given the row of each response of this process, and places in
        them, and says of these responses whether they are attention-biased. Raises RapError before `attach`.
        """
        from accelerate.utils import gather_object  # type: ignore[import-untyped]

        if self._trainer is None:
            raise RapError(NOT_ATTACHED)
        count, process = self._trainer.args.world_size, self._trainer.args.process_index
        told = gather_object(list(zip(places, values, [process] * len(values), strict=True)))
        number = self.follower.batches
        batches = {place // self.follower.size for place, *_ in told}
        if batches == {self._again}:
            return {}
        if batches != {number}:
            raise RapError(
                f"rewards of batch {sorted(batches)} came where those of batch {number} were due; was a "
                "checkpoint of another training resumed?"
            )
        rows = [self._filled.row(place) for place, *_ in told]
        rewards = self._counted(zip(rows, (value for _, value, _ in told), strict=True))
        # Every process samples as many of them, since all have a part in each forward pass where weights are shared out.
        mine = self.follower.renewals_of(number, count)[process::count]
        blind = gather_object(list(zip(mine, ask_blind(mine), strict=True))) if mine else []
        attention: list[tuple[int, float | None]] = []
        if self.follower.options.renew_attention:
            # Each process those of its own.
            chosen = _first_of(self.follower.measurements_of(number), rows)
            own = [at for at, (*_, of) in enumerate(told) if of == process]
            wanted = [at for at, place in enumerate(own) if place in chosen]
            attention = gather_object(measure([rows[at] for at in own], wanted))
        biased: dict[int, list[float]] = {}
        for row, value in attention:
            if value is not None:
                biased.setdefault(row, []).append(value)
        return self.follower.tell(rewards, self._counted(blind), biased)

    def ask_blind(
        self, reward: Callable[..., list[float | None]], columns: Mapping[str, Any], rows: Sequence[int]
    ) -> list[float | None]:
        """Rewards of one response to each of these rows without its image."""
        return sample_blind(self._trainer, self._given, rows, reward, columns)

    def measure(
        self, prompts: Sequence[Any], responses: Sequence[Sequence[int]], rows: Sequence[int], places: Sequence[int]
    ) -> list[tuple[int, float | None]]:
        """The row of each response at these places, and 1 where it is attention-biased, 0 where not, None where that was
        not measured.
        """
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
        self.attached = False

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, Any]:
        rows = [self.row(place) for place in batch[PLACE]]
        found: dict[str, Any] = self._dataset[rows]
        return {ROW: rows, **found, PLACE: batch[PLACE]}

    def row(self, place: int) -> int:
        """The row at a place. Raises RapError where it is read too early."""
        number, at = divmod(place, self._follower.size)
        if self._rows[0] != number:
            try:
                self._rows = number, self._follower.rows_of(number)
            except RapError:
                if self.attached:
                    raise
                raise RapError(NOT_ATTACHED) from None
        return self._rows[1][at]


def _require_prompts(dataset: Any, options: FollowOptions) -> None:
    """Raises RapError where there is nothing to look at without its image, or with attention."""
    wanted = [name for name in ("renew", "renew_attention") if getattr(options, name)]
    row = dataset[0] if wanted else {}
    if wanted and not isinstance(row["prompt"], list):
        raise RapError(f"{wanted[0]} is about conversations with images, and the column prompt holds texts")
    if wanted and not any(name in row for name in IMAGE_COLUMNS):
        raise RapError(f"{wanted[0]}: the data set has no column images or image; set {wanted[0]}=0")


def _first_of(named: Sequence[int], rows: Sequence[int]) -> set[int]:
    """Places in `rows`: of each row the first ones, as many as it is named."""
    left, found = Counter(named), set()
    for place, row in enumerate(rows):
        if left[row]:
            left[row] -= 1
            found.add(place)
    return found
