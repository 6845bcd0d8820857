"""OpenRLHF's policy actor with the contrastive loss of the modality-gap work (arXiv 2510.22836) added to its policy loss.

`ActorPPOTrainer.training_step` runs the actor, the loss and the backward pass. Its `actor_loss_fn` is called between the first two,
with the log-probabilities of the sampled branch: there the term is added, and the actor is run a second time on the chosen responses
behind their other prompt (`RowPrompt.other`). Imported by the driver and by Ray in every process of the actor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from rap_plugin.modality_gap.contrastive import ContrastiveLoss, chosen_rows, token_losses, token_mean
from rap_plugin.openrlhf_hooks import contract
from rap_plugin.openrlhf_hooks.replacing import replaced

PolicyActor: Any = contract.plain_class(contract.POLICY_ACTOR)
ActorTrainer: Any = contract.named(contract.ACTOR_TRAINER)


class ContrastivePolicyActor(PolicyActor):  # type: ignore[misc]
    """`PolicyModelActor`, which makes our trainer."""

    def init_model_from_pretrained(self, *arguments: Any, **options: Any) -> None:
        with replaced(contract.ACTOR_TRAINER, ContrastiveActorTrainer):
            super().init_model_from_pretrained(*arguments, **options)


class ContrastiveActorTrainer(ActorTrainer):  # type: ignore[misc]
    """`ActorPPOTrainer`: policy loss + coefficient * L_ckl; `args.rap_contrastive` has the fields of `ContrastiveLoss`.

    The mean is over all chosen response tokens of an optimiser step, however many ranks and micro-batches share it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.contrastive = ContrastiveLoss(**self.args.rap_contrastive)
        self._policy_loss: Any = self.actor_loss_fn
        self.actor_loss_fn: Any = self._loss
        self._now: Any = None
        self._other_ids: dict[int, list[int]] = {}

    def ppo_train(self, kl_ctl: float) -> Any:
        self._other_ids.clear()
        counted = _counts_chosen(contract.named(contract.WINDOWS))
        with replaced(contract.WINDOWS, counted):
            return super().ppo_train(kl_ctl)

    def training_step(self, experience: Any, *arguments: Any, **options: Any) -> Any:
        self._now = experience
        return super().training_step(experience, *arguments, **options)

    def _loss(self, log_probs: torch.Tensor, *arguments: Any, dp_size: int = 1, **options: Any) -> Any:
        loss, *rest = self._policy_loss(log_probs, *arguments, dp_size=dp_size, **options)
        experience, self._now = self._now, None
        # Gradients of the ranks are averaged, and DeepSpeed divides by the micro-batches of a step: each share counts so often.
        term = self._term(experience, log_probs) * dp_size * self.strategy.accumulated_gradient
        experience.info["contrastive_loss"] = term.detach()
        experience.info["contrastive_chosen"] = _chosen(experience).float()
        return loss + self.contrastive.coefficient * term, *rest

    def _term(self, experience: Any, log_probs: torch.Tensor) -> torch.Tensor:
        """This micro-batch's share of L_ckl."""
        total, anywhere = experience.rap_window
        if not anywhere:
            return log_probs.new_zeros(())
        rows = _chosen(experience).nonzero().flatten().tolist()
        there = bool(rows)
        # Ranks that share weights (ZeRO-3) must all run the model: one without a chosen row does so for nothing.
        branches = _TwoPrompts(self, experience, rows or [0], log_probs, there)
        return float(there) * token_mean(token_losses(self.contrastive, branches), branches.mask, total)

    def other_ids(self, experience: Any, at: int) -> list[int]:
        """The tokens of a row's other prompt, images spelled out as the processor does it."""
        from openrlhf.utils.vlm_utils import process_prompt_with_images

        prompt = experience.prompts[at]
        if prompt.row not in self._other_ids:
            ids, _, _ = process_prompt_with_images(self.tokenizer, prompt.other, experience.images[at])
            self._other_ids[prompt.row] = ids
        return self._other_ids[prompt.row]


