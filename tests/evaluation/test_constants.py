"""Saying nothing never scores: constant answers, refusals, echoes and lists of all options, over every benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rap_plugin.evaluation.benchmarks import BENCHMARKS
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.prompts import prompt_text
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.grading.extract import LETTERS
from tests.evaluation.fabricate import items_of

SILENT = (
    "", " \n", "N/A", "\\boxed{N/A}", "\\boxed{\\text{N/A}}", "n/a", "\\boxed{}", "<answer></answer>", "<answer>N/A</answer>", "Not applicable.",
    "I don't know.", "\\boxed{\\text{I don't know}}", "I cannot answer this question.", "I am unable to determine the answer from the image.",
    "Sorry, I can't help with images of people yet.", "As an AI language model, I cannot see images.", "I'm sorry, but I can't assist with that.",
    "The image does not provide enough information to answer.", "Unanswerable", "\\boxed{?}", "?", "...", "-", "The answer is", "Answer:", "The answer is unknown.",
    "The correct option letter is", "Let me think about it.", "<think>I look at the image.</think>", "<think>It may be A or B.", "The image shows a chart.",
    "undefined", "null", "[image]", "There is no image attached.", "Please provide the image.", "It depends.", "To be determined", "无法确定", "我不知道。",
)  # fmt: skip
"""Responses that give no answer to any of the problems."""


def every_gold(item: BenchmarkItem) -> list[BenchmarkItem]:
    """A choice once with each of its options as the gold, so that no letter is right by the accident of a small sample."""
    if item.kind == "choice" and item.options:
        return [replace(item, gold=letter) for letter in item.choices]
    return [replace(item, gold=word) for word in ("yes", "no")] if item.kind == "yes_no" else [item]


@pytest.fixture(scope="module", params=sorted(BENCHMARKS))
def items(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[BenchmarkItem]:
    found = items_of(request.param, tmp_path_factory.mktemp("releases"))
    assert found
    # Small releases repeat their problems.
    distinct = {(one.question, one.gold, one.options): one for item in found for one in every_gold(item)}
    return list(distinct.values())


def total(items: list[BenchmarkItem], response: Callable[[BenchmarkItem], str]) -> float:
    return sum(score_response(item, response(item)).score or 0.0 for item in items)


def test_a_response_that_gives_no_answer_scores_nothing(items: list[BenchmarkItem]) -> None:
    scored = {response for response in SILENT if total(items, lambda _, said=response: said)}
    assert scored == set()


def test_an_echo_of_the_prompt_scores_nothing(items: list[BenchmarkItem]) -> None:
    assert total(items, lambda item: prompt_text(item.question, item.kind)) == 0.0
    assert total(items, lambda item: item.question) == 0.0
    assert total(items, lambda item: f"Question: {item.question}\nAnswer:") == 0.0
    assert total(items, lambda item: f'You ask: "{item.question}"') == 0.0


def test_an_answer_after_an_echo_of_the_prompt_is_read(items: list[BenchmarkItem]) -> None:
    for item in items:
        answer = item.gold.replace("<AND>", ", ").split("<OR>")[0]
        for response in (f"{item.question}\n\\boxed{{{answer}}}", f"Question: {item.question}\nAnswer: {answer}"):
            grade = score_response(item, response)
            assert grade.verdict in ("right", "unjudged"), (item.gold, response[-60:], grade)
            if grade.span:
                assert answer[:1] in response[slice(*grade.span)]


def test_a_list_of_all_options_scores_nothing(items: list[BenchmarkItem]) -> None:
    def letters(item: BenchmarkItem) -> list[str]:
        return list(item.choices) or list(LETTERS[:5])

    for text in (
        lambda item: ", ".join(letters(item)),
        lambda item: " or ".join(letters(item)),
        lambda item: "/".join(letters(item)),
        lambda item: "\\boxed{" + ", ".join(letters(item)) + "}",
        lambda item: "\\boxed{" + "".join(letters(item)) + "}",
        lambda item: "The options are " + ", ".join(f"({letter})" for letter in letters(item)) + ".",
        lambda item: "\n".join(f"{letter}. {item.choices.get(letter, '')}" for letter in letters(item)),
        lambda item: "yes or no",
        lambda item: "\\boxed{yes/no}",
        lambda item: "Yes. No.",
    ):
        assert total(items, text) == 0.0


@pytest.mark.parametrize(
    "constant", ["A", "B", "(C)", "\\boxed{D}", "The answer is E.", "yes", "No.", "1", "\\boxed{0}", "3.14"]
)
def test_a_constant_answer_scores_what_it_literally_says(items: list[BenchmarkItem], constant: str) -> None:
    bare = constant.replace("\\boxed{", "").replace("The answer is ", "").strip("().}").lower()

    def deserved(item: BenchmarkItem) -> float:
        texts = [item.choices.get(letter, "") for letter in item.gold] if item.kind == "choice" else [item.gold]
        return float(bare in (item.gold.lower(), *(text.lower() for text in texts)))

    assert total(items, lambda _: constant) <= sum(map(deserved, items))
