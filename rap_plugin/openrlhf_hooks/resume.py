"""Which rows a training's checkpoints were made with: going on with others is refused.

OpenRLHF saves its position in the data loader. On other rows that position means nothing: some would be trained on
twice and others never, without a word. So the rows are noted beside the checkpoints when a training starts.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rap_plugin.errors import RapError

NOTE = "rap_rows.json"
"""In `--ckpt.path`: one entry per start of a training, oldest first."""


def require_same_rows(args: SimpleNamespace, ids: Sequence[str]) -> None:
    """Raises RapError, one line, where `--ckpt.load_enable` would go on with other rows than the checkpoint's.

    `ids` are the sample ids of the rows to train on, in their order. A checkpoint without a note (of a training without
    a filter) is taken as it is.
    """
    entries = _read(Path(args.ckpt.path) / NOTE)
    saved = _saved_at(args)
    before = [entry for entry in entries if saved is not None and entry["at"] <= saved]
    if before and before[-1]["rows"] != _fingerprint(ids):
        raise RapError(
            f"--ckpt.load_enable: the checkpoint in {args.ckpt.path} was trained on {before[-1]['count']} other rows than "
            f"the {len(ids)} selected now; select as it was (same data, thresholds and batch sizes), or start with another "
            "--ckpt.path"
        )


def note_rows(args: SimpleNamespace, ids: Sequence[str]) -> None:
    """Notes the rows of a training that starts. Raises RapError where `--ckpt.path` cannot be written."""
    path = Path(args.ckpt.path) / NOTE
    entries = _read(path)
    rows = _fingerprint(ids)
    if entries and entries[-1]["rows"] == rows:
        return
    entry = {"at": time.time(), "count": len(ids), "rows": rows}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([*entries, entry], indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RapError(f"--ckpt.path {args.ckpt.path}: cannot be written ({error.strerror or error})") from None


def _saved_at(args: SimpleNamespace) -> float | None:
    """When the checkpoint was written that the trainer will load; None where it starts anew."""
    folder = Path(args.ckpt.path) / "_actor"
    if not args.ckpt.load_enable or not folder.exists():
        return None
    latest = folder / "latest"  # DeepSpeed's file with the name of the newest checkpoint
    return (latest if latest.exists() else folder).stat().st_mtime


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [{"at": float(e["at"]), "count": int(e["count"]), "rows": str(e["rows"])} for e in content]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _fingerprint(ids: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()
