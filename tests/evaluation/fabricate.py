"""Small benchmarks in the layout and schema of their official releases, with drawn images."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from rap_plugin.evaluation.benchmarks import BENCHMARKS
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.release import open_data_files

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def draw(text: str, size: tuple[int, int] = (96, 64), kind: str = "PNG") -> bytes:
    """A picture that says its text."""
    image = Image.new("RGB", size, (250, 250, 240))
    pen = ImageDraw.Draw(image)
    pen.rectangle((4, 4, size[0] - 5, size[1] - 5), outline=(40, 60, 90))
    pen.text((10, size[1] // 2 - 6), text, fill=(20, 20, 20))
    held = io.BytesIO()
    image.save(held, kind)
    return held.getvalue()


def picture(text: str) -> dict[str, Any]:
    """As `datasets` stores an image."""
    return {"bytes": draw(text), "path": None}


def encoded(text: str) -> str:
    """As TSV files and some repositories store an image."""
    return base64.b64encode(draw(text, kind="JPEG")).decode()


def parquet(path: Path, rows: Sequence[Mapping[str, Any]], images: Sequence[str] = ("image",)) -> None:
    """A Parquet file with its images as structs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([dict(row) for row in rows])
    for name in images:
        column = pa.array([row[name] for row in rows], IMAGE)
        table = table.set_column(table.schema.get_field_index(name), pa.field(name, IMAGE), column)
    pq.write_table(table, path)


def mathvista(folder: Path) -> None:
    def row(pid: str, question: str, kind: str, form: str, answer: str, **more: Any) -> dict[str, Any]:
        return {
            "pid": pid,
            "question": question,
            "image": f"images/{pid}.jpg",
            "decoded_image": picture(question[:10]),
            "choices": more.get("choices"),
            "unit": more.get("unit"),
            "precision": more.get("precision"),
            "answer": answer,
            "question_type": kind,
            "answer_type": form,
            "metadata": {
                "category": "math-targeted-vqa",
                "context": "geometry diagram",
                "grade": "high school",
                "img_height": 64,
                "img_width": 96,
                "language": "english",
                "skills": ["geometry reasoning", "arithmetic reasoning"],
                "source": "drawn",
                "split": "testmini",
                "task": more.get("task", "geometry problem solving"),
            },
            "query": f"Hint: Please answer the question.\nQuestion: {question}",
        }

    rows = [
        row("1", "Which is the measure of angle 2?", "multi_choice", "text", "62°", choices=["28°", "62°", "90°"]),
        row("2", "What is the age gap?", "free_form", "integer", "7", unit="years", task="textbook question answering"),
        row("3", "How long is it?", "free_form", "float", "1.2", precision=1.0, task="figure question answering"),
        row("4", "What is the mean?", "free_form", "float", "3.14", precision=2.0, task="math word problem"),
        row("5", "Which years are missing?", "free_form", "list", "[2014, 2016]", task="visual question answering"),
    ]
    parquet(folder / "data/testmini-00000-of-00001.parquet", rows, ["decoded_image"])
    hidden = [{**rows[0], "pid": "1001", "answer": ""}]
    parquet(folder / "data/test-00000-of-00002.parquet", hidden, ["decoded_image"])


VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
FULL = "Angle A is 80.0, angle B is 60.0, DE is parallel to BC. Find angle CED.\nChoices:\nA:40°\nB:60°\nC:120°\nD:140°"


def mathverse(folder: Path) -> None:
    def rows(versions: Sequence[str]) -> list[dict[str, Any]]:
        found = []
        for problem in (1, 2):
            for version in versions:
                free = problem == 2
                full = "A circle has radius 3. What is its area?" if free else FULL
                asked = {"Vision Only": "", "Text Dominant": full, "Text Only": full}.get(
                    version, full.split(". ", 1)[-1]
                )
                number = len(found) + 1
                found.append(
                    {
                        "sample_index": str(number),
                        "problem_index": str(problem),
                        "problem_version": version,
                        "question": asked,
                        "image": None if version == "Text Only" else picture(version),
                        "answer": "9\\pi" if free else "D",
                        "question_type": "free-form" if free else "multi-choice",
                        "metadata": {
                            "split": "testmini",
                            "source": "drawn",
                            "subject": "Plane Geometry",
                            "subfield": "Angle",
                        },
                        "query_wo": f"Please answer.\nQuestion: {asked}",
                        "query_cot": f"Please reason.\nQuestion: {asked}",
                        "question_for_eval": full,
                    }
                )
        return found

    parquet(folder / "testmini.parquet", rows(VERSIONS))
    parquet(folder / "testmini_text_only.parquet", rows(["Text Only"]))


