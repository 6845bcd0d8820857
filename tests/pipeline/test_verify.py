"""`rap verify`: it says of the files that are there, and of no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from rap_plugin.errors import RapError
from rap_plugin.pipeline.verify import verify_run
from tests.fabricate import finished


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished(tmp_path, samples=30, seed=3)


def test_a_report_or_a_card_that_is_missing_is_not_said_to_show_anything(run: Path) -> None:
    (run / "report.html").unlink(missing_ok=True)
    said = verify_run(run)[-1]
    assert said.startswith("what the card shows is what was decided; there is no report.html (`rap report")
    (run / "README.md").unlink()
    assert verify_run(run)[-1].startswith("there is no report.html and no README.md")


def test_scores_that_are_missing_are_said_to_be_missing(run: Path) -> None:
    (run / "scores.parquet").unlink()
    with pytest.raises(RapError, match=r"scores\.parquet: the file is missing; run `rap decide"):
        verify_run(run)
