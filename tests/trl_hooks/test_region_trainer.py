"""R-GRPO on TRL's GRPOTrainer: batches of several images and crops, in double precision, for three families of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed (pip install 'rap-plugin[trl]')")

import torch

from rap_plugin.engines.turns import Segment
from rap_plugin.errors import RapError
from rap_plugin.vlm_r3.coordinates import frame_of, to_corners
from rap_plugin.vlm_r3.crops import CropLimits
from rap_plugin.vlm_r3.loop import LoopOptions, RegionRow
from tests.engines.tiny_models import build

FAMILIES = ("llava", "qwen2_5_vl", "qwen3_vl")
LOOP = LoopOptions(limits=CropLimits(28 * 28, 56 * 56), max_new_tokens=400)
TEMPERATURE = 0.7

SCRIPTS = (
    ("<think>", (0, (10, 10, 60, 60)), "again ", (1, (0, 0, 30, 40)), "</think><answer>3</answer>"),
    ("<answer>4</answer>",),
    ("look ", (1, (5, 5, 80, 30)), "<answer>3</answer>"),
    ("first ", (0, (0, 0, 0, 0)), "oh ", (0, (20, 30, 70, 80)), "so ", (0, (40, 40, 90, 90))),
)
"""What four responses write: texts, and boxes as (image, region); the first box of the last one is refused."""

BEGINS = [script[0] for script in SCRIPTS]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(request.param, tmp_path_factory.mktemp(request.param), layers=2)


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Callable[..., Any]:
    """`make(**arguments)`: a trainer in float64 over two prompts of two images, two scripted responses each."""
    import datasets
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback
    from trl import GRPOConfig

    from rap_plugin.trl_hooks.region_rewards import region_reward
    from rap_plugin.trl_hooks.region_trainer import RegionGRPOTrainer, RegionRollouts

    class Scripted(RegionGRPOTrainer):
        """Rows go through the real loop; only what the model writes is given."""

        def sample_rows(self, prompts: Any) -> Any:
            from rap_plugin.engines.hf.chat import prepare_messages
            from rap_plugin.engines.hf.engine import LoadedEngine
            from rap_plugin.rollout import Prompt
            from rap_plugin.trl_hooks.region_trainer import images_of

            network = self.accelerator.unwrap_model(self.model)
            frame = frame_of(LoadedEngine(network, self.processing_class, "tiny").vision())
            rows, prepared = [], {}
            for at, chat in enumerate(prompts):
                row = RegionRow.of(Prompt(str(at), "image", "", images_of(chat)), frame, LOOP)
                prepared[str(at)] = prepare_messages(chat, self.processing_class, network)
                write(row, SCRIPTS[at % len(SCRIPTS)], self.processing_class.tokenizer)
                rows.append(row)
            return rows, [self._turn(row, prepared, network) for row in rows]

    def built(rollouts: Any = None, **arguments: Any) -> Any:
        rng = torch.Generator().manual_seed(0)
        pictures = [
            Image.fromarray(torch.randint(0, 255, (90 + 10 * n, 120, 3), generator=rng, dtype=torch.uint8).numpy())
            for n in range(4)
        ]
        rows = datasets.Dataset.from_list(
            [
                {"prompt": [{"role": "user", "content": "Which?"}], "images": pictures[:2], "answer": "3"},
                {"prompt": [{"role": "user", "content": "Which one, then?"}], "images": pictures[2:], "answer": "3"},
            ],
            features=datasets.Features(
                {
                    "prompt": [{"role": datasets.Value("string"), "content": datasets.Value("string")}],
                    "images": datasets.Sequence(datasets.Image()),
                    "answer": datasets.Value("string"),
                }
            ),
        )
        args = {
            "output_dir": str(tmp_path / "out"), "per_device_train_batch_size": 4, "num_generations": 2,
            "temperature": TEMPERATURE, "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none",
            "save_strategy": "no", "disable_tqdm": True, "shuffle_dataset": False, "max_steps": 1, "learning_rate": 1e-3,
        }  # fmt: skip
        trainer = Scripted(
            model=AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float64),
            reward_funcs=[region_reward("released")],
            args=GRPOConfig(**{**args, **arguments}),
            train_dataset=rows,
            processing_class=AutoProcessor.from_pretrained(folder),
            rollouts=rollouts or RegionRollouts(loop=LOOP),
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    return built


def write(row: RegionRow, script: tuple[Any, ...], tokenizer: Any) -> None:
    """Lets a row go through what a model is said to write."""
    text = ""
    for part in script:
        if isinstance(part, str):
            text = part
            if part is not script[-1]:
                continue
        else:
            number, region = part
            box = list(to_corners(row.frame, region, row.turn.prompt.images[number].size))
            text += f'{{"image": {number + 1}, "bbox_2d": {box}}}'
        ids = tuple(tokenizer.encode(text, add_special_tokens=False))
        row.accept(Segment(ids, text, "closed"))
        text = ""
    if not row.done:
        row.ended = "segments"


def batch_of(trainer: Any) -> dict[str, Any]:
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def pictures_of_rows(trainer: Any) -> list[list[Any]]:
    """All pictures of each response, in order, from a second pass through the loop."""
    dataset = trainer.train_dataset
    from rap_plugin.trl_hooks.prompting import chat_of

    chats = [chat_of(dataset[at // 2], "images") for at in range(4)]
    rows, _ = trainer.sample_rows(chats)
    return [
        [*row.turn.prompt.images, *(part.image for part in row.turn.parts if part.image is not None)] for row in rows
    ]


def row_order(trainer: Any, batch: dict[str, Any]) -> list[int]:
    """Which script each row of a shuffled batch follows, by what the model has written in it."""
    decode = trainer.processing_class.tokenizer.decode
    learned = batch["completion_mask"] * batch["tool_mask"]
    said = [decode(ids[mask == 1]) for ids, mask in zip(batch["completion_ids"], learned, strict=True)]
    order = [next(n for n, script in enumerate(SCRIPTS) if text.startswith(BEGINS[n])) for text in said]
    assert sorted(order) == [0, 1, 2, 3], said
    return order


def features_of(model: Any, processor: Any, picture: Any) -> torch.Tensor:
    """What the model makes of one picture alone (tokens, width)."""
    given = processor.image_processor(images=[picture], return_tensors="pt")
    given = {name: one.double() if one.is_floating_point() else one for name, one in given.items()}
    names = {"pixel_values", "image_grid_thw", "image_sizes"} & given.keys()
    found = model.model.get_image_features(**{name: given[name] for name in names})
    found = getattr(found, "pooler_output", found)
    while not isinstance(found, torch.Tensor):
        found = found[0]
    return found.reshape(-1, found.shape[-1])


def test_every_image_token_of_a_shuffled_batch_meets_the_features_of_its_own_picture(make: Callable[..., Any]) -> None:
    trainer = make()
    batch = batch_of(trainer)
    model, processor = trainer.model, trainer.processing_class
    pictures = pictures_of_rows(trainer)
    seen: list[torch.Tensor] = []
    hook = model.model.language_model.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["inputs_embeds"]), with_kwargs=True
    )
    with torch.no_grad():
        trainer._compute_loss(model, batch)
    hook.remove()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    token = getattr(model.config, "image_token_id", None) or model.config.image_token_index
    for at, script in enumerate(row_order(trainer, batch)):
        with torch.no_grad():
            wanted = torch.cat([features_of(model, processor, picture) for picture in pictures[script]])
        got = seen[0][at][ids[at] == token]
        assert got.shape == wanted.shape
        assert torch.allclose(got, wanted, atol=1e-9)
    assert sorted(len(one) for one in pictures) == [2, 3, 3, 4]
    assert batch["num_images"] == [len(pictures[script]) for script in row_order(trainer, batch)]


def test_the_loss_is_that_of_a_slow_reference_and_injected_tokens_have_no_gradient(make: Callable[..., Any]) -> None:
    trainer = make(loss_type="dapo", epsilon=0.2, epsilon_high=0.28)
    batch = batch_of(trainer)
    kept: list[torch.Tensor] = []
    measure = trainer._get_per_token_logps_and_entropies

    def watched(*args: Any, **kwargs: Any) -> Any:
        found = measure(*args, **kwargs)
        found[0].retain_grad()
        kept.append(found[0])
        return found

    with torch.no_grad():
        logps = measure(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].size(1),
            **{
                n: batch[n] for n in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids") if n in batch
            },
        )[0]
    noise = 0.3 * torch.randn(logps.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    batch = {**batch, "old_per_token_logps": logps + noise}
    trainer._get_per_token_logps_and_entropies = watched
    loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    learned = batch["completion_mask"] * batch["tool_mask"]
    gradient = kept[0].grad
    assert (gradient[learned == 0] == 0).all()
    assert (gradient[learned == 1] != 0).any()
    assert int((batch["completion_mask"] * (1 - batch["tool_mask"])).sum()) > 0

    total = torch.zeros((), dtype=torch.float64)
    for at in range(4):
        for place in learned[at].nonzero().flatten().tolist():
            ratio = (slow_logp(trainer, batch, at, place) - batch["old_per_token_logps"][at, place]).exp()
            gain = batch["advantages"][at].double()
            total = total - torch.minimum(ratio * gain, ratio.clamp(0.8, 1.28) * gain)
    assert float(loss.detach()) == pytest.approx(float(total / learned.sum()), abs=1e-7)


_SLOW: dict[tuple[int, int], torch.Tensor] = {}


@torch.no_grad()
def slow_logp(trainer: Any, batch: dict[str, Any], row: int, place: int) -> torch.Tensor:
    """log pi of one token: the row alone, without padding, its pictures through the processor one by one."""
    key = (id(batch), row)
    if key not in _SLOW:
        model, processor = trainer.model, trainer.processing_class
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)[row] == 1
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)[row][mask][None]
        pictures = pictures_of_rows(trainer)[row_order(trainer, batch)[row]]
        alone = [processor.image_processor(images=[one], return_tensors="pt") for one in pictures]
        names = {"pixel_values", "image_grid_thw"} & alone[0].keys()
        given = {name: torch.cat([one[name] for one in alone]) for name in names}
        given = {name: one.double() if one.is_floating_point() else one for name, one in given.items()}
        if "mm_token_type_ids" in batch:
            given["mm_token_type_ids"] = (ids == model.config.image_token_id).long()
        logits = model(input_ids=ids, **given).logits[0] / TEMPERATURE
        found = logits[:-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        _SLOW[key] = found[int(batch["prompt_mask"][row].sum()) - 1 :]
    return _SLOW[key][place]


def test_rows_that_ran_out_of_turns_are_learned_from_or_not_as_it_was_asked(make: Callable[..., Any]) -> None:
    from rap_plugin.trl_hooks.region_trainer import RegionRollouts

    for masked in (False, True):
        batch = batch_of(make(RegionRollouts(loop=LOOP, mask_unfinished=masked)))
        learned = (batch["completion_mask"] * batch["tool_mask"]).sum(dim=1)
        assert int((learned == 0).sum()) == masked
        assert int(batch["num_items_in_batch"]) == int(learned.sum())


def test_ratios_are_real_where_a_batch_is_learned_from_more_than_once(make: Callable[..., Any]) -> None:
    trainer = make(num_iterations=2, max_steps=2, optim="sgd", lr_scheduler_type="constant", max_grad_norm=0.0)
    batch = batch_of(trainer)
    assert batch["old_per_token_logps"].shape == batch["completion_ids"].shape
    trainer.train()
    assert trainer.state.global_step == 2


def test_settings_that_do_not_go_with_region_rollouts_are_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(RapError, match="mask_unfinished"):
        make(mask_truncated_completions=True)
