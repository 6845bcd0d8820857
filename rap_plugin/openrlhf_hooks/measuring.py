"""Attention of a training's own responses: OpenRLHF's engines read some of them once more, with the weights that sampled them.

Between a batch's last response and its end the workers show their attention, read prompt and response in a prefill each, and hide it again: nothing of it
is there while the training samples or sends weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError
from rap_plugin.openrlhf_hooks.engine import attention_of, end_ids
from rap_plugin.posterior.attention import AttentionTest

if TYPE_CHECKING:
    from rap_plugin.openrlhf_hooks.following import FollowingLoader


def require_measurable(engines: Sequence[Any], args: SimpleNamespace) -> None:
    """Raises RapError where a training's engines, just started, cannot show their attention."""
    if args.vllm.enable_sleep:
        _all(engines, "wake_up")
    reasons = _all(engines, "rap_begin", None, [], True)
    _all(engines, "rap_end", True)
    if args.vllm.enable_sleep:
        _all(engines, "sleep")
    if reason := next(filter(None, reasons), ""):
        raise RapError(f"--rap.follow_renew_attention: {reason}; leave it out")


def measure_attention(generator: Any, loader: FollowingLoader, rows: Any, test: AttentionTest) -> None:
    """Has a samples generator measure what `loader` wants to know of attention; `rows` are the dataset's."""
    import ray

    args, engines, generate = generator.args, generator.vllm_engines, generator._generate_vllm
    ends = end_ids(args.actor.model_name_or_path, generator.tokenizer)
    processor = ray.put(generator.tokenizer)

    def generate_and_measure(*arguments: Any, **options: Any) -> Any:
        found = generate(*arguments, **options)
        # None of an evaluation.
        if given := loader.to_measure():
            _all(engines, "rap_begin", processor, ends, True)
            references = []
            for at, (prompt, ids) in enumerate(given):
                images = rows[prompt.row].get(args.data.image_key)
                engine = engines[at % len(engines)]
                references.append(engine.rap_attention.remote(str(prompt), images, [ids], args.data.max_len))
            read = [attention_of(answer) for (answer,) in ray.get(references)]
            _all(engines, "rap_end", True)
            for (prompt, _), one in zip(given, read, strict=True):
                loader.saw_attention(prompt.row, test.biased(one.statistics))
            if reasons := [one.error for one in read if one.error]:
                print(
                    f"rap-plugin: the attention of {len(reasons)} responses was not measured ({reasons[0]})", flush=True
                )
        return found

    generator._generate_vllm = generate_and_measure


def _all(engines: Sequence[Any], method: str, *arguments: Any) -> list[Any]:
    import ray

    answers: list[Any] = ray.get([getattr(engine, method).remote(*arguments) for engine in engines])
    return answers
