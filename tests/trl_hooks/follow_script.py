"""A training that follows, as a script: what the tests start in several processes, kill and resume.

python follow_script.py OUT STEPS RENEW RENEW_ATTENTION [RESUME]

FOLLOW_ZERO=2 or 3 trains under DeepSpeed's stage of that number.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))


def make_dataset(n: int = 40) -> Any:
    import datasets
    from digit_problems import make_problems

    rows = [
        {
            "prompt": [{"role": "user", "content": problem.question}],
            "image": {"bytes": problem.image, "path": None},
            "answer": problem.answer,
        }
        for problem in make_problems(n, "train", 3)
    ]
    features = datasets.Features(
        {
            "prompt": [{"role": datasets.Value("string"), "content": datasets.Value("string")}],
            "image": datasets.Image(),
            "answer": datasets.Value("string"),
        }
    )
    return datasets.Dataset.from_list(rows, features=features)


def wait_for_every_gather() -> None:
    """DeepSpeed 0.19.6 waits for the last of several gathers alone, which on a GPU's stream is the last to end. On gloo it is not:
    without this, weights of stage 3 were read before they came in 11 of 15 loads of the model by two processes, with nothing of ours in them. Mended upstream (pull request 8539) after 0.19.6."""
    from deepspeed.comm.torch import TorchBackend

    gather = TorchBackend.all_gather_into_tensor

    def waited(*args: Any, **options: Any) -> Any:
        work = gather(*args, **options)
        if work is not None:
            work.wait()
        return work

    TorchBackend.all_gather_into_tensor = waited


def with_deepspeed() -> dict[str, Any]:
    """Arguments of the trainer for the stage that FOLLOW_ZERO names; none without it."""
    stage = os.environ.get("FOLLOW_ZERO")
    if not stage:
        return {}
    import deepspeed

    wait_for_every_gather()
    deepspeed.init_distributed("gloo")
    counts = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
    # Its own Adam for CPUs would be compiled first.
    torch_adam = {"zero_force_ds_cpu_optimizer": False, "zero_allow_untested_optimizer": True}
    return {"deepspeed": {**dict.fromkeys(counts, "auto"), **torch_adam, "zero_optimization": {"stage": int(stage)}}}


def main(out: Path, steps: int, renew: float, renew_attention: float, resume: str | None = None) -> None:
    import torch
    import trl
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rap_plugin.demo import MODEL_DIR
    from rap_plugin.trl_hooks import accuracy_reward, follow

    torch.set_num_threads(1)
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), os.environ.get("RANK", "0")
    zero = with_deepspeed()
    args = trl.GRPOConfig(
        str(out),
        per_device_train_batch_size=16 // world,
        num_generations=4,
        max_completion_length=24,
        learning_rate=1e-3,
        max_steps=steps,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="steps",
        save_steps=3,
        report_to="none",
        disable_tqdm=True,
        beta=0.0,
        **zero,
    )
    followed = follow(make_dataset(), args=args, half_life=4, renew=renew, renew_attention=renew_attention)
    seen: list[list[int]] = []
    blind: list[list[str]] = []

    def accuracy(prompts: Any, completions: Any, **columns: Any) -> Any:
        if not any(part["type"] == "image" for message in prompts[0] for part in message["content"]):
            blind.append([prompt[-1]["content"][-1]["text"] for prompt in prompts])
        return accuracy_reward(prompts, completions, **columns)

    def rows_seen(prompts: Any, rap_row: list[int], **columns: Any) -> list[float]:
        seen.append(rap_row)
        return [0.0] * len(prompts)

    trainer = trl.GRPOTrainer(
        # Stage 3 shares the weights out while the trainer loads them.
        model=str(MODEL_DIR) if zero else AutoModelForImageTextToText.from_pretrained(str(MODEL_DIR)),
        reward_funcs=[followed.watch(accuracy), rows_seen],
        args=args,
        train_dataset=followed.dataset,
        processing_class=AutoProcessor.from_pretrained(str(MODEL_DIR)),
    )
    followed.attach(trainer)
    trainer.train(resume_from_checkpoint=resume)
    beliefs = followed.follower.beliefs(followed.follower.batches)
    content = {
        "rows": seen,
        "blind": blind,
        "right": beliefs.right.tolist(),
        "blind_asked": beliefs.blind_asked.tolist(),
        "measured": beliefs.measured.tolist(),
        "log": [entry for entry in trainer.state.log_history if "rap/follow/informative" in entry],
    }
    (out / f"seen-{rank}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), *sys.argv[5:])
