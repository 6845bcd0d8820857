"""The flags of the command line, by option: what errors, the command line and the hosts call an option is decided from here."""

from __future__ import annotations

FLAGS = {
    "pool.format": "--format",
    "pool.question": "--question",
    "pool.answer": "--answer",
    "pool.images": "--images",
    "pool.image_root": "--image-root",
    "pool.split": "--split",
    "pool.limit": "--limit",
    "pool.allow_urls": "--allow-urls",
    "model.id": "--model",
    "model.revision": "--revision",
    "model.engine": "--engine",
    "model.dtype": "--dtype",
    "model.device": "--device",
    "model.batch_size": "--batch-size",
    "model.trust_remote_code": "--trust-remote-code",
    "sampling.rollouts": "--rollouts",
    "sampling.temperature": "--temperature",
    "sampling.top_p": "--top-p",
    "sampling.max_prompt_tokens": "--max-prompt-tokens",
    "sampling.max_new_tokens": "--max-new-tokens",
    "sampling.seed": "--seed",
    "sampling.curtail": "--curtail",
    "sampling.budget_rollouts": "--budget-rollouts",
    "prompt.instruction": "--instruction",
    "prompt.system": "--system",
    "prompt.blind": "--blind",
    "grading.grader": "--grader",
    "ace.reduction": "--reduction",
    "ace.heads": "--heads",
    "ace.window": "--window",
    "selection.selector": "--selector",
    "selection.preset": "--preset",
    "selection.lambda_c": "--lambda-c",
    "selection.lambda_a": "--lambda-a",
    "selection.keep": "--keep",
    "execution.executor": "--executor",
    "execution.workers": "--workers",
}
"""The options with a flag of their own; every other one is set with `--set section.name=value`."""


def flag_of(name: str) -> str:
    """How `rap` spells an option: its flag, its dotted name where it has none, `--name` for what is no configuration."""
    return FLAGS.get(name) or (name if "." in name else "--" + name.replace("_", "-"))
