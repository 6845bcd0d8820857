"""`rap decide`: what is given now holds, and what is shown is what was decided."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.pipeline.verify import verify_run
from rap_plugin.run_dir.about import config_of, read_run
from tests.fabricate import finished


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished(tmp_path, samples=80, seed=3)


def decide(run: Path, *words: str) -> str:
    result = CliRunner().invoke(cli, ["decide", str(run), "--no-report", *words])
    if result.exception:
        raise result.exception
    return result.output


def in_force(run: Path) -> tuple[float | None, float, str]:
    options = config_of(read_run(run), run).selection
    return options.keep, options.lambda_c, options.selector


def verdicts(run: Path) -> list[str]:
    return pq.read_table(run / "scores.parquet")["rap_verdict"].to_pylist()


def test_options_of_an_earlier_decision_do_not_hold_against_those_given_now(run: Path) -> None:
    decide(run, "--lambda-c", "0.2")
    directly = verdicts(run)
    decide(run, "--keep", "0.1")
    decide(run, "--selector", "band")
    assert "lambda_c 0.2" in decide(run, "--lambda-c", "0.2")
    assert in_force(run) == (None, 0.2, "rap")
    assert verdicts(run) == directly


def test_without_options_the_last_decision_is_made_again(run: Path) -> None:
    decide(run, "--keep", "0.1", "--set", "selection.drm=false")
    before = verdicts(run)
    decide(run)
    assert verdicts(run) == before
    assert in_force(run)[0] == 0.1


def test_a_threshold_given_now_ends_the_budget_of_the_selection_and_says_so(tmp_path: Path) -> None:
    run = finished(tmp_path, samples=80, seed=3, selection__keep=0.1)
    assert "--keep 0.1, is left out" in decide(run, "--lambda-c", "0.2")
    assert in_force(run)[:2] == (None, 0.2)
    decide(run, "--lambda-c", "0.2", "--keep", "0.05")
    assert in_force(run)[:2] == (0.05, 0.2)
    # The options of the selection itself are still known.
    decide(run, "--lambda-a", "auto")
    assert in_force(run)[:2] == (0.1, 0.5)


def test_the_report_and_the_card_show_the_decision_in_force_or_say_that_they_do_not(run: Path) -> None:
    result = CliRunner().invoke(cli, ["report", str(run)])
    assert result.exit_code == 0, result.output
    verify_run(run)
    assert CliRunner().invoke(cli, ["decide", str(run), "--lambda-c", "0.1"]).exit_code == 0
    chosen = sum(word in ("selected", "hard_replacement") for word in verdicts(run))
    assert f"<h1>{chosen} of 80 samples" in (run / "report.html").read_text(encoding="utf-8")
    assert f"# {chosen} of 80 samples" in (run / "README.md").read_text(encoding="utf-8")
    verify_run(run)
    for _ in range(2):
        decide(run, "--keep", "0.05")
    assert "# 4 of 80 samples" in (run / "README.md").read_text(encoding="utf-8")
    assert (run / "report.html").read_text(encoding="utf-8").count("This report is stale") == 1
    with pytest.raises(RapError, match=r"report\.html: shows another decision than the one in force; run `rap report"):
        verify_run(run)
    assert CliRunner().invoke(cli, ["report", str(run)]).exit_code == 0
    assert "This report is stale" not in (run / "report.html").read_text(encoding="utf-8")
    verify_run(run)


def test_a_card_of_another_decision_is_noticed_and_one_that_somebody_wrote_is_theirs(run: Path) -> None:
    decide(run)
    card = (run / "README.md").read_text(encoding="utf-8")
    decide(run, "--lambda-c", "0.2")
    (run / "README.md").write_text(card, encoding="utf-8")
    with pytest.raises(RapError, match=r"README\.md: shows another decision"):
        verify_run(run)
    (run / "README.md").write_text("# mine", encoding="utf-8")
    verify_run(run)


def test_a_window_is_given_as_a_number(run: Path) -> None:
    decide(run, "--window", "20", "--heads", "mean")
    ace = config_of(read_run(run), run).ace
    assert (ace.window, ace.heads) == (20, "mean")


@pytest.mark.parametrize("option", ["model.id=another", "pool.limit=5", "pool.question=other"])
def test_what_was_sampled_cannot_be_decided_to_be_something_else(run: Path, option: str) -> None:
    before = (run / "run.json").read_bytes()
    with pytest.raises(RapError, match=r"its evidence is of .*`rap select`"):
        decide(run, "--set", option)
    assert (run / "run.json").read_bytes() == before
