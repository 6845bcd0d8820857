"""What trackers wrote, read back from their files."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every scalar in the TensorBoard files of a folder, by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


BLOCK, FILE_HEADER, RECORD_HEADER = 32768, 7, 7
FULL, LAST = 1, 4


def history_of(folder: Path) -> list[dict[str, Any]]:
    """The logged rows of the one offline run of W&B below a folder, in order."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    # A process of W&B's own writes the file, and is not always done with it when the run has finished.
    wandb.teardown()
    (file,) = folder.rglob("run-*.wandb")
    rows = []
    for data in _records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format: each in one piece, or in several over blocks of 32 KiB."""
    at, record = FILE_HEADER, b""
    while at + RECORD_HEADER <= len(data):
        if BLOCK - at % BLOCK < RECORD_HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + RECORD_HEADER : at + RECORD_HEADER + length]
        at += RECORD_HEADER + length
        if kind in (FULL, LAST):
            yield record
            record = b""
