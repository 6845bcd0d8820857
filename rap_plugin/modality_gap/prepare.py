"""`rap modality-gap prepare`: a pool with facts in one of the conditions of the modality gap (arXiv 2510.22836).

    text          the facts in words, then the question
    image         the instruction to look, then the question
    mix           the text rows, then the image rows
    contrastive   the text prompt to answer, the image prompt beside it for the contrastive loss

The image is in every row, byte for byte. Rows that cannot be used are in `quarantine.parquet`; clauses that were dropped are
counted in `prepared.json`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError
from rap_plugin.exports import replacing_folder
from rap_plugin.exports.columns import IMAGES, MESSAGES, write_parquet
from rap_plugin.modality_gap.forms import FORMS, write_form
from rap_plugin.plugins import get_plugins
from rap_plugin.run_dir import arrow
from rap_plugin.samples.conditions import image_prompt, split_marks, text_prompt
from rap_plugin.samples.formats.base import FactsOf, Format, Row
from rap_plugin.samples.formats.pgps9k import clauses
from rap_plugin.samples.ingest import choose_format, ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import IMAGE, Quarantined, Sample

CONDITIONS = ("text", "image", "mix", "contrastive")
MARK = "prepared.json"
QUARANTINE = "quarantine.parquet"
SPLITS = ("train", "test")
"""The files of PGPS9K that a folder of it holds, `.json` behind each."""

REWARD = pa.struct({"style": pa.string(), "ground_truth": pa.string()})
INFO = pa.struct({"split": pa.string(), "index": pa.int64(), "answer": pa.string(), "question": pa.string()})
SCHEMA = pa.schema(
    [
        pa.field("data_source", pa.string()),
        pa.field("prompt", MESSAGES),
        pa.field("images", IMAGES),
        pa.field("ability", pa.string()),
        pa.field("reward_model", REWARD),
        pa.field("extra_info", INFO),
    ]
)
CONTRASTIVE = (pa.field("contrastive_prompt", MESSAGES), pa.field("is_contrastive", pa.bool_()))


@dataclass
class ClauseCounts:
    """What became of the clauses of a split; counted from several threads."""

    facts: int = 0
    silent: int = 0
    """Dropped because they add nothing."""
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)
    """The first unreadable ones."""
    lock: Lock = field(default_factory=Lock, repr=False)

    def reader(self, parity: bool) -> FactsOf:
        """Reads PGPS9K's clauses and counts them here."""

        def facts(row: Row) -> tuple[str, ...]:
            read = clauses(row, parity=parity)
            with self.lock:
                self.facts += len(read.facts)
                self.silent += read.silent
                self.unreadable += len(read.unreadable)
                self.examples += read.unreadable[: 10 - len(self.examples)]
            return read.facts

        return facts


@dataclass(frozen=True)
class PreparedSplit:
    """One split as it was written."""

    split: str
    path: Path
    """The Parquet file."""
    rows: int
    problems: int
    quarantined: dict[str, int]
    """Rows of the pool that could not be used, by status."""
    clauses: dict[str, Any] | None
    """Facts, silent and unreadable clauses of PGPS9K; None for other pools, whose facts are no clauses."""


def prepare(
    data: str | Path,
    condition: str,
    out: str | Path,
    *,
    parity: bool = False,
    pool: PoolConfig | None = None,
    to: tuple[str, ...] = ("verl",),
) -> list[PreparedSplit]:
    """Writes every split of `data` in a condition; an earlier result in the same folder is replaced as a whole.

    `data` is a folder of PGPS9K (train.json, test.json, Diagram_Visual/) or any pool whose facts `pool.facts` names; other
    options of `pool` hold for it too. `parity` reproduces the published code's clauses and keeps rows that are there twice.
    `to` adds the forms of other trainers. Raises RapError for what the user must mend; a bad row is quarantined.
    """
    if condition not in CONDITIONS:
        raise RapError(f"condition {condition!r}; there are {', '.join(CONDITIONS)}")
    if unknown := set(to) - {"verl", *FORMS}:
        raise RapError(f"--to {', '.join(sorted(unknown))}: unknown; known: verl, {', '.join(FORMS)}")
    options = pool or PoolConfig()
    folder = Path(out).absolute()
    found = _splits(Path(data), options)
    with replacing_folder(folder, MARK) as draft:
        splits = [_write_split(name, where, condition, draft, folder, parity, to) for name, where in found]
        facts = {
            "condition": condition,
            "parity": parity,
            "data": str(data),
            "splits": {
                split.split: {
                    "rows": split.rows,
                    "problems": split.problems,
                    "quarantined": split.quarantined,
                    "clauses": split.clauses,
                }
                for split in splits
            },
        }
        (draft / MARK).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return splits


