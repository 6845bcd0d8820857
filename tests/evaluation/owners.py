"""Small benchmarks as their owners publish them, where the hub's copy looks different."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pyarrow.parquet as pq

from tests.evaluation.fabricate import draw, mathverse


def pope_by_its_owners(folder: Path) -> None:
    """RUCAIBox/POPE: JSON lines in files named .json, images of COCO by name; the other data sets of the repository are
    not the benchmark that is reported."""
    for setting in ("adversarial", "popular", "random"):
        rows = [
            {"question_id": i, "image": f"COCO_val2014_{i:012d}.jpg", "text": f"Is there a {thing} in the image?", "label": label}
            for i, (thing, label) in enumerate([("person", "yes"), ("surfboard", "no")], start=1)
        ]  # fmt: skip
        for source in ("coco", "aokvqa"):
            path = folder / f"output/{source}/{source}_pope_{setting}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    (folder / "val2014").mkdir()
    for i in (1, 2):
        (folder / f"val2014/COCO_val2014_{i:012d}.jpg").write_bytes(draw(str(i), kind="JPEG"))


def mmvet_by_its_owners(folder: Path) -> None:
    """mm-vet.zip: one JSON object of problems, images by name in a folder beside it."""
    problems = {
        f"v1_{i}": {"imagename": f"v1_{i}.png", "imagesource": "drawn", "question": "What is x?", "answer": "-1<AND>-5", "capability": ["ocr", "math"]}
        for i in range(3)
    }  # fmt: skip
    with zipfile.ZipFile(folder / "mm-vet.zip", "w") as archive:
        archive.writestr("mm-vet/mm-vet.json", json.dumps(problems))
        for name in problems:
            archive.writestr(f"mm-vet/images/{name}.png", draw(name))


def mme_realworld_by_its_owners(folder: Path) -> None:
    """MME_RealWorld.json: other column names, images by name in a folder of their subtask."""
    rows = [
        {
            "Question_id": f"{task}/{i}",
            "Image": f"{i}.jpg",
            "Text": "What is the colour of the car?",
            "Question Type": "Multiple Choice",
            "Answer choices": ["(A) Red", "(B) Blue", "(C) White", "(D) Black", "(E) The image does not feature the colour."],
            "Ground truth": "C",
            "Category": "Attribute",
            "Subtask": "Autonomous_Driving",
            "Task": task,
        }
        for i, task in enumerate(["Perception", "Reasoning"])
    ]  # fmt: skip
    (folder / "MME_RealWorld.json").write_text(json.dumps(rows))
    (folder / "autonomous_driving").mkdir()
    for i in range(2):
        (folder / f"autonomous_driving/{i}.jpg").write_bytes(draw(str(i), kind="JPEG"))


def mathverse_by_its_owners(folder: Path) -> None:
    """The rows as JSON, `metadata` as a text."""
    home = folder / "hub"
    mathverse(home)
    rows = [
        row
        for name in ("testmini", "testmini_text_only")
        for row in pq.read_table(home / f"{name}.parquet").to_pylist()
    ]
    for i, row in enumerate(rows):
        row["metadata"] = repr(row["metadata"]) if i % 2 else json.dumps(row["metadata"])
        row["image"] = None if row["image"] is None else f"images_version/{i}.png"
        (folder / "images/images_version").mkdir(parents=True, exist_ok=True)
        (folder / f"images/images_version/{i}.png").write_bytes(draw(str(i)))
    (folder / "testmini.json").write_text(json.dumps(rows))
    shutil.rmtree(home)


OWNERS = {
    "pope": pope_by_its_owners,
    "mmvet": mmvet_by_its_owners,
    "mme_realworld": mme_realworld_by_its_owners,
    "mathverse": mathverse_by_its_owners,
}
