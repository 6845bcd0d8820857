"""A termination signal ends a command as Ctrl-C does: one line that says how to go on, and the status that shells expect."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import click
import pytest

from rap_plugin.cli import cli, main


@pytest.fixture
def ends_by() -> Iterator[dict[str, int]]:
    """A command `ends`, which is sent the signal that is asked for."""
    asked: dict[str, int] = {}

    @cli.command("ends")
    def ends() -> None:
        os.kill(os.getpid(), asked["signal"])
        raise AssertionError("the signal came too late")

    before = signal.getsignal(signal.SIGTERM)
    yield asked
    signal.signal(signal.SIGTERM, before)
    del cli.commands["ends"]
    assert isinstance(ends, click.Command)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_one_line_and_its_status(
    number: int, status: int, ends_by: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    ends_by["signal"] = number
    with pytest.raises(SystemExit) as ended:
        main(["ends"])
    assert ended.value.code == status
    assert capsys.readouterr().err.strip() == (
        "rap: stopped; finished batches are stored, the same command goes on from there"
    )