def _splits(data: Path, options: PoolConfig) -> list[tuple[str, PoolConfig]]:
    """(name, where its pool is) of every split: the files of a PGPS9K folder, else the one pool."""
    options = options.model_copy(update={"facts": options.facts or "auto"})
    files = [(name, data / f"{name}.json") for name in SPLITS if (data / f"{name}.json").is_file()]
    if files and options.format in ("auto", "pgps9k"):
        here = options.model_copy(update={"image_root": options.image_root or str(data), "split": None})
        wanted = [(name, file) for name, file in files if options.split in (None, name)]
        if not wanted:
            raise RapError(f"{data}: no split {options.split!r}; it has {', '.join(name for name, _ in files)}")
        return [(name, here.model_copy(update={"path": str(file)})) for name, file in wanted]
    return [(options.split or "train", options.model_copy(update={"path": str(data)}))]


def _write_split(
    name: str, where: PoolConfig, condition: str, draft: Path, folder: Path, parity: bool, to: tuple[str, ...]
) -> PreparedSplit:
    pool = open_pool(where)
    formats, counts = dict(get_plugins().registry().things["formats"]), ClauseCounts()
    is_pgps9k = where.facts == "auto" and choose_format(pool, where, formats).format.name == "pgps9k"
    if is_pgps9k:
        known: Format = formats["pgps9k"]
        formats["pgps9k"] = replace(known, facts=counts.reader(parity))
    refused: list[Quarantined] = []
    items = ingest(pool, where, formats=formats, keep_duplicates=parity)
    path = draft / f"{name}.parquet"
    problems = _write_rows(path, _usable(items, refused), condition, name)
    if not problems:
        raise RapError(f"{pool.path}: none of the {len(pool):,} rows can be used; the first: {_first(refused)}")
    _write_quarantine(draft / (QUARANTINE if name == "train" else f"{name}-{QUARANTINE}"), refused)
    for form in to:
        if form != "verl":
            write_form(form, path, name, draft, folder)
    rows = pq.read_metadata(path).num_rows
    by_status = dict(sorted(Counter(str(item.status) for item in refused).items()))
    told = (
        {"facts": counts.facts, "silent": counts.silent, "unreadable": counts.unreadable, "examples": counts.examples}
        if is_pgps9k
        else None
    )
    return PreparedSplit(name, folder / path.name, rows, problems, by_status, told)


def _usable(items: Iterator[Sample | Quarantined], refused: list[Quarantined]) -> Iterator[Sample]:
    for item in items:
        if isinstance(item, Quarantined):
            refused.append(item)
        else:
            yield item


def _write_rows(path: Path, samples: Iterator[Sample], condition: str, split: str) -> int:
    """The rows of a split; of a mix the image rows wait in a file of their own until the text rows are done."""
    if condition != "mix":
        schema = SCHEMA if condition != "contrastive" else pa.schema([*SCHEMA, *CONTRASTIVE])
        return write_parquet(path, schema, (row_of(sample, condition, split) for sample in samples))
    late = path.with_suffix(".image")
    with pq.ParquetWriter(late, SCHEMA, compression="zstd") as waiting:

        def text_rows() -> Iterator[dict[str, Any]]:
            for sample in samples:
                waiting.write_table(pa.Table.from_pylist([row_of(sample, "image", split)], schema=SCHEMA))
                yield row_of(sample, "text", split)

        early = path.with_suffix(".text")
        count = write_parquet(early, SCHEMA, text_rows())
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for part in (early, late):
            for batch in pq.ParquetFile(part).iter_batches(64):
                writer.write_batch(batch)
            part.unlink()
    return count


def row_of(sample: Sample, condition: str, split: str) -> dict[str, Any]:
    """One problem in one condition, as verl reads it."""
    question = sample.question.replace(IMAGE, " ").strip()
    text, image = ([{"role": "user", "content": prompt}] for prompt in prompts_of(sample))
    row: dict[str, Any] = {
        "data_source": sample.source or "rap",
        "prompt": image if condition == "image" else text,
        "images": [{"bytes": data, "path": None} for data in sample.images],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": sample.gold},
        "extra_info": {"split": split, "index": sample.row, "answer": sample.gold, "question": question},
    }
    if condition == "contrastive":
        row |= {"contrastive_prompt": image, "is_contrastive": True}
    return row


def prompts_of(sample: Sample) -> tuple[str, str]:
    """(text, image): the prompts of a problem in both conditions; images in front stay there, others in the question."""
    marks, question = split_marks(sample.question)
    # A fact that holds a placeholder would ask for an image that the row has not.
    facts = [told for fact in sample.facts if (told := fact.replace(IMAGE, " ").strip())]
    return marks + text_prompt(facts, question), marks + image_prompt(question)


def _write_quarantine(path: Path, refused: list[Quarantined]) -> None:
    table = pa.table(
        {
            "rap_row": arrow.integers([item.row for item in refused]),
            "rap_id": arrow.texts([item.id for item in refused]),
            "rap_status": arrow.texts([item.status for item in refused]),
            "rap_reason": arrow.texts([item.reason for item in refused]),
        }
    )
    pq.write_table(table, path, compression="zstd")


def _first(refused: list[Quarantined]) -> str:
    return f"row {refused[0].row}: {refused[0].status}, {refused[0].reason}" if refused else "there is none"
