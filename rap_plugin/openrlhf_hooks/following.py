"""Following under OpenRLHF: a data loader of fixed length, whose rows are chosen anew for every rollout batch.

OpenRLHF iterates its loader again every episode, fixes the scheduler's steps from its length, and saves its state in checkpoints. All of
that stays true of this loader. It lives in the process that samples (the trainer's, or the asynchronous generator's), where
every response passes with its score, so that the rows of a batch follow from all batches before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.hosts.follower import Follower
from rap_plugin.openrlhf_hooks.additions import Following
from rap_plugin.openrlhf_hooks.dataset import read_dataset
from rap_plugin.openrlhf_hooks.measuring import measure_attention
from rap_plugin.openrlhf_hooks.renewing import renew_blind
from rap_plugin.openrlhf_hooks.row_prompts import RowPrompt
from rap_plugin.posterior.following import begin, group_numbers, with_evidence, wording_of


def follow(reader: Any, following: Following) -> None:
    """Puts our loader in the place of `reader`'s, a trainer or generator whose prompts know their rows."""
    args, dataset, rows = reader.args, reader.prompts_dataloader.dataset, read_dataset(reader.args)
    loader = FollowingLoader(dataset, _follower(args, dataset, rows, following), following.length, following.right_at)
    generator = reader.samples_generator
    reader.prompts_dataloader = generator.prompts_dataloader = loader
    if following.options.renew:
        renew_blind(generator, loader, rows)
    if following.options.renew_attention:
        assert following.test is not None
        measure_attention(generator, loader, rows, following.test)
    made = generator._process_response_into_experience

    def listened(response: dict[str, Any], **options: Any) -> Any:
        loader.saw(response)
        return made(response, **options)

    generator._process_response_into_experience = listened
    # As `prepare_datasets` counts them.
    of_episode = following.length * args.rollout.n_samples_per_prompt // args.train.batch_size
    reader.max_steps = of_episode * args.train.num_episodes * args.train.max_epochs


def _follower(args: SimpleNamespace, dataset: Any, rows: Any, following: Following) -> Follower:
    labels = rows[following.groups] if following.groups else map(wording_of, dataset.prompts)
    beliefs = begin(group_numbers(list(labels)))
    if following.evidence is not None:
        right, asked, blind_right, blind_asked, biased, measured = following.evidence
        of_arms = (right, asked), (blind_right, blind_asked), (biased, measured)
        beliefs = with_evidence(beliefs, range(len(beliefs)), *of_arms)
    size = getattr(args.rollout, "vllm_generate_batch_size", None) or args.rollout.batch_size
    return Follower(beliefs, following.options, size)


class FollowingLoader:
    """One prompt at a time, as OpenRLHF's loader gives them. Batches are numbered through all episodes."""

    def __init__(self, dataset: Any, follower: Follower, length: int, right_at: float) -> None:
        self.dataset, self.follower = dataset, follower
        self._length, self._right_at = length, right_at
        self._position = 0
        """Prompts of this episode that were read."""
        self._batch = -1
        """The batch that is read; its rows, and those of them that were read."""
        self._rows: list[int] = []
        self._read = 0
        self._rewards: dict[int, list[float]] = {}
        """What was seen since the last batch was told."""
        self._blind: dict[int, list[float]] = {}
        """The same without the image."""
        self._renewed = -1
        """The last batch whose rows were asked without their image."""
        self._to_measure: Counter[int] = Counter()
        """How many responses of a row are still to be measured."""
        self._given: list[tuple[RowPrompt, list[int]]] = []
        """Responses of them that came, not measured yet."""
        self._attention: dict[int, list[float]] = {}
        """Attention-biased ones of those that were measured, as the rewards."""
        self.metrics: dict[str, float] = {}
        """Of the batch that was told last."""

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        """The rest of the episode: all of it, or what a checkpoint has left."""
        while self._position < self._length:
            if self._read == len(self._rows):
                self._settle()
                self._batch += 1
                self._rows = self.follower.rows_of(self._batch)[: self._length - self._position]
                self._read = 0
                there = set(self._rows)
                self._to_measure.update(row for row in self.follower.measurements_of(self._batch) if row in there)
            row = self._rows[self._read]
            self._read += 1
            self._position += 1
            yield self.dataset.collate_fn([self.dataset[row]])
        self._position = 0

    def saw(self, response: dict[str, Any]) -> None:
        """A response of any prompt; those of an evaluation, and those that could not be judged, teach nothing."""
        from rap_plugin.openrlhf_hooks.actors import reward_of

        prompt, reward = response["prompt"], reward_of(response)
        if isinstance(prompt, RowPrompt) and reward is not None:
            self._rewards.setdefault(prompt.row, []).append(float(reward >= self._right_at))
        if isinstance(prompt, RowPrompt) and self._to_measure[prompt.row] > 0 and response["action_ranges"]:
            self._to_measure[prompt.row] -= 1
            self._given.append((prompt, list(response["observation_tokens"][response["action_ranges"][0][0] :])))

    def to_measure(self) -> list[tuple[RowPrompt, list[int]]]:
        """Prompt and token ids of the responses whose attention is to be measured now, each given once."""
        given, self._given = self._given, []
        return given

    def saw_attention(self, row: int, biased: float | None) -> None:
        """Whether a response to a row is attention-biased; None, and nothing is counted, where that was not measured."""
        if biased is not None:
            self._attention.setdefault(row, []).append(biased)

    def renewals(self) -> list[int]:
        """The rows of the batch that is read to ask without their image, once for every time that they are named; each batch's are given once."""
        if self._renewed == self._batch:
            return []
        self._renewed = self._batch
        return self.follower.renewals_of(self._batch)

    def saw_blind(self, row: int, response: dict[str, Any]) -> None:
        """A response to a row without its image."""
        from rap_plugin.openrlhf_hooks.actors import reward_of

        if (reward := reward_of(response)) is not None:
            self._blind.setdefault(row, []).append(float(reward >= self._right_at))

    def state_dict(self) -> dict[str, Any]:
        """Plain values for OpenRLHF's checkpoint, once the responses of the batch are there."""
        self._settle()
        return {
            "rap_follow": self.follower.dumps(),
            "position": self._position,
            "batch": self._batch,
            "rows": self._rows[self._read :],
            "rewards": {row: list(values) for row, values in self._rewards.items()},
            "blind": {row: list(values) for row, values in self._blind.items()},
            "renewed": self._renewed,
            "to_measure": dict(self._to_measure),
            "attention": {row: list(values) for row, values in self._attention.items()},
            "metrics": dict(self.metrics),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint. Raises RapError where it is of a training that did not follow, or of another one."""
        if "rap_follow" not in state:
            raise RapError("--ckpt.load_enable with --rap.follow: the checkpoint is of a training that did not follow")
        self.follower.loads(state["rap_follow"], "--ckpt.load_enable")
        self._position, self._batch = state["position"], state["batch"]
        self._rows, self._read = state["rows"], 0
        self._rewards, self.metrics = state["rewards"], state["metrics"]
        # Not there in the checkpoint of a training that renewed nothing.
        self._blind, self._renewed = state.get("blind", {}), state.get("renewed", self._batch)
        self._to_measure, self._attention = Counter(state.get("to_measure", {})), state.get("attention", {})

    def _settle(self) -> None:
        """Tells what was seen of the batch, once; what comes later (dynamic filtering) is told with the next one."""
        if self.follower.batches == self._batch:
            self.metrics = self.follower.tell(self._rewards, self._blind, self._attention)
            self._rewards, self._blind, self._attention = {}, {}, {}
