"""What all graders promise: names, ids, golds, rewards, options."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from rap_plugin.errors import RapError
from rap_plugin.grading import BUILTIN_GRADERS, Grade, GradingOptions, open_grader

OPTIONS = GradingOptions()
READERS = ["auto", "choice", "math", "text"]
"""graders that read the response themselves"""


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(RapError, match=r"no grader 'maths': use one of auto, choice, .*math, text, or path"):
        open_grader("maths", options=OPTIONS)


def test_a_registry_replaces_the_built_in_names() -> None:
    class Everything:
        id = "everything-1"

        def check_gold(self, gold: str, question: str = "") -> str | None:
            return None

        def grade(self, items: object) -> list[Grade]:
            return []

        def close(self) -> None: ...

    registry = {**BUILTIN_GRADERS, "everything": lambda options: Everything()}
    assert open_grader("everything", options=OPTIONS, registry=registry).id == "everything-1"
    with pytest.raises(RapError, match="everything"):
        open_grader("nothing", options=OPTIONS, registry=registry)


@pytest.mark.parametrize("name", READERS)
def test_an_id_is_stable_and_moves_with_what_can_move_a_verdict(name: str) -> None:
    one = open_grader(name, options=OPTIONS).id
    assert one.startswith(name)
    assert open_grader(name, options=dataclasses.replace(OPTIONS, workers=7)).id == one
    assert open_grader(name, options=dataclasses.replace(OPTIONS, format_weight=0.1)).id != one


@pytest.mark.parametrize("name", READERS)
def test_an_empty_gold_is_refused_with_a_reason(name: str) -> None:
    grader = open_grader(name, options=OPTIONS)
    assert grader.check_gold("") == "the gold answer is empty"
    assert grader.check_gold(" \n") == "the gold answer is empty"
    assert grader.check_gold("C", "Which? (A) x (B) y (C) z") is None


def test_no_items_give_no_grades() -> None:
    for name in BUILTIN_GRADERS:
        assert open_grader(name, options=OPTIONS).grade([]) == []


def test_importing_the_room_imports_no_computer_algebra() -> None:
    code = "import sys, rap_plugin.grading; print([m for m in ('sympy', 'math_verify', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
