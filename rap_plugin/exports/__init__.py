"""Exports: a selection the way a trainer reads it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from os import PathLike
from pathlib import Path

from rap_plugin.errors import Option, RapError
from rap_plugin.exports.rows import open_selected

MARK = "rap_export.json"
"""In every export: what it is of. A folder without it is never replaced."""

INSIDE = b"rap_export"
"""The same as metadata of `train.parquet`, for a trainer that reads every file of the folder."""

TARGETS = {
    "openrlhf": "JSONL with chat prompts, labels and image paths",
    "trl": "a saved `datasets` folder with conversational prompts",
    "verl": "Parquet as verl's RLHFDataset reads it",
    "easyr1": "Parquet with problem, answer, images",
    "jsonl": "JSONL with question, answer and image paths",
    "hub-folder": "a folder for the hub: Parquet, card, on request scores and rollouts",
}
"""Trainers and what they get."""


@dataclass(frozen=True)
class Exported:
    """What `export_run` wrote."""

    path: Path
    """What to give to the trainer: a file or a folder."""
    rows: int
    hint: str
    """The trainer's own flags or line for it."""
    warning: str = ""
    """That the run's pool is another one now; empty where it is not."""


def export_run(
    run: str | PathLike[str],
    to: str,
    out: str | Path | None = None,
    *,
    pool: str | None = None,
    scores: bool = False,
    rollouts: bool = False,
    license: str = "",
) -> Exported:
    """Writes the selection of a finished run for a trainer, into `out` (default: a folder of RUN named after it).

    Prompts are those that the image arm was probed with: question, instruction and system message; image bytes stay as
    they are; the `rap_*` columns come along. Rows that only name image files need the run's pool, which `pool` says the
    place of where it is neither at its old one nor beside the run. An earlier export in the same folder is replaced as a whole. `scores`,
    `rollouts` and `license` are for a hub-folder: what else it holds, and the licence of the pool. Raises RapError for an unknown target, a run without a selection, and a folder that holds something else.
    """
    if to not in TARGETS:
        raise RapError(f"--to {to}: unknown target; known: {', '.join(TARGETS)}")
    source = open_selected(Path(run), pool)
    folder = (Path(out) if out is not None else Path(run) / f"export-{to}").absolute()
    module = import_module(f"rap_plugin.exports.{to.replace('-', '_')}")
    write: Callable[..., Exported] = module.write
    if to == "hub-folder":
        write = partial(write, sharing=module.Sharing(scores, rollouts, license))
    elif scores or rollouts or license:
        raise RapError(f"--to {to}: scores, rollouts and a licence go into a hub-folder only")
    with replacing_folder(folder) as draft:
        exported = write(source, draft, folder)
        mark = {"target": to, "run": str(Path(run).absolute()), "rows": exported.rows}
        if not _is_export(draft):
            (draft / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
    return replace(exported, warning=source.warning)


@contextmanager
def replacing_folder(folder: Path, mark: str = "") -> Iterator[Path]:
    """A folder to write to, moved to its place when the block ends well.

    What is there is replaced only where it is an export, or holds the file `mark`.
    """
    replaceable = (folder / mark).is_file() if mark else _is_export(folder)
    if folder.exists() and not replaceable and (not folder.is_dir() or any(folder.iterdir())):
        raise RapError(f"{folder}: exists and is no export of rap; choose another ", Option("out"))
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(draft, folder)
    except OSError as error:
        raise RapError(
            f"{folder}: cannot write ({error.strerror or error}); free some space or choose another ", Option("out")
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_export(folder: Path) -> bool:
    """Whether a folder carries the mark, as a file or inside its table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if (folder / MARK).is_file():
        return True
    try:
        return INSIDE in (pq.read_schema(folder / "train.parquet").metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False
