"""GRPOTrainer with the contrastive loss of the modality-gap work (arXiv 2510.22836) added to its policy loss.

The training set has a column `contrastive_prompt` beside `prompt`: the same problem in the other condition, as a conversation
without images (the row's images belong to both), or None. The branch that was sampled is already read by the policy loss, so
only the other one costs a forward pass, and only for responses whose score is exactly 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from trl.trainer.utils import pad, split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from rap_plugin.errors import RapError
from rap_plugin.modality_gap.contrastive import ContrastiveLoss, chosen_rows, token_losses, token_mean
from rap_plugin.trl_hooks.dapo_trainer import DapoTrainer
from rap_plugin.trl_hooks.prompting import IMAGE_COLUMNS, chat_of

COLUMN = "contrastive_prompt"
PER_TOKEN = ("mm_token_type_ids", "token_type_ids")
"""Fields of a processor with one number per token of the prompt."""

OF_IMAGES = (
    "pixel_values",
    "image_grid_thw",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "image_position_ids",
)
"""Fields that belong to a row's images, and so to both of its prompts."""


class ContrastiveGRPOTrainer(DapoTrainer):
    """`GRPOTrainer(..., contrastive=ContrastiveLoss())`: loss + coefficient * L_ckl, logged as `contrastive/loss`.

    The mean is over all chosen response tokens of an optimiser step, however many devices and micro-batches share it. Raises
    RapError where an optimiser step is spread over several generations, since its tokens are then not known in time.
    """

    def __init__(self, *args: Any, contrastive: ContrastiveLoss | None = None, **kwargs: Any) -> None:
        self.contrastive = contrastive
        super().__init__(*args, **kwargs)
        each, accumulated = self.args.steps_per_generation, self.args.gradient_accumulation_steps
        if contrastive is not None and each % accumulated:
            raise RapError(
                f"the contrastive loss needs steps_per_generation ({each}) to be a multiple of "
                f"gradient_accumulation_steps ({accumulated})"
            )
        self._policy_logps: torch.Tensor | None = None
        self._judged: tuple[list[dict[str, Any]], torch.Tensor] = [], torch.empty(0)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids)
        # With dynamic sampling there are several calls; the last one is about the rows that are trained on.
        own = rewards[self.accelerator.process_index * len(inputs) :][: len(inputs)]
        self._judged = list(inputs), self.total_rewards(own)
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.contrastive is None or not self.model.training:
            return super()._generate_and_score_completions(inputs)
        batch = super()._generate_and_score_completions(inputs)
        rows, scores = self._judged
        there = torch.tensor([row.get(COLUMN) is not None for row in rows], device=scores.device)
        chosen = chosen_rows(scores, there)
        return {**batch, **self._other_prompts(rows, chosen), "contrastive_chosen": chosen}

    def _other_prompts(self, rows: Sequence[Mapping[str, Any]], chosen: torch.Tensor) -> dict[str, Any]:
        """The other prompt of every chosen row, padded on the left; an empty one for the rest."""
        wanted = chosen.nonzero().flatten().tolist()
        ids = [torch.zeros(1, dtype=torch.long) for _ in rows]
        masks = [torch.zeros(1, dtype=torch.long) for _ in rows]
        fields: dict[str, list[torch.Tensor]] = {}
        if wanted:
            column = next(name for name in IMAGE_COLUMNS if name in rows[0])
            chats = [chat_of({**rows[at], "prompt": rows[at][COLUMN]}, column) for at in wanted]
            tokens, _, more = self._tokenize_prompts(chats)
            for at, own in zip(wanted, tokens, strict=True):
                ids[at], masks[at] = torch.tensor(own), torch.ones(len(own), dtype=torch.long)
            for name in PER_TOKEN:
                if name in more:
                    fields[name] = [torch.zeros(1, dtype=torch.long) for _ in rows]
                    for at, own in zip(wanted, more[name], strict=True):
                        fields[name][at] = torch.as_tensor(own)
        device = chosen.device
        made = {f"contrastive_{name}": _left(parts).to(device) for name, parts in fields.items()}
        return {**made, "contrastive_ids": _left(ids).to(device), "contrastive_mask": _left(masks).to(device)}

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        batch: dict[str, Any] = super()._prepare_inputs(generation_batch)
        if "contrastive_chosen" in batch and "contrastive_total" not in batch:
            self._count_windows(self._buffered_inputs)
        return batch

    def _count_windows(self, batches: Sequence[dict[str, Any]]) -> None:
        """Tells each micro-batch the chosen tokens of its whole optimiser step, and whether any process has some in it."""
        own = torch.stack([(one["contrastive_chosen"][:, None] * _mask(one)).sum() for one in batches])
        counts = self.accelerator.gather(own[None]).sum(dim=0)
        window = self.args.gradient_accumulation_steps
        for at, batch in enumerate(batches):
            start = at - at % window
            batch["contrastive_total"] = counts[start : start + window].sum()
            batch["contrastive_anywhere"] = counts[at] > 0

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        self._policy_logps = found[0]
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        if self.contrastive is None or "contrastive_total" not in inputs:
            return loss
        assert self._policy_logps is not None
        sampled, self._policy_logps = self._policy_logps, None
        # Gradients of the processes are averaged, so each one's share counts that many times.
        term = self._contrastive_term(model, inputs, sampled) * self.accelerator.num_processes
        self._log_contrastive(term.detach(), inputs["contrastive_chosen"])
        return loss + self.contrastive.coefficient * term

    def _contrastive_term(self, model: Any, inputs: dict[str, Any], sampled: torch.Tensor) -> torch.Tensor:
        """This micro-batch's share of L_ckl; `sampled` are the log-probabilities of the sampled branch (batch, tokens)."""
        assert self.contrastive is not None
        rows = inputs["contrastive_chosen"].nonzero().flatten()
        if not inputs["contrastive_anywhere"]:
            return sampled.new_zeros(())
        weight = 1.0
        if not len(rows):
            # Processes that share weights (FSDP, ZeRO-3) must all run the model: this one does, for nothing.
            rows, weight = rows.new_zeros(1), 0.0
        losses = token_losses(self.contrastive, _BothPrompts(self, model, inputs, rows, sampled, there=weight > 0))
        return weight * token_mean(losses, _mask(inputs)[rows], inputs["contrastive_total"])

    def _branch(self, inputs: dict[str, Any], rows: torch.Tensor, other: bool) -> dict[str, Any]:
        """What the model reads for some rows behind one of their prompts."""
        prefix = "contrastive" if other else "prompt"
        ids, mask = inputs[f"{prefix}_ids"][rows], inputs[f"{prefix}_mask"][rows]
        said, kept = inputs["completion_ids"][rows], inputs["completion_mask"][rows]
        images = {name: inputs[name] for name in (*OF_IMAGES, "num_images") if inputs.get(name) is not None}
        at = rows.tolist()
        picked = {
            name: [value[i] for i in at] if isinstance(value, list) else value[rows]
            for name, value in split_pixel_values_by_grid(images).items()
        }
        branch = {**unsplit_pixel_values_by_grid(picked), "input_ids": torch.cat([ids, said], dim=1)}
        branch["attention_mask"] = torch.cat([mask, kept], dim=1)
        for name in PER_TOKEN:
            if other and f"contrastive_{name}" in inputs:
                own = inputs[f"contrastive_{name}"][rows]
                branch[name] = torch.cat([own, own.new_zeros(said.shape)], dim=1)
            elif not other and inputs.get(name) is not None:
                branch[name] = inputs[name][rows]
        branch["logits_to_keep"] = said.size(1)
        return branch

    def _logps(self, model: Any, branch: dict[str, Any], learns: bool) -> torch.Tensor:
        """Log-probabilities of the responses (rows, tokens) at the rollout's temperature."""
        with nullcontext() if learns else torch.no_grad():
            found: torch.Tensor = super()._get_per_token_logps_and_entropies(model, **branch)[0]
        return found

    def _logits(self, model: Any, branch: dict[str, Any], learns: bool) -> torch.Tensor:
        """Logits that gave the responses' tokens (rows, tokens, vocabulary), before the temperature."""
        keep = branch["logits_to_keep"]
        given = {name: value for name, value in branch.items() if name not in ("num_images", "num_tiles")}
        given["logits_to_keep"] = keep + 1
        with nullcontext() if learns else torch.no_grad(), self.accelerator.autocast():
            logits: torch.Tensor = model(**given, use_cache=False).logits
        return logits[:, -keep - 1 : -1].to(torch.promote_types(logits.dtype, torch.float32))

    def _log_contrastive(self, term: torch.Tensor, chosen: torch.Tensor) -> None:
        """Trainer averages what is logged between two lines, and a step's loss is the sum over its micro-batches."""
        metrics = self._metrics["train"]
        share = float(self.accelerator.gather(term[None]).mean()) * self.args.gradient_accumulation_steps
        metrics["contrastive/loss"].append(share)
        metrics["contrastive/chosen"].append(float(self.accelerator.gather(chosen.float()).mean()))