def wemath(folder: Path) -> None:
    rows = []
    for problem, steps in (("1", 2), ("2", 3)):
        for place in [*(str(i + 1) for i in range(steps)), "multi"]:
            rows.append(
                {
                    "ID": problem,
                    "split": "testmini",
                    "knowledge concept": "Perimeter of Squares",
                    "question": f"What is the perimeter of square {problem}{place}?",
                    "option": "A. 12 cm; B. 16 cm; C. 18 cm; D. 20 cm; E. No correct answer",
                    "answer": "D",
                    "image_path": picture(f"{problem}{place}"),
                    "key": f"{steps}steps_{place}",
                    "question number": len(rows),
                    "knowledge concept description": "Four equal sides.",
                }
            )
    parquet(folder / "data/testmini-00000-of-00001.parquet", rows, ["image_path"])


def mmstar(folder: Path) -> None:
    from rap_plugin.evaluation.benchmarks.mmstar import CATEGORIES

    rows = [
        {
            "index": index,
            "question": "What is shown?\nOptions: A: a square, B: a text in a frame, C: a cat, D: nothing",
            "image": picture(category[:8]),
            "answer": "B",
            "category": category,
            "l2_category": "recognition",
            "meta_info": {"image_path": f"images/{index}.jpg", "source": "drawn", "split": "val"},
        }
        for index, category in enumerate(CATEGORIES)
    ]
    parquet(folder / "mmstar.parquet", rows)


