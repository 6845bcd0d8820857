"""The embedded model, problems about digits as TRL takes them, and TRL's real trainers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed (pip install 'rap-plugin[trl]')")
pytest.importorskip("sklearn", reason="the problems are drawn from scikit-learn's digits")


QUICK = {"max_new_tokens": 48, "rollouts": 4, "quiet": True}
"""Options that keep a selection of the embedded model short."""

SYSTEM = "Think first."


@pytest.fixture(scope="session")
def digits() -> Callable[..., Any]:
    """`digits(n, seed)`: a datasets.Dataset of n problems with prompt, image, answer, their number as `row`, their role."""
    import datasets
    from digit_problems import make_problems

    features = datasets.Features(
        {
            "row": datasets.Value("int16"),
            "prompt": [{"role": datasets.Value("string"), "content": datasets.Value("string")}],
            "image": datasets.Image(),
            "answer": datasets.Value("string"),
            "role": datasets.Value("string"),
        }
    )

    def make(n: int = 24, seed: int = 3, system: str = "") -> Any:
        rows = [
            {
                "row": number,
                "prompt": [{"role": "system", "content": system}] * bool(system)
                + [{"role": "user", "content": problem.question}],
                "image": {"bytes": problem.image, "path": None},
                "answer": problem.answer,
                "role": problem.role,
            }
            for number, problem in enumerate(make_problems(n, "train", seed))
        ]
        return datasets.Dataset.from_list(rows, features=features)

    return make


@pytest.fixture(scope="session")
def model_dir() -> str:
    from rap_plugin.demo import MODEL_DIR

    return str(MODEL_DIR)


@pytest.fixture(scope="session")
def processor(model_dir: str) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(model_dir)


@pytest.fixture
def model(model_dir: str) -> Any:
    """The embedded model in memory, fresh."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(model_dir)


@pytest.fixture
def make_trainer(model: Any, processor: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`make_trainer(rows, algorithm, reward, **arguments)`: a real trainer of 4 prompts a step, 4 responses each."""
    import torch
    import trl

    # Also for the trainer's own generate: the tests share their cores.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def make(rows: Any, algorithm: str = "GRPO", reward: Any = None, **arguments: Any) -> Any:
        from transformers import PrinterCallback

        from rap_plugin.trl_hooks import accuracy_reward

        args = getattr(trl, f"{algorithm}Config")(**{**ARGUMENTS, "output_dir": str(tmp_path / "out"), **arguments})
        trainer = getattr(trl, f"{algorithm}Trainer")(
            model=model,
            reward_funcs=[accuracy_reward, *([reward] if reward else [])],
            args=args,
            train_dataset=rows,
            processing_class=processor,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    yield make
    torch.set_num_threads(threads)


ARGUMENTS: dict[str, Any] = {
    "per_device_train_batch_size": 16,
    "num_generations": 4,
    "max_completion_length": 48,
    "learning_rate": 1e-3,
    "num_train_epochs": 2,
    "logging_steps": 1,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "beta": 0.0,
}
