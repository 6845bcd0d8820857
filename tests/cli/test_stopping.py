"""A termination signal ends a command as Ctrl-C does: one line that says how to go on, and the status that shells expect."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

ENDS = """
import os, signal, sys
from rap_plugin.cli import cli, main

@cli.command("ends")
def ends():
    os.kill(os.getpid(), int(sys.argv[1]))
    raise AssertionError("the signal came too late")

# As at a terminal: who starts the tests in the background hands down that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
main(["ends"])
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_is_one_line_and_its_status(number: int, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", ENDS, str(int(number))], capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.strip() == "rap: stopped; finished batches are stored, the same command goes on from there"
