"""Each fault once; `make faults` does all of them as often as docs/reliability.md says."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.faults.kinds import FAULTS
from tests.faults.world import ROOT, Fault, Skipped, World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("faults") / "world")


def case(fault: Fault) -> ParameterSet:
    """A fault by its name; those of a Ray cluster or a trainer take half a minute or more."""
    marks = [pytest.mark.long] if fault.name.startswith("Ray ") or "TRL" in fault.name else []
    return pytest.param(fault, id=re.sub(r"\W+", "-", fault.name).strip("-"), marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [case(fault) for fault in FAULTS])
def test_after_a_fault_what_is_promised_holds(fault: Fault, world: World, tmp_path: Path) -> None:
    try:
        fault.do(world, tmp_path, random.Random(fault.name))
    except Skipped as why:
        pytest.skip(str(why))


def test_the_page_tells_of_every_fault_and_nothing_broke() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    for fault in FAULTS:
        row = next(line for line in text.splitlines() if line.startswith(f"| {fault.name} |"))
        times, held = (cell.strip() for cell in row.split("|")[2:4])
        assert times == held or times == "not done here", row
