"""The TSV file that VLMEvalKit reads, built from the same prepared data as lmms-eval's tasks."""

from __future__ import annotations

import base64
import csv
import json
import os
from pathlib import Path
from typing import Any

from rap_plugin.evaluation.benchmarks import find_benchmark
from rap_plugin.evaluation.prepare import require_part
from rap_plugin.evaluation.prepared_data import read_items
from rap_plugin.evaluation.task_names import DATASETS

COLUMNS = ("index", "id", "question", "answer", "kind", "category", "image")


def write_tsv(name: str, folder: Path) -> Path:
    """FOLDER/NAME.tsv, written again when the prepared data is another than what it was made from.

    `index` is the row's number in the prepared data: ids can look like numbers, which reading a TSV would change. A
    problem without an image has an empty `image`. Raises RapError when the benchmark is not prepared.
    """
    benchmark_name, part, blind = DATASETS[name]
    source, facts = require_part(find_benchmark(benchmark_name), part)
    target, note = folder / f"{name}.tsv", folder / f"{name}.made_from.json"
    made_from: dict[str, Any] = {"content_sha256": facts["content_sha256"], "blind": blind, "columns": list(COLUMNS)}
    if target.is_file() and _read(note) == made_from:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tsv.partial")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        for index, item in enumerate(read_items(source, images=not blind)):
            image = "" if blind or item.image is None else base64.b64encode(item.image).decode()
            category = item.groups.get("category", "")
            writer.writerow([index, item.id, item.question, item.gold, item.kind, category, image])
    os.replace(temporary, target)
    (folder / f"{name}_local.tsv").unlink(missing_ok=True)
    note.write_text(json.dumps(made_from), "utf-8")
    return target


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
