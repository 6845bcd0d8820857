"""verl's FSDP engine with the contrastive loss of the modality-gap work (arXiv 2510.22836) added to its policy loss.

verl chooses engines by device and vendor: VERL_USE_EXTERNAL_MODULES=rap_plugin.verl_hooks.contrastive_engine has every process of verl import
this file, and VERL_ENGINE_VENDOR=rap has its workers take this engine. The other prompts come with the responses (`contrastive_agent.py`).
The term is added where verl calls its loss, between the forward and the backward pass of a micro-batch.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from verl.utils import tensordict_utils as tu
from verl.utils.metric import AggregationType, Metric
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from rap_plugin.errors import RapError
from rap_plugin.modality_gap.contrastive import ContrastiveLoss, chosen_rows, token_losses, token_mean

VENDOR = "rap"
TOTAL = "rap_chosen_tokens"
NOTE = "rap_contrastive"
"""In `extra_fields` of a response."""

CARRIED = ("use_remove_padding", "pad_mode", "use_fused_kernels", "pad_token_id")
"""What `prepare_model_inputs` reads beside tensors."""


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu"], vendor=VENDOR)
class ContrastiveEngine(FSDPEngineWithLMHead):  # type: ignore[misc]
    """`FSDPEngineWithLMHead`: policy loss + coefficient * L_ckl, as the mean over all chosen tokens of a mini-batch."""

    def forward_backward_batch(self, data: Any, loss_function: Any, forward_only: bool = False) -> Any:
        if not forward_only and _notes(data) is not None:
            mask = data["response_mask"]
            lengths = torch.stack([row.sum() for row in mask.unbind()])
            total = (lengths * _chosen(data).to(lengths.device)).sum().float().to(_device())
            torch.distributed.all_reduce(total, group=self.get_data_parallel_group())
            tu.assign_non_tensor(data, **{TOTAL: total.item()})
        return super().forward_backward_batch(data, loss_function, forward_only)

    def forward_step(self, micro_batch: Any, loss_function: Any, forward_only: bool) -> Any:
        total = tu.get_non_tensor_data(data=micro_batch, key=TOTAL, default=0.0)
        if forward_only or not total:
            return super().forward_step(micro_batch, loss_function, forward_only)

        def with_term(model_output: Any, data: Any, dp_group: Any = None) -> Any:
            loss, metrics = loss_function(model_output=model_output, data=data, dp_group=dp_group)
            options = ContrastiveLoss(**_notes(data)[0]["loss"])  # type: ignore[index]
            # Gradients of the ranks are averaged, so each one's share counts that many times.
            term = self._term(options, model_output["log_probs"], data, total) * self.get_data_parallel_size()
            metrics["actor/contrastive_loss"] = Metric(value=term.detach(), aggregation=AggregationType.SUM)
            chosen = _chosen(data).float().mean()
            metrics["actor/contrastive_chosen"] = Metric(value=chosen, aggregation=AggregationType.MEAN)
            return loss + options.coefficient * term, metrics

        return super().forward_step(micro_batch, with_term, forward_only)

    def _term(self, options: ContrastiveLoss, log_probs: torch.Tensor, data: Any, total: float) -> torch.Tensor:
        rows = _chosen(data).nonzero().flatten().tolist()
        there = bool(rows)
        # Ranks share their weights: one without a chosen row runs the model all the same, for nothing.
        branches = _BothBranches(self, data, rows or [0], log_probs, there)
        return float(there) * token_mean(token_losses(options, branches), branches.mask, total)


class _BothBranches:
    """The chosen responses of a micro-batch behind both of their prompts; `Branches` of the loss."""

    def __init__(
        self, engine: ContrastiveEngine, data: Any, rows: list[int], log_probs: torch.Tensor, there: bool
    ) -> None:
        self._engine, self._data, self._rows, self._there = engine, data, rows, there
        self._log_probs = log_probs.unbind()
        self._responses = [data["responses"].unbind()[row] for row in rows]
        self.mask = pad_sequence([data["response_mask"].unbind()[row] for row in rows], batch_first=True)
        """The response tokens that the model gave itself (rows, tokens)."""

    def logps(self, *, other: bool, learns: bool) -> torch.Tensor:
        if not other:
            return self._aligned([self._log_probs[row] for row in self._rows])
        given, arguments, batch = self._inputs(other=True)
        with nullcontext() if learns else torch.no_grad():
            output = self._engine.module(**given, use_cache=False)
            found = self._engine.prepare_model_outputs(output, arguments, batch, None)["log_probs"]
        return self._aligned(found.unbind())

    def logits(self, *, other: bool, learns: bool) -> torch.Tensor:
        if self._engine.use_ulysses_sp or tu.get_non_tensor_data(self._data, "use_fused_kernels", default=False):
            raise RapError(
                "contrastive=forward_kl needs whole logits; leave out ulysses_sequence_parallel_size and "
                "use_fused_kernels, or take k3 or nll"
            )
        given, _, batch = self._inputs(other)
        with nullcontext() if learns else torch.no_grad():
            logits = self._engine.module(**given, use_cache=False).logits
        ids, temperature = batch["input_ids"], batch["temperature"]
        packed = logits.size(0) != len(self._rows) or logits.size(1) != int(ids.offsets().diff().max())
        each = logits.squeeze(0).split(ids.offsets().diff().tolist()) if packed else logits.unbind()
        return self._aligned([one / heat for one, heat in zip(each, temperature, strict=True)], ids)

    def _inputs(self, other: bool) -> tuple[Any, Any, Any]:
        """(model's arguments, what they mean, batch) of the rows, as the engine itself prepares them."""
        data, rows = self._data, self._rows
        if other and self._there:
            notes = [(_notes(data) or [])[row] for row in rows]
            device = data["input_ids"].device
            ids = [
                torch.cat([torch.tensor(note["ids"], device=device), said])
                for note, said in zip(notes, self._responses, strict=True)
            ]
            positions = [note["position_ids"].to(device) for note in notes]
        else:
            ids = [data["input_ids"].unbind()[row] for row in rows]
            positions = [data["position_ids"].unbind()[row] for row in rows]
        temperature = data["temperature"]
        if not isinstance(temperature, torch.Tensor):
            temperature = torch.full((len(data["input_ids"].unbind()),), float(temperature), device=ids[0].device)
        pixels = list(data["multi_modal_inputs"]) if "multi_modal_inputs" in data else [{}] * (max(rows) + 1)
        carried = {
            name: tu.get_non_tensor_data(data, name, default=None)
            for name in CARRIED
            if tu.get_non_tensor_data(data, name, default=None) is not None
        }
        batch = tu.get_tensordict(
            {
                "input_ids": torch.nested.as_nested_tensor(ids, layout=torch.jagged),
                "position_ids": _jagged(positions),
                "temperature": temperature[rows],
                "multi_modal_inputs": [_plain(pixels[row]) for row in rows],
            },
            non_tensor_dict=carried,
        )
        given, arguments = self._engine.prepare_model_inputs(micro_batch=batch)
        return given, arguments, batch

    def _aligned(self, values: Any, ids: torch.Tensor | None = None) -> torch.Tensor:
        """Per row (length, ..) -> (rows, tokens, ..): what gave the response's tokens, padded with zeros."""
        lengths = [len(one) for one in (values if ids is None else ids.unbind())]
        spans = zip(values, lengths, map(len, self._responses), strict=True)
        return pad_sequence([one[length - said - 1 : length - 1] for one, length, said in spans], batch_first=True)


def _notes(data: Any) -> list[dict[str, Any]] | None:
    """What the agent loop noted for every response; None for responses of another loop."""
    if "extra_fields" not in data:
        return None
    fields = [_plain(one) for one in data["extra_fields"]]
    return [one[NOTE] for one in fields] if all(NOTE in one for one in fields) else None


def _plain(value: Any) -> Any:
    return getattr(value, "data", value)


def _chosen(data: Any) -> torch.Tensor:
    """The responses that the loss is taken over (batch, bool)."""
    scores = torch.stack([row.sum() for row in data["rm_scores"].unbind()])
    there = [note["ids"] is not None for note in _notes(data) or ()]
    return chosen_rows(scores, torch.tensor(there, device=scores.device))


def _jagged(positions: list[torch.Tensor]) -> torch.Tensor:
    """Position ids (length) or (axes, length) of rows as verl nests them: the axes stay whole."""
    if positions[0].dim() == 1:
        return torch.nested.as_nested_tensor(positions, layout=torch.jagged)
    offsets = torch.tensor([0, *(one.size(-1) for one in positions)], device=positions[0].device).cumsum(0)
    return torch.nested.nested_tensor_from_jagged(torch.cat(positions, dim=-1), offsets, jagged_dim=2)


def _device() -> Any:
    from verl.utils.device import get_device_id

    return get_device_id()
