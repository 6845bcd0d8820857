"""The blind arm while OpenRLHF trains: some rows of a batch go to its engines once more, without their image.

They go with the batch, in the same call of its samples generator, with the training's sampling and reward. What comes back is told to the
loader and makes no experience.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rap_plugin.openrlhf_hooks.prompting import OpenRLHFPrompts
from rap_plugin.openrlhf_hooks.row_prompts import RowPrompt
from rap_plugin.rollout import Prompt

if TYPE_CHECKING:
    from rap_plugin.openrlhf_hooks.following import FollowingLoader


def renew_blind(generator: Any, loader: FollowingLoader, rows: Any) -> None:
    """Has a samples generator ask what `loader` wants to know of the blind arm; `rows` are the dataset's."""
    prompts = OpenRLHFPrompts.of(generator.args, generator.tokenizer)
    dispatch, generate = generator._dispatch_prompts_to_vllm, generator._generate_vllm
    asked: list[tuple[int, Any]] = []

    def dispatch_both(texts: list[str], labels: list[str], **options: Any) -> list[Any]:
        # Those of an evaluation know no row.
        wanted = loader.renewals() if isinstance(texts[0], RowPrompt) else []
        references: list[Any] = dispatch(texts, labels, **options)
        if wanted:
            blind = [prompts.build(rows[row], Prompt(str(row), "blind", "")) for row in wanted]
            once = {**options, "images": None, "n_samples_per_prompt": 1}
            answers = dispatch([text for text, *_ in blind], [label for _, label, _ in blind], **once)
            asked.extend(zip(wanted, answers, strict=True))
        return references

    def generate_both(*arguments: Any, **options: Any) -> Any:
        import ray

        found = generate(*arguments, **options)
        for row, reference in asked:
            for response in ray.get(reference):
                loader.saw_blind(row, response)
        asked.clear()
        return found

    generator._dispatch_prompts_to_vllm, generator._generate_vllm = dispatch_both, generate_both
