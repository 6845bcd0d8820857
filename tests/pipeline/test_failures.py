"""Failed is not finished: what the engine failed on is tried again, with a bound, and an engine that never works stops early."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rap_plugin import RapError, decide_run, load_config, select_run
from tests.pipeline.test_select import make_config, verdicts


def broken(tmp_path: Path, *numbers: object, name: str = "broken") -> Path:
    file = tmp_path / name
    file.write_text(" ".join(map(str, numbers)))
    return file


def quarantined(run: Path) -> list[tuple[int, str]]:
    return [(row["rap_row"], row["rap_status"]) for row in pq.read_table(run / "quarantine.parquet").to_pylist()]


@pytest.mark.parametrize("flags", [{}, {"selection__selector": "band"}], ids=["whole", "waves"])
def test_what_failed_is_tried_again_by_the_next_run_and_ends_like_a_run_that_never_failed(
    tmp_path: Path, write_pool, flags: Any
) -> None:
    pool, file, log = write_pool(16), broken(tmp_path, 3, 7), tmp_path / "log"
    never = select_run(make_config(pool, **flags), tmp_path / "never", quiet=True)
    config = make_config(pool, model__options={"broken": str(file), "log": str(log)}, **flags)
    first = select_run(config, tmp_path / "run", quiet=True)
    assert quarantined(first.run) == [(3, "engine_error"), (7, "engine_error")]
    assert any("failed in the engine: the next `rap select` tries" in note for note in first.selection.decision.notes)
    asked = len(log.read_text().splitlines())
    assert asked == len(set(log.read_text().splitlines()))  # within a run nothing is asked twice
    file.unlink()
    select_run(config, first.run, quiet=True)
    again = {line.split()[0] for line in log.read_text().splitlines()[asked:]}
    assert len(again) == 2
    assert verdicts(first.run) == verdicts(never.run)
    assert quarantined(first.run) == []
    if not flags:  # waves stop where enough is known, and a retry asks for all that it once asked for
        assert (first.run / "scores.parquet").read_bytes() == (never.run / "scores.parquet").read_bytes()


def test_after_its_attempts_a_failure_is_final_and_a_rerun_asks_for_nothing(tmp_path: Path, write_pool) -> None:
    pool, file, log = write_pool(12), broken(tmp_path, 5), tmp_path / "log"
    options = {"broken": str(file), "log": str(log)}
    config = make_config(pool, model__options=options, sampling__attempts=2)
    assert select_run(config, tmp_path / "run", quiet=True).sampled == 120
    assert select_run(config, tmp_path / "run", quiet=True).sampled == 10
    last = select_run(config, tmp_path / "run", quiet=True)
    assert last.sampled == 0
    assert len(log.read_text().splitlines()) == 130
    assert quarantined(last.run) == [(5, "engine_error")]
    assert any(
        "10 were tried sampling.attempts times and stay failed" in note for note in last.selection.decision.notes
    )
    failed = json.loads((last.run / "cost.json").read_text())["failed"]
    assert failed == {"rollouts": 10, "final_rollouts": 10, "attention": 0, "final_attention": 0}
    more = make_config(pool, model__options=options, sampling__attempts=3)
    assert select_run(more, tmp_path / "run", quiet=True).sampled == 10


def test_an_overlong_prompt_is_not_tried_again(tmp_path: Path, write_pool) -> None:
    config = make_config(write_pool(12), sampling__rollouts=2, model__options={"overlong": "4"})
    assert select_run(config, tmp_path / "run", quiet=True).sampled == 48
    assert select_run(config, tmp_path / "run", quiet=True).sampled == 0
    assert quarantined(tmp_path / "run") == [(4, "overlong")]


def test_attention_that_failed_is_measured_again_by_the_next_run(tmp_path: Path, write_pool) -> None:
    pool, file, log = write_pool(12), broken(tmp_path, 2, name="attention"), tmp_path / "log"
    options = {"attention_broken": str(file), "attention_log": str(log)}
    config = make_config(pool, model__options=options, sampling__attempts=2)
    first = select_run(config, tmp_path / "run", quiet=True)
    assert any(
        "5 responses have no attention because measuring failed" in note for note in first.selection.decision.notes
    )
    assert len(log.read_text().splitlines()) == 60
    file.unlink()
    select_run(config, tmp_path / "run", quiet=True)
    assert len(log.read_text().splitlines()) == 65
    assert None not in pq.read_table(tmp_path / "run" / "scores.parquet")["rap_log_psi"].to_pylist()
    select_run(config, tmp_path / "run", quiet=True)
    assert len(log.read_text().splitlines()) == 65


def test_an_engine_that_fails_on_everything_stops_early_with_its_last_error(tmp_path: Path, write_pool) -> None:
    pool, file, log = write_pool(60), broken(tmp_path, "all"), tmp_path / "log"
    config = make_config(pool, model__options={"broken": str(file), "log": str(log)})
    with pytest.raises(
        RapError, match=r"failed on all of the first \d+ samples of the blind arm, last with: HTTP 500 for"
    ):
        select_run(config, tmp_path / "run", quiet=True)
    assert len(log.read_text().splitlines()) <= 60  # of 600
    file.unlink()
    assert len(select_run(config, tmp_path / "run", quiet=True).selection.table) == 60


def test_a_small_pool_on_which_everything_fails_names_the_error_and_not_the_pool(tmp_path: Path, write_pool) -> None:
    file = broken(tmp_path, "all")
    with pytest.raises(RapError, match="the engine failed on every sample, last with: HTTP 500 for number"):
        select_run(make_config(write_pool(3), model__options={"broken": str(file)}), tmp_path / "run", quiet=True)


def test_many_samples_that_failed_before_do_not_stop_a_run_that_tries_them_again(tmp_path: Path, write_pool) -> None:
    file = broken(tmp_path, *range(20, 36))
    config = make_config(write_pool(36), model__options={"broken": str(file)})
    select_run(config, tmp_path / "run", quiet=True)
    assert select_run(config, tmp_path / "run", quiet=True).sampled == 160


@pytest.mark.parametrize(
    ("flags", "measured"),
    [
        ({"selection.selector": "random"}, False),
        ({"selection.preset": "released"}, False),
        ({"selection.ace": False}, False),
        ({"selection.selector": "top", "selection.score": "difficulty"}, False),
        ({"selection.selector": "top", "selection.score": "log_psi"}, True),
        ({"selection.selector": "of_a_plugin"}, True),
        ({"selection.selector": "random", "ace.enabled": True}, True),
        ({"ace.enabled": False}, False),
        ({}, True),
    ],
)
def test_attention_is_wanted_where_the_selection_reads_it_or_where_asked_for(flags: Any, measured: bool) -> None:
    assert load_config(flags=flags).measures_attention == measured


def test_attention_that_nothing_reads_is_not_measured(tmp_path: Path, write_pool) -> None:
    log = tmp_path / "log"
    config = make_config(write_pool(6), model__options={"attention_log": str(log)}, selection__selector="random")
    select_run(config, tmp_path / "run", quiet=True)
    assert not log.exists()


def test_a_shuffled_blind_arm_needs_a_second_sample(tmp_path: Path, write_pool) -> None:
    with pytest.raises(RapError, match="--blind shuffle gives every sample the images of another one"):
        select_run(make_config(write_pool(1), prompt__blind="shuffle"), tmp_path / "run", quiet=True)


def test_under_shuffle_a_longer_pool_has_other_partners_and_samples_the_blind_arm_again(
    tmp_path: Path, write_pool
) -> None:
    pool, log = write_pool(12), tmp_path / "log"
    flags = {"prompt__blind": "shuffle", "sampling__rollouts": 2}
    short = make_config(pool, log, pool__limit=6, **flags)
    select_run(short, tmp_path / "run", quiet=True)
    longer = select_run(make_config(pool, log, **flags), tmp_path / "run", extend=True, quiet=True)
    assert longer.sampled == 6 * 2 + 12 * 2  # the new image rollouts, and every blind one
    assert select_run(short, tmp_path / "run", extend=True, quiet=True).sampled == 0


def test_a_changed_chat_template_or_image_processor_samples_again(tmp_path: Path, write_pool) -> None:
    pool = write_pool(8)

    def configured(processor: str) -> Any:
        return make_config(pool, sampling__rollouts=2, model__options={"processor": processor})

    assert select_run(configured("one"), tmp_path / "run", quiet=True).sampled == 32
    assert select_run(configured("two"), tmp_path / "run", quiet=True).sampled == 32
    assert select_run(configured("one"), tmp_path / "run", quiet=True).sampled == 0


def test_another_number_format_samples_again_and_each_run_reads_its_own(tmp_path: Path, write_pool) -> None:
    pool = write_pool(8)
    select_run(make_config(pool, sampling__rollouts=2, model__dtype="float32"), tmp_path / "run", quiet=True)
    other = make_config(pool, sampling__rollouts=2, model__dtype="bfloat16")
    assert select_run(other, tmp_path / "run", extend=True, quiet=True).sampled == 32
    decide_run(tmp_path / "run", other)
    with sqlite3.connect(tmp_path / "run" / "evidence.sqlite") as db:
        found = {json.loads(text)["dtype"] for (text,) in db.execute("SELECT settings FROM probes")}
    assert found == {"float32", "bfloat16"}
