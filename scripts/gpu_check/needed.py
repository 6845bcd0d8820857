"""Prints what is to be installed from wheels: the package's own requirements and those of its tests, without torch."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import tomllib

GIVEN = ("torch", "transformers", "rap-plugin")
"""What the machine brings, and the checkout itself."""

EXTRAS = ("hf", "datasets", "trl", "test")


def needed(pyproject: Path) -> list[str]:
    """Requirements as pip takes them, each once."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    return [line for line in dict.fromkeys(wanted) if re.split(r"[^A-Za-z0-9-]", line)[0] not in GIVEN]


if __name__ == "__main__":
    print("\n".join(needed(Path(sys.argv[1]))))