def logicvista(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    rows = {}
    for number, (question, answer, skill) in enumerate(
        [
            ("Which of the boxes comes next in the sequence? Select answers from A-E", "E", "inductive"),
            ("Which set does the Figure belong to? (A) Set A (B) Set B (C) Neither set A nor set B", "C", "deductive"),
            ("Which two turn left? Select answers from A-D", "B, D", "mechanical"),
            ("How many cubes are there?", "3", "spatial"),
        ]
    ):
        name = f"v1_{number}.png"
        (folder / "images" / name).write_bytes(draw(name))
        rows[f"v1_{number}"] = {
            "imagename": name,
            "question": question,
            "answer": answer,
            "reasoning": "By looking.",
            "skill": [skill],
            "broad_capability": ["diagram"],
            "specific_capability": ["sequence pattern"],
            "imagesource": "drawn",
            "sourcelink": "",
            "liscenced": "false",
        }
    (folder / "dataset.json").write_text(json.dumps(rows))


def mmvet(folder: Path) -> None:
    problems = [
        ("What is x in the equation?", "-1<AND>-5", "ocr,math"),
        ("What does the sign say?", "stop<OR>stop sign", "ocr"),
        (
            "Can you explain this meme?",
            "It is poking fun at misleading names of two countries, Iceland and Greenland.",
            "rec,ocr,know,gen",
        ),
    ]
    rows = [
        {
            "question_id": f"v1_{i}",
            "image": picture(f"v1_{i}"),
            "question": question,
            "answer": answer,
            "image_source": "drawn",
            "capability": capability,
        }
        for i, (question, answer, capability) in enumerate(problems)
    ]
    parquet(folder / "data/test-00000-of-00001.parquet", rows)


def pope(folder: Path) -> None:
    for setting in ("adversarial", "popular", "random"):
        rows = [
            {
                "id": str(i),
                "question_id": str(i + 1),
                "question": f"Is there a {thing} in the image?",
                "answer": answer,
                "image_source": f"COCO_val2014_{i:012d}",
                "image": picture("a frame"),
                "category": setting,
            }
            for i, (thing, answer) in enumerate([("frame", "yes"), ("dog", "no"), ("text", "yes"), ("car", "no")])
        ]
        parquet(folder / f"Full/{setting}-00000-of-00001.parquet", rows)


def vcr_wiki(folder: Path) -> None:
    for part, texts in (("en-easy", ["the first edition of", "was published in 1921"]), ("zh-hard", ["第一版出版于"])):
        rows = [
            {
                "question_id": i,
                "image": picture("scene"),
                "stacked_image": picture("scene and text"),
                "only_it_image": picture("text"),
                "only_it_image_small": picture("small"),
                "caption": "A text about " + ", ".join(texts),
                "crossed_text": texts,
            }
            for i in range(2)
        ]
        path = folder / f"VCR-wiki-{part}-test/data/test-00000-of-00001.parquet"
        parquet(path, rows, ["image", "stacked_image", "only_it_image", "only_it_image_small"])


def pgps9k(folder: Path) -> None:
    (folder / "Diagram_Visual").mkdir(parents=True)
    problems = {
        "prob_27": {
            "diagram": "img_423.png",
            "text": "Find y.",
            "parsing_stru_seqs": ["line A B", "line C B", "line C A"],
            "parsing_sem_seqs": ["CB \\perp CA on C", "AC = 24", "BC = x", "AB = y", "m \\angle CBA = 30"],
            "expression": "Get y",
            "answer": "48.000",
            "type": "Trigonometry ",
            "book": "Geometry",
            "page": 12,
            "choices": [24.0, 33.941125496954285, 41.569219381653056, 48.0],
        },
        "prob_1": {
            "diagram": "img_9.png",
            "text": "Line m is the perpendicular bisector of XZ, WZ = 14.9. Find WX.",
            "parsing_stru_seqs": ["line m lieson A W Y B", "line X Y Z", "line W Z", "line X W"],
            "parsing_sem_seqs": ["line m \\perp XZ on Y", "XY = YZ"],
            "expression": "Get WX",
            "answer": "14.900",
            "type": "Perpendicular Bisector",
            "book": "Geometry",
            "page": 3,
            "choices": [7.45, 14.9, 22.35, 29.8],
        },
    }
    for problem in problems.values():
        (folder / "Diagram_Visual" / str(problem["diagram"])).write_bytes(draw("ABC"))
    (folder / "test.json").write_text(json.dumps(problems))
    (folder / "train.json").write_text(json.dumps({"prob_99": problems["prob_1"]}))


def vstar(folder: Path) -> None:
    rows = [
        {
            "image": picture("glove"),
            "text": "What is the material of the glove?\n(A) rubber\n(B) cotton\n(C) kevlar\n(D) leather\n"
            "Answer with the option's letter from the given choices directly.",
            "category": category,
            "label": "C",
            "question_id": str(i),
        }
        for i, category in enumerate(["direct_attributes", "relative_position", "direct_attributes"])
    ]
    parquet(folder / "data/test-00000-of-00001.parquet", rows)


def mmvp(folder: Path) -> None:
    images = folder / "MMVP Images"
    images.mkdir(parents=True)
    with (folder / "Questions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["lndex", "Question", "Options", "Correct Answer"])
        for number in range(1, 7):
            (images / f"{number}.jpg").write_bytes(draw(str(number), kind="JPEG"))
            gold = "(a)" if number % 2 else "(b)"
            writer.writerow(
                [number, "Are the butterfly's wings closer to being open or closed?", "(a) Open (b) Closed", gold]
            )


def cv_bench(folder: Path) -> None:
    places = {
        "2D": [("ADE20K", "Count"), ("COCO", "Relation"), ("COCO", "Count")],
        "3D": [("Omni3D", "Depth"), ("Omni3D", "Distance")],
    }
    number = 0
    for kind, sources in places.items():
        rows = []
        for source, task in sources:
            number += 1
            rows.append(
                {
                    "idx": number,
                    "type": kind,
                    "task": task,
                    "image": picture(task),
                    "question": "How many organs are in the image?",
                    "choices": ["3", "2", "1", "0"],
                    "answer": "(C)",
                    "prompt": "How many organs are in the image? Select from the following choices.\n(A) 3\n(B) 2\n(C) 1\n(D) 0",
                    "filename": f"img/{kind}/{number}.png",
                    "source": source,
                    "source_dataset": source,
                    "source_filename": "",
                    "target_class": None,
                    "target_size": None,
                    "bbox": [[0.0, 0.0, 1.0, 1.0]],
                }
            )
        parquet(folder / f"test_{kind.lower()}.parquet", rows)


def scienceqa(folder: Path) -> None:
    def row(question: str, image: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "image": image,
            "question": question,
            "choices": ["Louisiana", "Maine", "Tennessee", "Arizona"],
            "answer": 1,
            "hint": "Look at the map." if image else "",
            "task": "closed choice",
            "grade": "grade2",
            "subject": "social science",
            "topic": "geography",
            "category": "Geography",
            "skill": "Read a map: cardinal directions",
            "lecture": "Maps have four cardinal directions.",
            "solution": "Maine is farthest north.",
        }

    rows = [row("Which of these states is farthest north?", picture("map")), row("Which is colder?", None)]
    parquet(folder / "ScienceQA-FULL/test-00000-of-00001.parquet", rows)
    parquet(folder / "ScienceQA-FULL/train-00000-of-00001.parquet", rows)


def hrbench(folder: Path) -> None:
    for part in ("4k", "8k"):
        rows = []
        for cycle in range(4):
            for category in ("single", "cross"):
                options = ["red", "green", "blue", "white"]
                rotated = options[cycle:] + options[:cycle]
                rows.append(
                    {
                        "index": len(rows),
                        "question": "What is the color of the umbrella?",
                        "answer": "ABCD"[rotated.index("green")],
                        "category": category,
                        **dict(zip("ABCD", rotated, strict=True)),
                        "cycle_category": str(cycle),
                        "image": encoded(part),
                    }
                )
        parquet(folder / f"hr_bench_{part}.parquet", rows, [])


def mme_realworld(folder: Path) -> None:
    rows = [
        {
            "index": f"perception/OCR/{i}" if level == "Perception" else f"reasoning/{i}",
            "bytes": encoded("sign"),
            "question": "What is the phone number on the blue sign?",
            "multi-choice options": [
                "(A) 555-0134",
                "(B) 555-0184",
                "(C) 555-0143",
                "(D) 555-0148",
                "(E) The image does not feature the phone number.",
            ],
            "answer": "D",
            "category": f"{level}/OCR with Complex Context",
            "l2-category": "phone & address",
        }
        for i, level in enumerate(["Perception", "Reasoning", "Perception"])
    ]
    parquet(folder / "data/train-00000-of-00001.parquet", rows, [])


MAKERS = {
    "mathvista": mathvista,
    "mathverse": mathverse,
    "wemath": wemath,
    "mmstar": mmstar,
    "logicvista": logicvista,
    "mmvet": mmvet,
    "pope": pope,
    "vcr_wiki": vcr_wiki,
    "pgps9k": pgps9k,
    "vstar": vstar,
    "mmvp": mmvp,
    "cv_bench": cv_bench,
    "scienceqa_img": scienceqa,
    "hrbench": hrbench,
    "mme_realworld": mme_realworld,
    "mme_realworld_lite": mme_realworld,
}


def make(name: str, folder: Path) -> Path:
    """The folder of one benchmark as released, in small."""
    home = folder / name
    home.mkdir(parents=True)
    MAKERS[name](home)
    return home


def items_of(name: str, folder: Path) -> list[BenchmarkItem]:
    """All problems of a small release, read without preparing it."""
    benchmark = BENCHMARKS[name]
    return [
        benchmark.read({**row, "rap_row": str(number)}, part)
        for where, pool in open_data_files(benchmark, make(name, folder))
        for number, row in enumerate(pool.rows(range(len(pool))))
        for part in benchmark.parts_of(row, where)
    ]
