"""R-GRPO (arXiv 2505.16192): GRPOTrainer whose responses look again, with crops inside the assistant turn.

Responses come from the region loop on the network in training. The loss takes the tokens that the model sampled: crops and texts
that the loop put in are read and not learned. Importance ratios, clipping, KL and normalisation are TRL's own, computed from forward
passes over the whole turn with all its images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

from rap_plugin.engines.hf.chat import ModelInputs, prepare_messages
from rap_plugin.engines.hf.engine import LoadedEngine
from rap_plugin.engines.hf.turns import TurnInputs, turn_inputs
from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt, Sampling, rollout_seed
from rap_plugin.trl_hooks.region_inputs import PER_IMAGE, PER_TOKEN, TurnFields
from rap_plugin.vlm_r3.coordinates import Scale, frame_of
from rap_plugin.vlm_r3.crops import TRAINING
from rap_plugin.vlm_r3.driver import run_rows
from rap_plugin.vlm_r3.loop import LoopOptions, RegionRow

PUBLISHED: dict[str, Any] = {"num_generations": 5, "beta": 0.0, "scale_rewards": "group", "num_iterations": 1}
"""What R-GRPO sets of GRPOConfig: five responses a prompt, no reference model, advantages divided by std + 1e-4 of the group."""


@dataclass(frozen=True)
class RegionRollouts:
    """How responses are sampled, beside what GRPOConfig says."""

    loop: LoopOptions | None = None
    """By default 8 segments, `max_completion_length` sampled tokens, and the published limits of crops in training."""
    coordinates: Scale | None = None
    """What boxes are written in, where it is not what the model's family writes."""
    max_turn_tokens: int = 16_384
    """Tokens of prompt and turn together, crops included."""
    batch_size: int | None = None
    """Responses that are written together."""
    mask_unfinished: bool = False
    """Responses that ran out of turns, tokens or room teach nothing, instead of counting as wrong."""


class RegionGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """`GRPOTrainer(..., rollouts=RegionRollouts())` over a dataset with prompt and image or images.

    Reward functions get each response's `trace` (`vlm_r3.trace.Trace`) beside the columns; `region_rewards.region_reward` makes
    the published ones. Raises RapError for settings of GRPOConfig that do not go with it.
    """

    def __init__(self, *args: Any, rollouts: RegionRollouts | None = None, **kwargs: Any) -> None:
        self.rollouts = rollouts or RegionRollouts()
        self._engine: LoadedEngine | None = None
        self._fields: TurnFields | None = None
        super().__init__(*args, rollout_func=_sample, **kwargs)
        for wrong, why in (
            (self.use_vllm, "use_vllm: responses are sampled from the network in training"),
            (self.mask_truncated_completions, "mask_truncated_completions: use RegionRollouts(mask_unfinished=True)"),
            (self.tools or self.environment_factories is not None, "tools or environments"),
            (self.args.top_k or self.args.min_p, "top_k or min_p; only temperature and top_p"),
        ):
            if wrong:
                raise RapError(f"R-GRPO does not work with {why}")

    @property
    def loop(self) -> LoopOptions:
        """What a response may do."""
        return self.rollouts.loop or LoopOptions(
            max_segments=8, max_new_tokens=self.args.max_completion_length, limits=TRAINING
        )

    def sample_rows(self, prompts: Sequence[list[dict[str, Any]]]) -> tuple[list[RegionRow], list[TurnInputs | None]]:
        """One finished row per prompt, with its tensors; None where the engine failed."""
        prepared: dict[str, ModelInputs] = {}

        def prepare(prompt: Prompt, processor: Any, network: Any) -> ModelInputs:
            if prompt.sample_id not in prepared:
                chat = prompts[int(prompt.sample_id)]
                prepared[prompt.sample_id] = prepare_messages(chat, processor, network, self.chat_template_kwargs)
            return prepared[prompt.sample_id]

        with unwrap_model_for_generation(
            self.model_wrapped,
            self.accelerator,
            gather_deepspeed3_params=self.args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
        ) as unwrapped:
            network = unwrapped.get_base_model() if hasattr(unwrapped, "get_base_model") else unwrapped
            if self._engine is None:
                self._engine = LoadedEngine(network, self.processing_class, "training", self.rollouts.batch_size)
            engine = self._engine
            engine.prepare_prompt = prepare
            trained = network.training
            network.eval()
            try:
                frame = frame_of(engine.vision(), self.rollouts.coordinates or "auto")
                rows = [
                    RegionRow.of(
                        Prompt(str(at), "image", "", images_of(chat)),
                        frame,
                        self.loop,
                        seed=rollout_seed(
                            self.args.seed, f"{self._go()} {self.accelerator.process_index}", "image", at
                        ),
                    )
                    for at, chat in enumerate(prompts)
                ]
                run_rows(engine, rows, self._sampling(), lambda row: None)
                turns = [self._turn(row, prepared, network) for row in rows]
            finally:
                engine.close()
                network.train(trained)
        return rows, turns

    def _go(self) -> int:
        """Number of the micro-batch since the beginning of the training: TRL's own counter starts anew after a resume."""
        micros = self.args.gradient_accumulation_steps
        return int(self.state.global_step * micros + self._step % micros)

    def _sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.args.top_p,
            max_prompt_tokens=self.rollouts.max_turn_tokens - 1,
            max_new_tokens=1,
            seed=self.args.seed,
        )

    def _turn(self, row: RegionRow, prepared: Mapping[str, ModelInputs], network: Any) -> TurnInputs | None:
        if row.ended == "engine_error" or not row.segments:
            return None
        row.turn.take_back()  # what stands behind the last sampled token teaches nothing
        return turn_inputs(row.turn, prepared[row.turn.prompt.sample_id], self.processing_class, network)

    def region_rollouts(self, prompts: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
        """What TRL asks of a `rollout_func`; the tensors of the turns are kept for the forward passes."""
        rows, turns = self.sample_rows(prompts)
        end = self._tokenizer.eos_token_id
        prompt_ids, completion_ids, learned = [], [], []
        lengths, images = [], []
        for row, turn in zip(rows, turns, strict=True):
            if turn is None:  # nothing to learn from, and no reward either
                prompt_ids.append([end])
                completion_ids.append([end])
                learned.append([0])
                lengths.append(1)
                images.append(0)
                continue
            length = int(turn.sampled.nonzero()[0])
            lengths.append(length)
            images.append(len(row.turn.prompt.images) + sum(part.image is not None for part in row.turn.parts))
            ids = turn.inputs.ids.tolist()
            prompt_ids.append(ids[:length])
            completion_ids.append(ids[length:])
            keep = not self.rollouts.mask_unfinished or row.ended in ("answer", "end")
            learned.append([int(one and keep) for one in turn.sampled[length:].tolist()])
        self._fields = TurnFields(turns, lengths, images)
        self._log_rows(rows)
        return {
            "prompt_ids": prompt_ids,
            "completion_ids": completion_ids,
            "logprobs": None,
            "env_mask": learned,
            "trace": [None if turn is None else row.trace() for row, turn in zip(rows, turns, strict=True)],
        }

    def _log_rows(self, rows: Sequence[RegionRow]) -> None:
        mode = "train" if self.model.training else "eval"
        count = len(rows)
        looks = [look for row in rows for look in row.looks]
        for name, value in {
            "looks": len(looks) / count,
            "valid_boxes": sum(look.valid for look in looks) / max(1, len(looks)),
            "unfinished": sum(row.ended not in ("answer", "end") for row in rows) / count,
        }.items():
            gathered = self.accelerator.gather(torch.tensor(float(value), device=self.accelerator.device))
            self._metrics[mode][f"regions/{name}"].append(float(gathered.mean()))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
            assert self._fields is not None
            fields = self._fields.tensors(batch["prompt_ids"].size(1), batch["completion_ids"].size(1))
        finally:
            self._fields = None
        kept = {name: value for name, value in batch.items() if name not in (*PER_TOKEN, *PER_IMAGE, "num_images")}
        return {**kept, **self._on_device(fields)}

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> Any:
        if self._fields is not None:  # while a batch is made: TRL has the images of the prompts alone
            fields = self._fields.tensors(input_ids.size(1) - logits_to_keep, logits_to_keep)
            known = (*PER_TOKEN, *PER_IMAGE, "num_images", "num_tiles")
            kwargs = {name: value for name, value in kwargs.items() if name not in known} | self._on_device(fields)
        return super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
        )

    def _on_device(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        device = self.accelerator.device
        return {name: one.to(device) if isinstance(one, torch.Tensor) else one for name, one in fields.items()}


def images_of(chat: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    """The images of a conversation, in order."""
    return tuple(
        part["image"]
        for message in chat
        if not isinstance(message.get("content"), str)
        for part in message.get("content") or ()
        if part.get("type") == "image"
    )


def _sample(prompts: Sequence[list[dict[str, Any]]], trainer: RegionGRPOTrainer) -> dict[str, Any]:
    return trainer.region_rollouts(prompts)
