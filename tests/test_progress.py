"""Progress as people see it: a bar on a real terminal, plain lines in a pipe, nothing where it is not wanted."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

LONG_STEP = """
import time
from rap_plugin import progress

progress.PLAIN_SECONDS = 0.0
with progress.step("sample rollouts", 1200, "rollouts", quiet={quiet}) as advance:
    for _ in range(4):
        time.sleep(0.05)
        advance(300)
print("done")
"""


def in_a_pipe(quiet: bool) -> str:
    code = LONG_STEP.format(quiet=quiet)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n", "progress must not mix with what a program prints"
    return done.stderr


def test_a_terminal_gets_a_bar_with_count_rate_and_times(on_a_terminal: Callable[[str], str]) -> None:
    drawn = on_a_terminal(LONG_STEP.format(quiet=False))
    assert "\x1b[" in drawn, "a bar is drawn over itself"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    last = [line for line in re.split(r"[\r\n]+", plain) if "sample rollouts" in line][-1]
    assert re.search(r"1200/1200 rollouts [\d,]+/s 0:00:\d\d", last), last


def test_a_terminal_shows_a_line_below_the_bar(on_a_terminal: Callable[[str], str]) -> None:
    code = LONG_STEP.replace("quiet={quiet}", "below=lambda: 'of 12 samples done: 3 selected'")
    assert "of 12 samples done: 3 selected" in on_a_terminal(code)


def test_a_pipe_gets_whole_lines_with_rate_and_time_left() -> None:
    lines = in_a_pipe(quiet=False).splitlines()
    assert re.fullmatch(r"sample rollouts: 300/1,200 rollouts, [\d,.]+/s, [\d,]+ s left", lines[0])
    assert re.fullmatch(r"sample rollouts: 1,200/1,200 rollouts in [\d.]+ s", lines[-1])


def test_quiet_shows_nothing(on_a_terminal: Callable[[str], str]) -> None:
    assert in_a_pipe(quiet=True) == ""
    assert on_a_terminal(LONG_STEP.format(quiet=True)) == ""
