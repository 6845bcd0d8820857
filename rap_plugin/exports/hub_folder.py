"""A folder for the hub: the selection as Parquet, its card, and on request the scores and the rollouts of the whole pool."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rap_plugin.errors import RapError
from rap_plugin.exports import Exported
from rap_plugin.exports.columns import IMAGES, extra_fields, write_parquet
from rap_plugin.exports.rows import SelectedPool
from rap_plugin.run_dir import files

SAMPLES_AT_ONCE = 500
ROLLOUTS = pa.schema(
    [
        ("rap_id", pa.string()),
        ("arm", pa.string()),
        ("rollout", pa.int64()),
        ("text", pa.string()),
        ("tokens", pa.int64()),
        ("finish", pa.string()),
        ("status", pa.string()),
        ("verdict", pa.string()),
        ("reward", pa.float64()),
        ("extracted", pa.string()),
        ("log_psi", pa.float64()),
    ]
)


ALSO = {
    "scores": "`scores`: verdict, reason and scores of every sample of the pool, by `rap_id`, without its problem.",
    "rollouts": "`rollouts`: every response with its grade and what was read in it, by `rap_id`.",
}
SEE_REPORT = " `report.html` shows the\ndistributions, examples of every verdict and the cost."
SEE_QUARANTINE = "; `quarantine.parquet` says why, row by row"


@dataclass(frozen=True)
class Sharing:
    """What a folder for the hub holds beside the selection."""

    scores: bool = False
    """`scores.parquet`: verdict and scores of every sample of the pool, without its problems."""
    rollouts: bool = False
    """`rollouts.parquet`: every response with its grade."""
    license: str = ""
    """Of the pool, as the hub names it (`cc-by-4.0`); it is no property of the selection, so it has to be said."""


def write(source: SelectedPool, draft: Path, folder: Path, sharing: Sharing) -> Exported:
    """`data/train.parquet` with question, answer, images (decoded by `datasets`), source and the rap columns; README.md."""
    (draft / "data").mkdir()
    fields = [pa.field("question", pa.string()), pa.field("answer", pa.string()), pa.field("images", IMAGES)]
    fields += [pa.field("source", pa.string()), *extra_fields(source)]
    schema = pa.schema(fields, metadata=_features(fields))
    rows = (
        {
            "question": row.sample.question,
            "answer": row.sample.gold,
            "images": row.places,
            "source": row.sample.source,
            **row.extra,
        }
        for row in source.rows()
    )
    count = write_parquet(draft / "data" / "train.parquet", schema, rows)
    parts = {"default": "data/train.parquet"}
    if sharing.scores:
        shutil.copyfile(source.run / files.SCORES, draft / "data" / "scores.parquet")
        parts["scores"] = "data/scores.parquet"
    if sharing.rollouts:
        write_parquet(draft / "data" / "rollouts.parquet", ROLLOUTS, _rollouts(source.run))
        parts["rollouts"] = "data/rollouts.parquet"
    card = (source.run / files.CARD).read_text(encoding="utf-8")
    (draft / "README.md").write_text(_card(card, parts, sharing.license), encoding="utf-8")
    hint = f"hf upload OWNER/NAME {folder} --repo-type dataset"
    return Exported(folder, count, hint)


def _features(fields: list[pa.Field]) -> dict[bytes, bytes]:
    """What `datasets` reads in a Parquet file's metadata: that the images are images."""
    names = {"double": "float64", "float": "float32"}
    described: dict[str, Any] = {
        field.name: {"dtype": names.get(str(field.type), str(field.type)), "_type": "Value"} for field in fields
    }
    described["images"] = {"feature": {"_type": "Image"}, "_type": "List"}
    return {b"huggingface": json.dumps({"info": {"features": described}}).encode()}


def _card(card: str, parts: dict[str, str], license_id: str) -> str:
    """The run's card with this folder's files in the place of the run's."""
    if license_id and not re.fullmatch(r"[\w.-]{1,60}", license_id):
        raise RapError(f"--license {license_id!r}: an identifier is expected, as in cc-by-4.0")
    configs = "".join(f"- config_name: {name}\n  data_files: {file}\n" for name, file in parts.items())
    card = re.sub(r"configs:\n(?:[- ] .*\n)+", lambda _: f"configs:\n{configs}", card, count=1)
    if license_id:
        card = card.replace("---\n", f"---\nlicense: {license_id}\n", 1)
    card = re.sub(
        r"```python\n.*?```",
        lambda _: _how_to_load(parts),
        card,
        count=1,
        flags=re.DOTALL,
    )
    card = re.sub(
        r"## Columns\n\nThe pool's own columns.*?, and\n",
        lambda _: "## Columns\n\n`question`, `answer`, `images` (byte for byte), `source`, and\n",
        card,
        count=1,
        flags=re.DOTALL,
    )
    card = re.sub(r"The rows name their images and do not hold them:.*?\n\n", "", card, count=1, flags=re.DOTALL)
    # Files of the run that are not in this folder.
    card = card.replace(SEE_REPORT, "", 1).replace(SEE_QUARANTINE, "", 1)
    return f"{card.rstrip()}\n"


def _how_to_load(parts: dict[str, str]) -> str:
    lines = ['selection = load_dataset("OWNER/NAME", split="train")  # or the path of this folder']
    lines += [f'{name} = load_dataset("OWNER/NAME", "{name}", split="train")' for name in ALSO if name in parts]
    told = "".join(f"\n- {text}" for name, text in ALSO.items() if name in parts)
    code = "\n".join(["```python", "from datasets import load_dataset", "", *lines, "```"])
    return f"{code}\n{told}" if told else code


def _rollouts(run: Path) -> Iterator[dict[str, Any]]:
    from rap_plugin.pipeline.selection import load_selection

    selection, store = load_selection(run)
    with closing(store):
        table, ace = selection.table, selection.config.ace
        column = f"psi_{ace.reduction}_{ace.heads}_{ace.window}"
        for start in range(0, len(table), SAMPLES_AT_ONCE):
            numbers = table.sample[start : start + SAMPLES_AT_ONCE].tolist()
            ids = dict(zip(numbers, table.ids[start : start + SAMPLES_AT_ONCE].tolist(), strict=True))
            for record in store.records(table.probes, numbers, column):
                if record.rollout < table.rollouts:
                    yield {
                        "rap_id": ids[record.sample],
                        **{name: getattr(record, name) for name in ROLLOUTS.names if name != "rap_id"},
                    }
