"""Running verdicts: of the samples that are done, what the selector says of them alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.pipeline.probing import find_probes
from rap_plugin.pipeline.running import verdicts_so_far
from rap_plugin.report.words import verdict_word
from rap_plugin.run_dir.about import identity_of, read_run
from tests.fabricate import Fabricated, fabricate

SELECT_ON_A_TERMINAL = """
from pathlib import Path

from rap_plugin.pipeline import running
from rap_plugin.pipeline.select import select_run
from tests.pipeline.test_select import make_config

running.WAIT_SECONDS = 0.0
running.COST_SHARE = 1.0
config = make_config(Path({pool!r}), sampling__rollouts=3, model__options={{"pause": 0.1}})
select_run(config, {run!r})
"""


@pytest.fixture
def made(tmp_path: Path) -> Fabricated:
    made = fabricate(tmp_path, 60, broken=0, sampling__curtail=False)
    made.store.close()
    return made


def line(made: Fabricated, **selection: object) -> str:
    config = made.config
    if selection:
        config = config.model_copy(update={"selection": config.selection.model_copy(update=selection)})
    with closing(EvidenceStore(made.run / "evidence.sqlite", create=False)) as store:
        return verdicts_so_far(store, config, find_probes(store, config, identity_of(read_run(made.run))))


def numbers(line: str) -> dict[str, int]:
    return {name: int(number) for number, name in re.findall(r"([\d,]+) ([a-z ]+)(?:,|$)", line.partition(": ")[2])}


def expected(made: Fabricated, below: int) -> dict[str, int]:
    """The final verdicts of the samples whose number is below this one."""
    table, verdicts = made.selection.table, made.selection.decision.verdicts
    words = verdicts[table.sample < below].tolist()
    return {verdict_word(word).title.lower(): words.count(word) for word in set(words)}


def test_when_all_is_done_they_are_the_verdicts_of_the_selection(made: Fabricated) -> None:
    assert line(made).startswith("of 60 samples done: ")
    assert numbers(line(made)) == expected(made, 10**9)


def test_samples_that_lack_a_rollout_are_not_counted(made: Fabricated) -> None:
    with closing(sqlite3.connect(made.run / "evidence.sqlite")) as db, db:
        half = sorted(made.selection.table.sample.tolist())[25]
        db.execute("DELETE FROM rollouts WHERE sample >= ? AND rollout > 2", (half,))
    assert line(made).startswith("of 25 samples done: ")
    # Replacements depend on all samples, so what is compared is what a sample alone decides.
    ours, theirs = numbers(line(made, drm=False)), expected(made, half)
    assert ours["language prior"] + ours.get("unsolved", 0) == sum(
        theirs.get(name, 0) for name in ("language prior", "unsolved", "hard replacement")
    )


def test_nothing_is_said_before_a_sample_is_done(made: Fabricated) -> None:
    with closing(sqlite3.connect(made.run / "evidence.sqlite")) as db, db:
        db.execute("DELETE FROM rollouts WHERE rollout = 0")
    assert line(made) == ""


def test_a_number_of_rows_is_not_filled_up_from_a_part_of_the_pool(made: Fabricated) -> None:
    assert "filled up" not in line(made, size_multiple=1000)


def test_a_terminal_shows_them_under_the_bar_while_sampling(
    tmp_path: Path, write_pool: Callable[[int], Path], on_a_terminal: Callable[[str], str]
) -> None:
    drawn = on_a_terminal(SELECT_ON_A_TERMINAL.format(pool=str(write_pool(60)), run=str(tmp_path / "run")))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    seen = [int(number) for number in re.findall(r"of (\d+) samples done: \d+ [a-z]", plain)]
    assert seen, plain
    assert min(seen) < 60