class _TwoPrompts:
    """The chosen responses of a micro-batch behind both of their prompts; `Branches` of the loss.

    Sequences are (rows, length), padded on the right. Number a of an action mask belongs to token a + 1.
    """

    def __init__(
        self, trainer: ContrastiveActorTrainer, experience: Any, rows: list[int], log_probs: torch.Tensor, there: bool
    ) -> None:
        self._trainer, self._experience, self._rows, self._there = trainer, experience, rows, there
        self._log_probs = log_probs[rows]
        self._sequences = experience.sequences[rows]
        self._attention = experience.attention_mask[rows]
        self._actions = experience.action_mask[rows]
        self._starts = self._actions.long().argmax(dim=1).tolist()
        ends = self._attention.sum(dim=1).tolist()
        self._lengths = [end - 1 - start for start, end in zip(self._starts, ends, strict=True)]
        self.mask = self._aligned(self._actions, self._starts)
        """The response tokens that the model gave itself (rows, tokens)."""

    def logps(self, *, other: bool, learns: bool) -> torch.Tensor:
        if not other:
            return self._aligned(self._log_probs, self._starts)
        sequences, attention, actions, starts = self._other()
        found = self._run(learns, sequences, actions, attention_mask=attention)
        return self._aligned(found, starts)

    def logits(self, *, other: bool, learns: bool) -> torch.Tensor:
        own = self._sequences, self._attention, self._actions, self._starts
        sequences, attention, _, starts = self._other() if other else own
        output = self._run(learns, sequences, attention_mask=attention, return_output=True, allgather_logits=True)
        # OpenRLHF's actor has divided them by the temperature.
        return self._aligned(output["logits"], starts)

    def _other(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[int]]:
        """(sequences, attention mask, action mask, first action) of the responses behind the other prompt."""
        if not self._there:
            return self._sequences, self._attention, self._actions, self._starts
        sequences, actions, starts = [], [], []
        for at, row in enumerate(self._rows):
            prompt = torch.tensor(self._trainer.other_ids(self._experience, row), device=self._sequences.device)
            first, stop = self._starts[at], self._starts[at] + self._lengths[at]
            sequences.append(torch.cat([prompt, self._sequences[at, first + 1 : stop + 1]]))
            kept = self._actions[at, first:stop]
            actions.append(torch.cat([kept.new_zeros(len(prompt) - 1), kept]))
            starts.append(len(prompt) - 1)
        attention = pad_sequence([torch.ones_like(one) for one in sequences], batch_first=True)
        padded = pad_sequence(sequences, batch_first=True)
        return padded, attention, pad_sequence(actions, batch_first=True), starts

    def _run(self, learns: bool, *arguments: Any, **options: Any) -> Any:
        from openrlhf.utils.vlm_utils import merge_mm_train_inputs

        actor, pixels = self._trainer.actor, {}
        if self._experience.mm_train_inputs and getattr(actor, "is_vlm", False):
            own = [self._experience.mm_train_inputs[row] for row in self._rows]
            pixels = merge_mm_train_inputs(own, self._sequences.device)
        with nullcontext() if learns else torch.no_grad():
            return actor(*arguments, ring_attn_group=self._trainer.strategy.ring_attn_group, **options, **pixels)

    def _aligned(self, values: torch.Tensor, starts: list[int]) -> torch.Tensor:
        """(rows, length, ..) -> (rows, tokens, ..): what stands from the first action to the end, padded with zeros."""
        spans = zip(values, starts, self._lengths, strict=True)
        return pad_sequence([one[start : start + length] for one, start, length in spans], batch_first=True)


def _chosen(experience: Any) -> torch.Tensor:
    """The responses that the loss is taken over (batch, bool)."""
    there = [getattr(prompt, "other", None) is not None for prompt in experience.prompts]
    return chosen_rows(experience.rewards, torch.tensor(there, device=experience.rewards.device))


def _counts_chosen(windows: Any) -> Any:
    """OpenRLHF's `iter_grad_accum_global_norm`, that also tells each micro-batch of the chosen tokens of its optimiser step."""

    def counted(batches: Iterable[Any], strategy: Any, accumulated: int, mask_of: Any) -> Iterator[Any]:
        return windows(_told(batches, strategy, accumulated), strategy, accumulated, mask_of)  # type: ignore[no-any-return]

    return counted


def _told(batches: Iterable[Any], strategy: Any, accumulated: int) -> Iterator[Any]:
    window: list[Any] = []
    for batch in batches:
        window.append(batch)
        if len(window) == max(int(accumulated), 1):
            own = torch.stack([(_chosen(one)[:, None] * one.action_mask).sum() for one in window]).float()
            counts = _summed(own, strategy)
            for one, count in zip(window, counts, strict=True):
                one.rap_window = counts.sum(), bool(count > 0)
                yield one
            window = []


def _summed(counts: torch.Tensor, strategy: Any) -> torch.Tensor:
    """The sum over all data-parallel ranks."""
    from openrlhf.utils.loss_utils import _get_dp_group
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return counts
    place = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else counts.device
    summed = counts.to(place)
    distributed.all_reduce(summed, group=_get_dp_group(strategy))
    return summed.cpu()
