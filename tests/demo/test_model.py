"""The shipped demo model loads as published LLaVA models do, looks at the picture, and is small."""

import io
from typing import Any

import pytest
from PIL import Image

from rap_plugin.demo import MODEL_DIR

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

WEIGHTS = MODEL_DIR / "model.safetensors"


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any, dict[str, Any]]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, info = AutoModelForImageTextToText.from_pretrained(MODEL_DIR, output_loading_info=True)
    return model.eval(), AutoProcessor.from_pretrained(MODEL_DIR), info


def chat(processor: Any, question: str, pictures: int) -> str:
    content = [{"type": "image"}] * pictures + [{"type": "text", "text": question}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def answer(loaded: tuple[Any, Any, dict[str, Any]], questions: list[str], pictures: list[Any] | None) -> list[str]:
    model, processor, _ = loaded
    texts = [chat(processor, question, 1 if pictures else 0) for question in questions]
    inputs = processor(images=pictures, text=texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        out = model.generate(**inputs, do_sample=False, max_new_tokens=64)
    texts = processor.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.rpartition("\\boxed{")[2].partition("}")[0] for text in texts]


def held_out(kind: str, n: int) -> list[Any]:
    pytest.importorskip("sklearn")
    from digit_problems import make_problems

    return make_problems(n, "held_out", 77, {kind: 1.0})


def test_the_weights_are_at_most_eight_megabytes() -> None:
    assert WEIGHTS.stat().st_size <= 8_000_000


def test_no_tensor_is_missing_or_left_over(loaded: tuple[Any, Any, dict[str, Any]]) -> None:
    assert not any(loaded[2].values())


def test_the_weights_have_the_names_of_published_llava_checkpoints() -> None:
    from safetensors import safe_open

    with safe_open(WEIGHTS, "pt") as tensors:
        names = list(tensors.keys())
    roots = ("vision_tower.vision_model.", "multi_modal_projector.", "language_model.model.")
    assert all(name.startswith(roots) for name in names)


def test_the_card_names_the_licence_and_the_data() -> None:
    card = (MODEL_DIR / "README.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("license: apache-2.0", "CC BY 4.0", "scripts/train_demo_model.py"))


def test_it_reads_held_out_digits_far_better_than_chance(loaded: tuple[Any, Any, dict[str, Any]]) -> None:
    problems = held_out("digit", 40)
    pictures = [Image.open(io.BytesIO(p.image)) for p in problems]
    answers = answer(loaded, [p.question for p in problems], pictures)
    assert sum(a == p.answer for a, p in zip(answers, problems, strict=True)) >= 20


def test_without_the_picture_it_guesses_a_digit(loaded: tuple[Any, Any, dict[str, Any]]) -> None:
    problems = held_out("digit", 20)
    answers = answer(loaded, [p.question for p in problems], None)
    assert all(a.isdigit() for a in answers)
    assert sum(a == p.answer for a, p in zip(answers, problems, strict=True)) <= 8


def test_what_the_text_gives_away_it_answers_without_the_picture(loaded: tuple[Any, Any, dict[str, Any]]) -> None:
    problems = held_out("given_sum", 20)
    answers = answer(loaded, [p.question for p in problems], None)
    assert sum(a == p.answer for a, p in zip(answers, problems, strict=True)) >= 14


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_photo_of_any_size_and_mode_and_a_long_question_run(
    mode: str, loaded: tuple[Any, Any, dict[str, Any]]
) -> None:
    photo = Image.new("RGB", (640, 333), (90, 160, 30)).convert(mode)
    assert len(answer(loaded, ["What is “shown” here, naïvely?\n" + "Look closely. " * 150], [photo])) == 1


def test_an_unknown_character_becomes_the_unknown_token(loaded: tuple[Any, Any, dict[str, Any]]) -> None:
    tokenizer = loaded[1].tokenizer
    ids = tokenizer.encode("2é∑", add_special_tokens=False)
    assert ids[1:] == [tokenizer.unk_token_id] * 2


def test_text_survives_the_tokeniser(loaded: tuple[Any, Any, dict[str, Any]]) -> None:
    tokenizer = loaded[1].tokenizer
    text = "<think>a  b\n\t{x}_^~</think>\\boxed{3.5} \\frac{1}{2} 'q' \"r\" ."
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
