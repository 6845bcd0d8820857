"""The blind arm while TRL trains: some rows of a batch are answered once more without their image, by the trainer's own sampler.

So it works wherever the trainer samples (Transformers, vLLM, DeepSpeed, FSDP, several processes), with its settings and the weights of
that moment. Nothing is learned from these responses.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.trl_hooks.prompting import without_images
from rap_plugin.trl_hooks.rewards import NOT_COLUMNS
from rap_plugin.trl_hooks.watching import ROW

SAMPLER = ("_tokenize_prompts", "_generate_single_turn")
"""Methods of TRL's trainers (tested: 1.16) that sample prompts of one's own."""


def require_sampler(trainer: Any) -> None:
    """Raises RapError where a trainer cannot be asked for the blind arm."""
    missing = [name for name in SAMPLER if not callable(getattr(trainer, name, None))]
    if missing:
        raise RapError(f"renew: this TRL's {type(trainer).__name__} has no {missing[0]} (tested: 1.16); set renew=0")
    require_plain_responses(trainer, "renew")
    if trainer.use_vllm and not _names_its_responses(trainer):
        raise RapError(
            f"renew: {type(trainer).__name__} asks vLLM for whole groups only; take GRPOTrainer, or set renew=0"
        )


def require_plain_responses(trainer: Any, option: str) -> None:
    """Raises RapError, naming the option, where a response is more than what the model says to its prompt."""
    if any(getattr(trainer, name, None) for name in ("tools", "environment_factories", "rollout_func")):
        raise RapError(f"{option} is about plain responses; tools, environments and rollout_func need {option}=0")


def sample_blind(
    trainer: Any,
    dataset: Any,
    rows: Sequence[int],
    reward: Callable[..., list[float | None]],
    columns: Mapping[str, Any],
) -> list[float | None]:
    """One response to each row without its image, and its reward. `columns` are what the trainer gave the reward beside its rows."""
    asked = [dataset[row] for row in rows]
    prompts = [without_images(row["prompt"]) for row in asked]
    ids, images, fields = trainer._tokenize_prompts(prompts)
    alone = {"num_generations": 1} if _names_its_responses(trainer) else {}
    made = trainer._generate_single_turn(ids, images, fields, **alone)
    # GRPOTrainer gives log probabilities beside the tokens, RLOOTrainer none.
    tokens = made[0] if isinstance(made, tuple) else made
    # A row of the data set has what its transform makes of it, and its number as it has in the batch.
    given: dict[str, Any] = {name: [row[name] for row in asked] for name in asked[0] if name != "prompt"}
    given.setdefault(ROW, list(rows))
    # Not its logs: what a reward logs is of the responses that are trained on.
    given |= {name: _unheard if name.startswith("log_") else columns[name] for name in NOT_COLUMNS if name in columns}
    return reward(prompts=prompts, completions=_read(trainer, ids, tokens), completion_ids=tokens, **given)


def _unheard(*given: Any) -> None:
    """In the place of what logs, which a reward function may name among its parameters."""


def _names_its_responses(trainer: Any) -> bool:
    return "num_generations" in inspect.signature(trainer._generate_single_turn).parameters


def _read(trainer: Any, ids: Sequence[list[int]], tokens: Sequence[list[int]]) -> list[list[dict[str, Any]]]:
    """Responses as the trainer reads its own."""
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    if any(getattr(tokenizer, name, None) is not None for name in ("response_template", "response_schema")):
        from trl.chat_template_utils import parse_response

        return [
            [parse_response(tokenizer, one, prefix=prefix, tools=None)] for prefix, one in zip(ids, tokens, strict=True)
        ]
    texts = trainer.processing_class.batch_decode(tokens, skip_special_tokens=True)
    return [[{"role": "assistant", "content": text}] for text in texts]
