"""Attention of a trainer's own responses while TRL trains: engine `hf` reads some of them again, with the weights of that moment.

The model in memory is read in this process, prompt and response given to it (teacher-forced), wherever the responses were sampled.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError
from rap_plugin.posterior.attention import PSI_OPTIONS, AttentionTest
from rap_plugin.rollout import Attention, Prompt, Sampling
from rap_plugin.trl_hooks.options import read_options
from rap_plugin.trl_hooks.renewing import require_plain_responses
from rap_plugin.trl_hooks.select import SelectionSettings, open_engine

if TYPE_CHECKING:
    from rap_plugin.engines.hf.engine import HFEngine

WHOLE = Sampling(max_prompt_tokens=sys.maxsize)
"""Nothing is sampled, and no prompt is too long."""

log = logging.getLogger("rap_plugin.trl_hooks")


def attention_test(options: Mapping[str, Any] | None) -> AttentionTest:
    """The test that `ace=` names. Raises RapError for what is no option of ACE's."""
    if not isinstance(options or {}, Mapping):
        raise RapError(f"ace={options!r}: give a mapping, as in ace={{'window': 10}}")
    given = dict(options or {})
    known = (*PSI_OPTIONS, "lambda_a")
    if unknown := sorted(set(given) - set(known)):
        raise RapError(f"ace={{{unknown[0]!r}: ..}} is no option of psi; they are {', '.join(known)}")
    return AttentionTest.of(read_options(given, {}))


def require_measurable(trainer: Any) -> None:
    """Raises RapError where the attention of a trainer's responses cannot be measured in its own processes."""
    require_plain_responses(trainer, "renew_attention")
    deepspeed = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    shares = [(trainer.is_fsdp_enabled, "FSDP"), (getattr(deepspeed, "zero_stage", 0) == 3, "DeepSpeed's stage 3")]
    if sharing := [name for at_work, name in shares if at_work]:
        raise RapError(
            f"renew_attention reads the whole model in each process, and {sharing[0]} shares its weights out; set renew_attention=0"
        )
    with _opened(trainer) as engine:
        if problem := engine.attention_problem(WHOLE):
            raise RapError(f"renew_attention: {problem}; set renew_attention=0")


def measure_attention(
    trainer: Any, prompts: Mapping[int, Any], responses: Mapping[int, Sequence[Sequence[int]]]
) -> dict[int, list[Attention]]:
    """Attention of responses (token ids, by row) to the prompts of their rows, as the trainer gave both to its reward."""
    if not responses:
        return {}
    options = dict(trainer.chat_template_kwargs or {})
    with _opened(trainer) as engine:
        from rap_plugin.engines.hf import chat

        def prepare(prompt: Prompt, processor: Any, network: Any) -> chat.ModelInputs:
            return chat.prepare_messages(prompts[int(prompt.sample_id)], processor, network, options)

        engine.prepare_prompt = prepare
        given = [(Prompt(str(row), "image", ""), of_row) for row, of_row in responses.items()]
        found = dict(zip(responses, engine.attention(given, WHOLE), strict=True))
    reasons = [one.error for of_row in found.values() for one in of_row if one.error]
    if reasons:
        log.warning("rap: the attention of %d responses was not measured (%s)", len(reasons), reasons[0])
    return found


@contextmanager
def _opened(trainer: Any) -> Iterator[HFEngine]:
    """The engine over the trainer's model, which is left as it was."""
    settings = SelectionSettings(trainer.processing_class, trainer.args, None, False, True, {})
    with open_engine(trainer.model, settings, hashed=False) as engine:
        yield engine
