"""How many of the responses in tests/evaluation/responses.py each scorer reads right: ours beside lmms-eval's own.

python benchmarks/readings.py        (needs lmms-eval; calls its tasks' own functions, no key, no network)
python benchmarks/readings.py --cost [OTHER [RUN]]   CPU time of grading 7,200 short responses, or those of a finished run by
                                      the grader `math`; beside another checkout, the ratio
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OPENAI_API_KEY", "unset")  # hrbench and mathvista want one to load; nothing is called

from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.scoring import score_response
from tests.evaluation.responses import CASES
from tests.evaluation.test_responses import reading_of

Reader = Callable[[BenchmarkItem, str], str | None]


def built_in_readers() -> dict[str, Reader]:
    """What each task reads: a letter or yes/no where its function returns one, "right" or "wrong" otherwise."""
    from lmms_eval.tasks._task_utils.mcq_extract import extract_mcq_answer
    from lmms_eval.tasks._task_utils.reasoning_utils import compute_score
    from lmms_eval.tasks.cv_bench import utils as cv_bench
    from lmms_eval.tasks.hrbench.hrbench_evals import HRBenchEval
    from lmms_eval.tasks.mathvista.mathvista_evals import MathVistaEvaluator
    from lmms_eval.tasks.mme_realworld import utils as mme
    from lmms_eval.tasks.mmvp import utils as mmvp
    from lmms_eval.tasks.pope import utils as pope
    from lmms_eval.tasks.scienceqa import utils as scienceqa
    from lmms_eval.tasks.vstar_bench import utils as vstar

    mathvista = MathVistaEvaluator.__new__(MathVistaEvaluator)

    def science(item: BenchmarkItem, response: str) -> str:
        doc = {"choices": list(item.options), "answer": "ABCDE".index(item.gold)}
        return "right" if scienceqa.sqa_process_results(doc, [response])["exact_match"] else "wrong"

    def yes_no(item: BenchmarkItem, response: str) -> str:
        found = pope.pope_process_results({"answer": item.gold, "question_id": 1}, [response])
        return "right" if found["pope_accuracy"]["score"] else "wrong"

    def hrbench(item: BenchmarkItem, response: str) -> str | None:
        return HRBenchEval("", "").can_infer(response, dict(item.choices)) or None

    def vista(item: BenchmarkItem, response: str) -> str:
        kind = "multi_choice" if item.kind == "choice" else "free_form"
        form = (
            "text"
            if item.kind == "choice"
            else "list"
            if item.kind == "maths"
            else "float"
            if item.precision
            else "integer"
        )
        gold = item.choices[item.gold] if item.kind == "choice" else item.gold
        said = mathvista.normalize_extracted_answer(response, list(item.options), kind, form, item.precision)
        return "right" if mathvista.safe_equal(said, gold) else "wrong"

    def reasoning(source: str) -> Reader:
        def read(item: BenchmarkItem, response: str) -> str:
            found = compute_score(source, response, item.gold, {"question": item.question})
            return "right" if found["acc_score"] else "wrong"

        return read

    return {
        "vstar": lambda item, response: vstar.extract_answer_letter(response),
        "mmvp": lambda item, response: mmvp._extract_answer_letter(response) or None,
        "cv_bench": lambda item, response: cv_bench._extract_answer_letter(response) or None,
        "scienceqa_img": science,
        "pope": yes_no,
        "mme_realworld": lambda item, response: mme.extract_characters_regex(response) or None,
        "mmstar": lambda item, response: extract_mcq_answer(response, choices=["A", "B", "C", "D"]) or None,
        "hrbench": hrbench,
        "mathvista": vista,
        "wemath": reasoning("wemath"),
        "logicvista": reasoning("logicvista"),
    }


def agrees(reader: Reader, case: Any) -> bool:
    """Whether a reading is the right one; a reader of right or wrong is asked only that. Thoughts are stripped first,
    as lmms-eval does by default."""
    from lmms_eval.api.reasoning import strip_reasoning_tags

    try:
        found = reader(case.item, strip_reasoning_tags(case.response, [["<think>", "</think>"]]).strip())
    except Exception:
        return False
    if found in ("right", "wrong"):
        truth = case.reading == case.item.gold if case.item.kind in ("choice", "yes_no") else case.reading == "right"
        return (found == "right") == truth
    return found == case.reading


RUN_COST = """
import sqlite3, sys, time
from contextlib import closing
from rap_plugin.grading import GradeItem, GradingOptions, open_grader
with closing(sqlite3.connect(f"file:{sys.argv[1]}/evidence.sqlite?mode=ro", uri=True)) as db:
    found = "SELECT text, gold, question FROM evidence JOIN samples ON samples.id = sample_id"
    items = [GradeItem(*row) for row in db.execute(found)]
grader = open_grader("math", options=GradingOptions())
start = time.process_time()
grader.grade(items)
print(len(items), time.process_time() - start)
"""

COST = """
import time
from rap_plugin.grading import GradeItem, GradingOptions, open_grader
texts = ("B", "(C)", "The answer is C.", r"\\boxed{C}", "<think>hm</think>Answer: C", "C. kevlar", "Option B is correct.", "It is kevlar.")
items = []
for number in range(600):  # every problem is another one, so that nothing is remembered
    question = f"What is thing {number} made of?\\n(A) rubber\\n(B) cotton\\n(C) kevlar {number}\\n(D) leather"
    items += [GradeItem(text.replace("kevlar", f"kevlar {number}"), "C", question) for text in texts]
    value = str(42 + number)
    items += [GradeItem(text.replace("42", value), value) for text in ("42", r"\\boxed{42}", "The answer is 42.", "Answer: 41")]
graders = [open_grader("auto", options=GradingOptions())]
start = time.process_time()
for grader in graders:
    grader.grade(items)
print(len(items), time.process_time() - start)
"""


def cost(checkout: Path, run: str | None) -> float:
    """CPU seconds of the calling process, the best of three runs."""
    runs = []
    for _ in range(3):
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        done = subprocess.run(
            [sys.executable, "-c", *([RUN_COST, run] if run else [COST])],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        count, seconds = done.stdout.split()
        runs.append(float(seconds))
    print(f"{checkout}: {min(runs):.2f} s for {count} responses")
    return min(runs)


def compare_cost(other: Path | None, run: str | None) -> None:
    ours = cost(Path(__file__).resolve().parent.parent, run)
    if other is not None:
        print(f"ratio {ours / cost(other, run):.2f}")


def main() -> None:
    if "--cost" in sys.argv:
        rest = sys.argv[sys.argv.index("--cost") + 1 :]
        compare_cost(Path(rest[0]).resolve() if rest else None, str(Path(rest[1]).resolve()) if rest[1:] else None)
        return
    readers = built_in_readers()
    held = defaultdict(list)
    for case in CASES:
        held[case.benchmark].append(case)
    print("| benchmark | responses | ours | lmms-eval 0.7.3 |\n| --- | --- | --- | --- |")
    ours = theirs = called = 0
    for name, cases in sorted(held.items()):
        right = sum(reading_of(case, score_response(case.item, case.response)) == case.reading for case in cases)
        ours += right
        other = "not callable"
        if name in readers:
            count = sum(agrees(readers[name], case) for case in cases)
            theirs, called = theirs + count, called + len(cases)
            other = f"{count} ({count / len(cases):.0%})"
        print(f"| {name} | {len(cases)} | {right} ({right / len(cases):.0%}) | {other} |")
    print(f"| all | {len(CASES)} | {ours} ({ours / len(CASES):.1%}) | {theirs} of {called} ({theirs / called:.1%}) |")


if __name__ == "__main__":
    main()
