"""SFT on interleaved turns with TRL's SFTTrainer, for three families of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed (pip install 'rap-plugin[trl]')")

import torch

from rap_plugin.errors import RapError
from tests.engines.tiny_models import build

FAMILIES = ("llava", "qwen2_5_vl", "qwen3_vl")


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = build(request.param, tmp_path_factory.mktemp(request.param), layers=2)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float64)
    return model, AutoProcessor.from_pretrained(folder)


def picture(seed: int, width: int, height: int) -> Any:
    from PIL import Image

    generator = torch.Generator().manual_seed(seed)
    return Image.fromarray(torch.randint(0, 255, (height, width, 3), generator=generator, dtype=torch.uint8).numpy())


ROWS = [
    {
        "images": [picture(0, 80, 60), picture(1, 60, 90)],
        "question": "Which?",
        "response_list": ['<think>{"image": 1, "bbox_2d": [1, 2, 3, 4]}', "again ", "</think><answer>3</answer>"],
        "img_crop_list": [picture(2, 60, 60), picture(3, 90, 60)],
    },
    {
        "images": [picture(4, 60, 60)],
        "question": "And <image>?",
        "response_list": ["<answer>yes</answer>"],
        "img_crop_list": [],
    },
]


def test_only_what_the_model_writes_is_learned_and_every_image_token_meets_its_picture(loaded: Any) -> None:
    from rap_plugin.trl_hooks.region_sft import IGNORED, RegionCollator
    from tests.trl_hooks.test_region_trainer import features_of

    model, processor = loaded
    batch = RegionCollator(processor, model)(ROWS)
    decode = processor.tokenizer.decode
    token = getattr(model.config, "image_token_id", None) or model.config.image_token_index
    for row, ids, labels in zip(ROWS, batch["input_ids"], batch["labels"], strict=True):
        learned = ids[labels != IGNORED]
        assert (labels[labels != IGNORED] == learned).all()
        assert decode(learned) == "".join(row["response_list"]) + processor.tokenizer.eos_token
        assert not (learned == token).any()
    seen: list[torch.Tensor] = []
    hook = model.model.language_model.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["inputs_embeds"]), with_kwargs=True
    )
    given = {name: one.double() if one.is_floating_point() else one for name, one in batch.items()}
    with torch.no_grad():
        loss = model(**given).loss
        for at, row in enumerate(ROWS):
            pictures = [*row["images"], *row["img_crop_list"]]
            wanted = torch.cat([features_of(model, processor, one) for one in pictures])
            assert torch.allclose(seen[0][at][batch["input_ids"][at] == token], wanted, atol=1e-9)
    hook.remove()
    assert float(loss) > 0


def test_trl_trains_on_the_rows_and_the_loss_falls(loaded: Any, tmp_path: Path) -> None:
    import datasets
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from rap_plugin.trl_hooks.region_sft import SFT_SETTINGS, RegionCollator

    model, processor = loaded
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=2, max_steps=4, learning_rate=5e-3, logging_steps=1,
            use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no", disable_tqdm=True,
            **SFT_SETTINGS,
        ),
        train_dataset=datasets.Dataset.from_list([{"row": 0}, {"row": 1}]),
        data_collator=lambda rows: RegionCollator(processor, model)([ROWS[row["row"]] for row in rows]),
        processing_class=processor,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]


def test_rows_that_cannot_be_trained_on_are_found_before_training(loaded: Any) -> None:
    from rap_plugin.trl_hooks.region_sft import RegionCollator

    model, processor = loaded
    collate = RegionCollator(processor, model, max_tokens=2000)
    long = {**ROWS[1], "response_list": ["x" * 3000]}
    short = {**ROWS[0], "img_crop_list": []}
    found = collate.problems([ROWS[0], long, short])
    assert found.keys() == {1, 2}
    assert "the limit is 2000" in found[1]
    with pytest.raises(RapError, match="3 segments for 0 crops"):
        collate([short])
