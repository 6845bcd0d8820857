"""A folder of folders of images: the folder's name is the answer, and the question is which of them it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from rap_plugin.samples.pool import Pool, Row

ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm"}
MOST_CLASSES = 100
"""Names that a question lists; more are a data set for something else than questions."""


class ClassFolders(Pool):
    """Rows with `question`, `image` (a path below the folder) and `label`, sorted by path."""

    kind = "images"

    def __init__(self, folder: Path, path: str, classes: dict[str, list[Path]]) -> None:
        files = [file for name in sorted(classes) for file in classes[name]]
        super().__init__(path, folder, files)
        self.columns = ["question", "image", "label"]
        self._labels = [name for name in sorted(classes) for _ in classes[name]]
        self._question = f"Which of these does the image show: {', '.join(sorted(classes))}?"

    def __len__(self) -> int:
        return len(self.files)

    def fingerprint(self) -> str:
        """Names, sizes and times of change: the images themselves are part of the samples' ids."""
        digest = hashlib.blake2b(digest_size=16, person=b"rap-images-1")
        for file in self.files:
            state = file.stat()
            line = f"{file.relative_to(self.root)}\0{state.st_size}\0{state.st_mtime_ns}\0"
            digest.update(line.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.check(numbers)
        return [
            {
                "question": self._question,
                "image": str(self.files[number].relative_to(self.root)),
                "label": self._labels[number],
            }
            for number in numbers
        ]

    def table(self, numbers: Sequence[int]) -> pa.Table:
        schema = pa.schema([(name, pa.string()) for name in self.columns])
        return pa.Table.from_pylist(self.rows(numbers), schema=schema)


def find_classes(folder: Path) -> dict[str, list[Path]]:
    """The images of a folder by the name of the folder that holds them; empty where they are not sorted so."""
    found: dict[str, list[Path]] = {}
    for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        images = sorted(file for file in below.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        if images:
            found[below.name] = images
    return found if 2 <= len(found) <= MOST_CLASSES else {}
