"""`.jsonl.gz`: the lines of a JSONL file that is compressed, read front to back."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rap_plugin.errors import RapError, one_line
from rap_plugin.samples.containers.jsonl import JsonlPool


class GzipJsonlPool(JsonlPool):
    """Nothing is unpacked to disk: going on is cheap, going back starts again from the front."""

    def __init__(self, file: Path, path: str) -> None:
        self._reading = threading.Lock()
        self._unpacked: Any = gzip.GzipFile(file, "rb")
        super().__init__(file, path)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with self._reading:
            try:
                yield self._unpacked
            except (OSError, EOFError, zlib.error) as error:
                raise RapError(f"{self.path}: damaged gzip ({one_line(error)}); is the file whole?") from None
