"""Writes the table of model families into docs/engines.md: `make families`.

Every family is built with random weights, sampled and measured, and compared with Transformers (about two minutes).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "engines.md"
BEGIN, END = "<!-- families: written by `make families` -->", "<!-- end of families -->"


def measured_families() -> list[str]:
    """One row per family that there is a builder for."""
    from tests.engines import family_checks, tiny_models

    rows = []
    for family in sorted(tiny_models.ALL_FAMILIES):
        with tempfile.TemporaryDirectory() as folder:
            try:
                tiny_models.build(family, Path(folder))
            except ImportError as error:
                result = family_checks.FamilyResult(family, f"untested: {str(error).strip().splitlines()[0]}")
            else:
                result = family_checks.check_family(family, Path(folder))
        rows.append(result.row())
        print(rows[-1], flush=True)
    return rows


def untested_families() -> list[str]:
    """The families of AutoModelForImageTextToText that there is no builder for."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

    from tests.engines import tiny_models

    return sorted(name for name in NAMES if name.replace("-", "_") not in tiny_models.ALL_FAMILIES)


def page(rows: list[str], untested: list[str], version: str) -> str:
    """What stands between the marks."""
    from tests.engines.family_checks import COLUMNS

    table = [f"| {' | '.join(COLUMNS)} |", "| " + " | ".join("---" for _ in COLUMNS) + " |", *rows]
    names = ", ".join(f"`{name}`" for name in untested)
    return "\n".join([BEGIN, f"Transformers {version}, float32 on a CPU:", "", *table, "", f"Untested: {names}.", END])


def main() -> None:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    sys.path.insert(0, str(ROOT))
    import transformers

    text = PAGE.read_text(encoding="utf-8")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(
        head + page(measured_families(), untested_families(), transformers.__version__) + tail, encoding="utf-8"
    )


if __name__ == "__main__":
    main()
