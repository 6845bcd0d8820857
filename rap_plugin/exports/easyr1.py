"""EasyR1: Parquet with problem, answer, images."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from rap_plugin.errors import Option, RapError
from rap_plugin.exports import INSIDE, Exported
from rap_plugin.exports.columns import IMAGES, extra_fields, write_parquet
from rap_plugin.exports.rows import SelectedPool

FILE = "train.parquet"


def write(source: SelectedPool, draft: Path, folder: Path) -> Exported:
    """`train.parquet` with problem (the bare question), answer, images and the rap columns.

    EasyR1 adds its own instruction from `data.format_prompt`, so the run's is left out. It takes the kind of a folder's
    files from whichever is listed first, so there is no other file beside this one.
    """
    if "@" in str(folder):
        raise RapError(f"{folder}: EasyR1 reads what follows an @ in a path as a split; choose another ", Option("out"))
    fields = [pa.field("problem", pa.string()), pa.field("answer", pa.string()), pa.field("images", IMAGES)]
    schema = pa.schema([*fields, *extra_fields(source)], metadata={INSIDE: b"easyr1"})
    rows = (
        {"problem": row.sample.question, "answer": row.sample.gold, "images": row.places, **row.extra}
        for row in source.rows()
    )
    count = write_parquet(draft / FILE, schema, rows)
    hint = f"data.train_files={folder / FILE} data.prompt_key=problem data.answer_key=answer data.image_key=images"
    return Exported(folder / FILE, count, hint)
