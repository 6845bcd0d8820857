"""Responses that nobody wrote: wordings of the corpus mutated and joined, and texts made of hostile pieces.

`python -m tests.grading.reading.generated 200000 [FILE.jsonl ..] [--seed N]` puts so many through every reader and grader and
a benchmark scorer each, and prints the slowest; files give further responses to mutate, one JSON object with a "response" a line.
It fails at the first exception or error in a reading rule. `make generated` runs it in two halves.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.grading import GradeItem, GradingOptions, open_grader
from rap_plugin.grading.extract import (
    read_final_answer,
    read_formula,
    read_number,
    read_option,
    read_yes_no,
)
from rap_plugin.grading.graders.math import compare_math
from rap_plugin.grading.reading.base import RULE_ERROR
from rap_plugin.grading.reading.precision import same_to_precision
from tests.grading.reading.corpus import PROBLEMS, RELATIONS, ROOT_OPTIONS, SETS, TRUTH, all_wordings

PIECES = (
    *"{}()[]$\\^_ \n.,:;*?!/%°<>=+-|~`'\"ABCDEFGHIJabi0123456789", "\\boxed{", "\\frac{", "\\text{", "\\sqrt{", "<answer>", "</answer>", "<think>", "</think>", "Answer: ", "the answer is ",
    "Therefore, ", "final answer\n", " or ", " and ", " not ", "**", "option ", "√", "½", "\ud800", "\x00", "\u202e", "答案是", "（", "Ａ", "%", "per", " per minute", "5", "-", "1e999", "10^", "yes", "no", "there is ",
    "\nQuestion: ", "I hope this helps", "#", "|", "\t", "\r\n", "one hundred ", "∠", "  ", "N/A", "A. ", "(B) ",
)  # fmt: skip
OPTIONS = (ROOT_OPTIONS, RELATIONS, SETS, TRUTH, {}, *(options for _, options, _ in PROBLEMS.values()))
QUESTIONS = ("", "How many bars are below 40?", "Is there a dog in the image?", "In which year was it?", "(Unit: cm)")
ITEMS = (
    BenchmarkItem(
        "choice", "Which set?\n(A) Set A\n(B) Set B\n(C) Neither", "B", "choice", ("Set A", "Set B", "Neither")
    ),
    BenchmarkItem("polar", "Is it red?\n(A) Yes\n(B) No", "A", "choice", ("Yes", "No")),
    BenchmarkItem("yes_no", "Is there a dog in the image?", "yes", "yes_no"),
    BenchmarkItem("number", "How many bars are below 40?", "3", "number"),
    BenchmarkItem("maths", "Find x.", "\\frac{1}{2}", "maths"),
    BenchmarkItem("wanted", "What does it say?", "stop<OR>halt", "wanted"),
    BenchmarkItem("covered", "What is hidden?", "the quick fox\nover a lazy dog", "covered"),
)
GOLDS = ("42", "B", "x = 5", "\\frac{1}{2}", "blue", "12 cm", "50%", "AB", "[1, 2]", "0.5")


def mutated(rng: random.Random, text: str, others: Sequence[str]) -> str:
    """One to three changes of a text."""
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(text))
        change = rng.randrange(9)
        if change == 0:
            text = text[:place] + rng.choice(PIECES) + text[place:]
        elif change == 1:
            text = text[:place] + text[min(len(text), place + rng.randint(1, 12)) :]
        elif change == 2:
            text = text[place:] + text[:place]
        elif change == 3:
            text = f"{text}\n{rng.choice(others)}"
        elif change == 4:
            text = f"{rng.choice(others)} {text}"
        elif change == 5:
            text = text.swapcase()
        elif change == 6:
            text = text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
        elif change == 7:
            text = (text[:40] + rng.choice(PIECES)) * rng.choice((2, 3, 50))
        else:
            text = text[:place] + rng.choice(others)[:30] + text[place:]
    return text[:20_000]


def responses(count: int, seed: int = 0, more: Sequence[str] = ()) -> Iterator[str]:
    """So many responses, the same for the same seed."""
    rng = random.Random(seed)
    known = [wording.response for wording in all_wordings()] + list(more)
    for number in range(count):
        if number % 4 == 0:
            yield "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 60)))
        elif number % 4999 == 1:
            yield rng.choice(PIECES) * rng.choice((1_000, 100_000))
        else:
            yield mutated(rng, rng.choice(known), known)


def read_all(response: str, rng: random.Random) -> None:
    """Through every reader and every rule of a grader that needs no worker; raises AssertionError for a rule's error."""
    options, question, gold = rng.choice(OPTIONS), rng.choice(QUESTIONS), rng.choice(GOLDS)
    number = read_number(response, question)
    readings = (
        read_option(response, options, question=question),
        read_yes_no(response, question),
        number,
        read_formula(response),
        read_final_answer(response),
    )
    for reading in readings:
        assert not reading.reason.startswith(RULE_ERROR), (response, reading.reason)
        assert (reading.value is not None) == (reading.outcome == "read")
        assert reading.span is None or 0 <= reading.span[0] <= reading.span[1] <= len(response), (response, reading)
    if number.value is not None:
        same_to_precision("0.5", number.value, 1, question)
    compare_math(GradeItem(response, gold, question), rtol=0.0)


def grade_all(items: Sequence[GradeItem]) -> None:
    """Through the graders that need no worker; raises AssertionError for a rule's error."""
    for name in ("choice", "text"):
        for grade in open_grader(name, options=GradingOptions()).grade(items):
            assert not grade.reason.startswith("error"), grade


def score_all(response: str, rng: random.Random) -> None:
    """Through the scorer of one kind of benchmark problem; raises AssertionError for a rule's error."""
    item = rng.choice(ITEMS)
    if item.kind == "maths" and rng.random() > 0.05:
        return  # it asks a computer algebra system in another process
    grade = score_response(item, response)
    assert not grade.reason.startswith(RULE_ERROR), (response, grade)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="other responses for another seed")
    given = parser.parse_args()
    lines = [line for file in given.files for line in file.read_text(encoding="utf-8").splitlines()]
    more = [str(json.loads(line)["response"]) for line in lines]
    rng, slowest = random.Random(given.seed), (0.0, "")
    began = time.perf_counter()
    for response in responses(given.count, seed=given.seed, more=more):
        start = time.process_time()
        read_all(response, rng)
        grade_all([GradeItem(response, rng.choice(GOLDS))])
        score_all(response, rng)
        slowest = max(slowest, (time.process_time() - start, response))
    spent = time.perf_counter() - began
    print(f"{given.count} responses in {spent:.0f} s; the slowest took {slowest[0]:.2f} s: {slowest[1][:60]!r}")


if __name__ == "__main__":
    main()
