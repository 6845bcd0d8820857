"""Prompts are those that the trainer itself would build, and the blind ones are the same without images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt
from rap_plugin.trl_hooks.prompting import chat_of, read_prompts
from tests.trl_hooks.conftest import SYSTEM


def as_parts(row: dict[str, Any]) -> dict[str, Any]:
    text = row["prompt"][-1]["content"]
    parts = [{"type": "text", "text": "Look: "}, {"type": "image", "text": None}, {"type": "text", "text": text}]
    return {"prompt": [{"role": "user", "content": parts}], "images": [row["image"]]}


def reshape(rows: Any) -> Any:
    import datasets

    part = {"type": datasets.Value("string"), "text": datasets.Value("string")}
    features = datasets.Features(
        {
            **{name: kind for name, kind in rows.features.items() if name != "image"},
            "prompt": [{"role": datasets.Value("string"), "content": [part]}],
            "images": [datasets.Image()],
        }
    )
    return rows.map(as_parts, remove_columns=["image"], features=features)


@pytest.fixture(params=["text", "system", "parts"])
def rows(request: pytest.FixtureRequest, digits: Callable[..., Any]) -> Any:
    made = digits(4, system=SYSTEM if request.param == "system" else "")
    return reshape(made) if request.param == "parts" else made


def prepared(rows: Any, processor: Any, model: Any, arm: str, **options: Any) -> list[Any]:
    prompts = read_prompts(rows, options)
    prompts.rows = {str(number): number for number in range(len(rows))}
    return [prompts.prepare(Prompt(key, arm, ""), processor, model) for key in prompts.rows]  # type: ignore[arg-type]


def test_the_image_arm_has_the_tokens_and_pixels_that_the_trainer_gives_the_model(
    rows: Any, processor: Any, model: Any, make_trainer: Callable[..., Any]
) -> None:
    import torch

    trainer = make_trainer(rows)
    seen: list[dict[str, Any]] = []
    generate = model.generate

    def spy(**inputs: Any) -> Any:
        seen.append(inputs)
        return generate(**inputs)

    model.generate = spy
    trainer.args.max_steps = 1
    trainer.train()
    theirs = {
        tuple(ids[mask.bool()].tolist()): pixels
        for ids, mask, pixels in zip(
            seen[0]["input_ids"], seen[0]["attention_mask"], seen[0]["pixel_values"], strict=True
        )
    }
    ours = prepared(rows, processor, model, "image")
    assert len(ours) == 4
    for one in ours:
        assert torch.equal(theirs[tuple(one.ids.tolist())], one.visual["pixel_values"][0])


def test_the_blind_arm_is_the_same_prompt_without_image_tokens(rows: Any, processor: Any, model: Any) -> None:
    token = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    for image, blind in zip(
        prepared(rows, processor, model, "image"), prepared(rows, processor, model, "blind"), strict=True
    ):
        assert not blind.visual
        assert blind.ids.tolist() == [one for one in image.ids.tolist() if one != token]


def test_an_intervention_puts_its_images_where_the_own_ones_were(rows: Any, processor: Any, model: Any) -> None:
    import torch
    from PIL import Image

    prompts = read_prompts(rows)
    prompts.rows = {"0": 0}
    grey = Image.new("RGB", (48, 48), (127, 127, 127))
    blank = prompts.prepare(Prompt("0", "blind", "", (grey,)), processor, model)
    own = prompts.prepare(Prompt("0", "image", ""), processor, model)
    assert blank.ids.tolist() == own.ids.tolist()
    assert not torch.equal(blank.visual["pixel_values"], own.visual["pixel_values"])


def test_bytes_that_are_not_decoded_are_the_same_picture(digits: Callable[..., Any]) -> None:
    import datasets

    rows = digits(1)
    raw = rows.cast_column("image", datasets.Image(decode=False))
    assert set(raw[0]["image"]) == {"bytes", "path"}
    own, ours = (chat_of(one[0], "image")[0]["content"][0]["image"].convert("RGB") for one in (rows, raw))
    assert own.tobytes() == ours.tobytes()


def test_the_hash_changes_with_template_options_and_system_messages(digits: Callable[..., Any], processor: Any) -> None:
    hashes = {
        read_prompts(rows, options).hash(processor)
        for rows in (digits(3), digits(3, system=SYSTEM))
        for options in (None, {"enable_thinking": True})
    }
    assert len(hashes) == 4
    assert read_prompts(digits(3)).hash(processor) in hashes


def without(column: str) -> Callable[[Any], Any]:
    return lambda rows: rows.remove_columns([column])


def with_text(text: str) -> Callable[[Any], Any]:
    def change(rows: Any) -> Any:
        import datasets

        plain = rows.remove_columns(["prompt"])
        if text:
            return plain.add_column("prompt", [[{"role": "user", "content": text}]] * len(rows))
        return plain.add_column("prompt", ["What is it?"] * len(rows), feature=datasets.Value("string"))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.to_iterable_dataset(), "is a IterableDataset; give one datasets.Dataset"),
        (lambda rows: rows.select([]), "has no rows"),
        (without("prompt"), "no column prompt"),
        (without("image"), "no column images or image"),
        (with_text(""), "conversations only; map it to"),
        (with_text("<image>What is it?"), "TRL puts the images in front itself"),
    ],
)
def test_what_trl_would_refuse_later_is_refused_first(
    change: Callable[[Any], Any], message: str, digits: Callable[..., Any]
) -> None:
    with pytest.raises(RapError) as raised:
        read_prompts(change(digits(3)))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
