"""Our scorers beside the verdicts that benchmarks' own tools gave to published answers.

`python benchmarks/official_verdicts.py FOLDER [--list]`: FOLDER holds mathvista.jsonl and logicvista.jsonl, one answer a line with
the row of its benchmark, `response` and `official_right`. Prints how many answers both see the same way and how the
others were explained by whoever read them (`official_verdicts.csv`); `--list` prints those that nobody read yet. Explained
are disagreements in which ours is right or no reading is certain, and those that were mended.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rap_plugin.evaluation.benchmarks import find_benchmark
from rap_plugin.evaluation.grade import BenchmarkGrade
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.samples.formats.base import RowProblem

EXPLANATIONS = Path(__file__).with_suffix(".csv")
CLASSES = ("ours right", "ambiguous", "official right")
"""Of the disagreements; "mended" are answers that once disagreed and agree now."""


def item_of_answer(benchmark: str, row: Mapping[str, Any]) -> BenchmarkItem:
    """The problem that an answer belongs to, read as in an evaluation; its image is not needed here."""
    return find_benchmark(benchmark).read({**row, "image": "none"}, "")


def answers(folder: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(benchmark, "model/problem", row) of every answer."""
    for benchmark in ("mathvista", "logicvista"):
        with (folder / f"{benchmark}.jsonl").open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield benchmark, f"{row['model']}/{row.get('pid') or row['id']}", row


def explanations() -> dict[tuple[str, str], tuple[str, str]]:
    """(benchmark, answer) -> (class, why), as people wrote them."""
    if not EXPLANATIONS.is_file():
        return {}
    with EXPLANATIONS.open(encoding="utf-8", newline="") as file:
        return {(row["benchmark"], row["answer"]): (row["class"], row["why"]) for row in csv.DictReader(file)}


def describe(benchmark: str, name: str, row: Mapping[str, Any], grade: BenchmarkGrade, item: BenchmarkItem) -> str:
    """What a reader needs to decide who is right."""
    official = f"official {'right' if row['official_right'] else 'wrong'} ({row.get('official_extraction')!r})"
    ours = f"ours {grade.verdict} {grade.extracted!r} ({grade.reason})"
    options = "" if not item.options else f" options {list(item.options)}"
    return (
        f"=== {benchmark} {name} [{item.kind}] gold {item.gold!r}{options}\n--- {official} | {ours}\n"
        f"Q: {str(row['question'])[-300:]!r}\nR: {row['response'][-1500:]}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true", help="print the disagreements that nobody explained yet")
    options = parser.parse_args()
    known = explanations()
    count: Counter[tuple[str, str]] = Counter()
    for benchmark, name, row in answers(options.folder):
        try:
            item = item_of_answer(benchmark, row)
        except RowProblem:
            count[benchmark, "without a gold"] += 1
            continue
        grade = score_response(item, row["response"])
        count[benchmark, "answers"] += 1
        if (grade.score == 1) == row["official_right"]:
            count[benchmark, "agree"] += 1
            count[benchmark, "mended"] += known.get((benchmark, name), ("", ""))[0] == "mended"
            continue
        kind = known.get((benchmark, name), ("unexplained", ""))[0].replace("mended", "unexplained")
        count[benchmark, kind] += 1
        if options.list and kind == "unexplained":
            print(describe(benchmark, name, row, grade, item))
    kinds = ("without a gold", "answers", "agree", "mended", *CLASSES, "unexplained")
    print("| benchmark | " + " | ".join(kinds) + " | explained |\n" + "| --- " * (len(kinds) + 2) + "|")
    for kind in kinds:
        count["all", kind] = sum(count[benchmark, kind] for benchmark in ("mathvista", "logicvista"))
    for benchmark in ("mathvista", "logicvista", "all"):
        differ = count[benchmark, "answers"] - count[benchmark, "agree"] + count[benchmark, "mended"]
        ours = count[benchmark, "unexplained"] + count[benchmark, "official right"]
        explained = 1 - ours / differ if differ else 1.0
        print(f"| {benchmark} | " + " | ".join(str(count[benchmark, k]) for k in kinds) + f" | {explained:.1%} |")


if __name__ == "__main__":
    main()