class _BothPrompts:
    """Rows of a micro-batch behind either prompt; `sampled` (batch, tokens) are the policy loss's own log-probabilities."""

    def __init__(
        self,
        trainer: ContrastiveGRPOTrainer,
        model: Any,
        inputs: dict[str, Any],
        rows: torch.Tensor,
        sampled: torch.Tensor,
        there: bool,
    ) -> None:
        self._trainer, self._model, self._inputs, self._rows = trainer, model, inputs, rows
        self._sampled, self._there = sampled, there

    def logps(self, *, other: bool, learns: bool) -> torch.Tensor:
        if not other:
            return self._sampled[self._rows]
        return self._trainer._logps(self._model, self._branch(other), learns)

    def logits(self, *, other: bool, learns: bool) -> torch.Tensor:
        return self._trainer._logits(self._model, self._branch(other), learns) / self._trainer.temperature

    def _branch(self, other: bool) -> dict[str, Any]:
        return self._trainer._branch(self._inputs, self._rows, other=other and self._there)


def _left(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    padded: torch.Tensor = pad(list(parts), padding_value=0, padding_side="left")
    return padded


def _mask(batch: Mapping[str, Any]) -> torch.Tensor:
    """The response tokens that the model gave itself (batch, tokens)."""
    mask: torch.Tensor = batch["completion_mask"]
    return mask * batch["tool_mask"] if batch.get("tool_mask") is not None else mask
