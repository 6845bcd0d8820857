"""Hangs, kills, memory, threads, forks: one item costs only itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rap_plugin.errors import RapError
from rap_plugin.grading import GradeItem, Grader, GradingOptions, open_grader
from rap_plugin.grading.workers import processes

# The behaviour is in the response: one file serves all tests.
BEHAVIOURS = """
import ctypes, os, sys, time

def grade(response, gold):
    with open(__file__ + ".pids", "a") as file:
        print(os.getpid(), file=file)
    print("noise on stdout")
    if response == "sleep":
        time.sleep(600)
    if response == "spin":
        while True:
            pass
    if response == "power":
        9 ** 9 ** 9 ** 9
    if response == "exit":
        os._exit(3)
    if response == "sys.exit":
        sys.exit(4)
    if response == "crash":
        ctypes.string_at(0)
    if response == "memory":
        bytearray(8 << 30)
    if response == "raise":
        raise KeyError("no such thing")
    if response == "recurse":
        return grade_again(response)
    if response == "read":
        return 1.0 if sys.stdin.read() == "" else 0.0
    if response == "victim" and not os.path.exists(__file__ + ".killed"):
        time.sleep(600)
    if response == "waits":
        time.sleep(0.6)
    if response == "nan":
        return float("nan")
    return float(response == gold)

def grade_again(response):
    return grade_again(response)
"""


@pytest.fixture
def behaviours(tmp_path: Path) -> Path:
    file = tmp_path / "behaviours.py"
    file.write_text(BEHAVIOURS)
    return file


def _open(file: Path, timeout_s: float = 1.0, workers: int = 2) -> Grader:
    return open_grader(f"{file}:grade", options=GradingOptions(timeout_s=timeout_s, workers=workers, memory_mb=512))


def _pids(file: Path) -> list[int]:
    return [int(line) for line in Path(f"{file}.pids").read_text().split()]


def test_what_hangs_dies_or_raises_costs_only_itself(behaviours: Path) -> None:
    hostile = ["sleep", "spin", "power", "exit", "sys.exit", "crash", "memory", "raise", "recurse", "nan"]
    # Every hostile item between two ordinary ones.
    items = [item for name in hostile for item in (GradeItem("a", "a"), GradeItem(name, "a"), GradeItem("b", "a"))]
    grader = _open(behaviours)
    grades = grader.grade(items)
    grader.close()
    assert [g.verdict for g in grades[0::3]] == ["right"] * len(hostile)
    assert [g.verdict for g in grades[2::3]] == ["wrong"] * len(hostile)
    verdicts = {name: grade.verdict for name, grade in zip(hostile, grades[1::3], strict=True)}
    assert verdicts == {name: "timeout" if name in ("sleep", "spin", "power") else "ungradable" for name in hostile}
    reasons = {name: grade.reason for name, grade in zip(hostile, grades[1::3], strict=True)}
    assert all(grade.reward is None for grade in grades[1::3])
    assert reasons["sleep"] == "no reward within 1 s"
    assert reasons["exit"] == "its worker died twice (exit status 3)"
    assert reasons["crash"] == f"its worker died twice (signal {signal.SIGSEGV.value})"
    assert reasons["memory"] == "more than 512 MB of memory"
    assert reasons["raise"].startswith("KeyError: 'no such thing' (behaviours.py:")
    assert reasons["recurse"] == "nested too deeply"
    assert "nan" in reasons["nan"]


def test_time_in_which_a_worker_stood_in_line_for_a_processor_does_not_count(
    behaviours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        processes, "stood_in_line", lambda pid: time.monotonic()
    )  # as if it had stood there all the time
    monkeypatch.setattr(processes, "_LOOKED_S", 0.0)
    monkeypatch.setattr(processes, "PATIENCE", 100)
    grader = _open(behaviours, timeout_s=0.2, workers=1)
    assert [g.verdict for g in grader.grade([GradeItem("waits", "waits")])] == ["right"]
    monkeypatch.setattr(processes, "PATIENCE", 2)
    assert [g.verdict for g in grader.grade([GradeItem("sleep", "a")])] == ["timeout"]
    grader.close()


@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="only Linux says how long a process stood in line"
)
def test_two_processes_on_one_processor_stand_in_line() -> None:
    here = str(min(os.sched_getaffinity(0)))
    spin = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    spinning = [subprocess.Popen([sys.executable, "-c", spin, here]) for _ in range(2)]
    try:
        until = time.monotonic() + 120
        while not all(processes.stood_in_line(process.pid) > 0.05 for process in spinning):
            assert time.monotonic() < until
            assert all(process.poll() is None for process in spinning)
            time.sleep(0.01)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert processes.stood_in_line(spinning[0].pid) == 0.0


def test_user_code_cannot_touch_the_protocol(behaviours: Path) -> None:
    grader = _open(behaviours)
    assert [g.verdict for g in grader.grade([GradeItem("read", "a"), GradeItem("a", "a")])] == ["right", "right"]
    grader.close()


def test_a_worker_killed_from_outside_is_replaced_and_its_items_are_graded(behaviours: Path) -> None:
    grader = _open(behaviours, timeout_s=300.0, workers=1)
    grader.grade([GradeItem("a", "a")])

    def kill_while_it_works() -> None:
        while len(_pids(behaviours)) < 5:
            time.sleep(0.01)
        Path(f"{behaviours}.killed").touch()
        os.kill(_pids(behaviours)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_while_it_works)
    killer.start()
    others = [GradeItem("a", "a")] * 3
    grades = grader.grade([*others, GradeItem("victim", "victim"), *others])
    killer.join()
    grader.close()
    assert [g.verdict for g in grades] == ["right"] * 7
    first, *_, last = pids = _pids(behaviours)
    assert pids == [first] * 5 + [last] * 4, "the item at hand is graded again, by another worker"


def test_a_worker_that_died_while_idle_is_replaced(behaviours: Path) -> None:
    grader = _open(behaviours, workers=1)
    grader.grade([GradeItem("a", "a")])
    os.kill(_pids(behaviours)[0], signal.SIGKILL)
    assert [g.verdict for g in grader.grade([GradeItem("a", "a")])] == ["right"]
    grader.close()


def test_close_stops_the_workers_and_grading_goes_on_with_new_ones(behaviours: Path) -> None:
    grader = _open(behaviours, workers=1)
    grader.grade([GradeItem("a", "a")])
    grader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(_pids(behaviours)[0], 0)
    assert [g.verdict for g in grader.grade([GradeItem("a", "a")])] == ["right"]
    grader.close()


def test_responses_larger_than_a_pipe_do_not_block(behaviours: Path) -> None:
    grader = _open(behaviours, timeout_s=30.0)
    texts = [character * 300_000 for character in "abcdefgh"]
    grades = grader.grade([GradeItem(text, text) for text in texts] + [GradeItem("\ud800é\n", "\ud800é\n")])
    grader.close()
    assert [g.verdict for g in grades] == ["right"] * 9


def test_an_interrupted_call_leaves_no_reply_behind_for_the_next_one(behaviours: Path) -> None:
    grader = _open(behaviours, timeout_s=60.0, workers=1)
    grader.grade([GradeItem("a", "a")])

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt_while_it_works() -> None:
        while len(_pids(behaviours)) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM)

    previous = signal.signal(signal.SIGALRM, interrupt)
    thread = threading.Thread(target=interrupt_while_it_works, daemon=True)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            grader.grade([GradeItem("sleep", "a"), GradeItem("a", "a")])
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert [g.verdict for g in grader.grade([GradeItem("b", "a"), GradeItem("a", "a")])] == ["wrong", "right"]
    grader.close()


MATHS = [
    GradeItem(r"\boxed{42.0}", "42"),
    GradeItem(r"\boxed{(x+1)^2}", "x^2+2x+1"),
    GradeItem(r"\boxed{2\sqrt{3}}", r"\sqrt{12}"),
    GradeItem(r"\boxed{2\sqrt{3}}", r"\sqrt{11}"),
    GradeItem(r"\boxed{[0,1)}", "(0,1)"),
    GradeItem(r"\boxed{x > 2}", r"(2,\infty)"),
    GradeItem(r"\boxed{x}", r"\frac{1}{"),
    GradeItem("no idea", "5"),
]
MATHS_VERDICTS = ["right", "right", "right", "wrong", "wrong", "right", "ungradable", "wrong"]


@pytest.fixture(scope="module")
def maths() -> Iterator[Grader]:
    grader = open_grader("math", options=GradingOptions(timeout_s=20.0))
    yield grader
    grader.close()


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_verdicts_are_the_same_from_any_number_of_threads(maths: Grader, threads: int) -> None:
    with ThreadPoolExecutor(threads) as executor:
        calls = [executor.submit(maths.grade, MATHS[shift:] + MATHS[:shift]) for shift in range(8)] * 2
        for shift, call in zip([*range(8), *range(8)], calls, strict=True):
            expected = MATHS_VERDICTS[shift:] + MATHS_VERDICTS[:shift]
            assert [g.verdict for g in call.result()] == expected


def test_a_real_hang_in_the_algebra_times_out_alone(maths: Grader) -> None:
    grader = open_grader("math", options=GradingOptions(timeout_s=1.5, workers=1))
    grades = grader.grade([MATHS[1], GradeItem(r"\boxed{9**9**9**9}", "5"), MATHS[2]])
    grader.close()
    assert [g.verdict for g in grades] == ["right", "timeout", "right"]
    assert grades[1].reason == "no verdict within 1.5 s"


def _grade_in_child(grader: Grader, connection: object) -> None:
    connection.send([g.verdict for g in grader.grade(MATHS)])  # type: ignore[attr-defined]
    grader.close()


def test_a_forked_child_starts_its_own_workers(maths: Grader) -> None:
    assert [g.verdict for g in maths.grade(MATHS)] == MATHS_VERDICTS
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_grade_in_child, args=(maths, there))
    child.start()
    assert here.poll(60)
    assert here.recv() == MATHS_VERDICTS
    child.join(30)
    assert [g.verdict for g in maths.grade(MATHS)] == MATHS_VERDICTS


def test_a_file_that_cannot_be_imported_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import no_such_module_anywhere\ndef grade(response, gold): return 1\n")
    with pytest.raises(RapError, match=r"broken\.py cannot be loaded: ModuleNotFoundError.*no_such_module_anywhere"):
        _open(file).grade([GradeItem("a", "a")])


def test_a_file_that_ends_the_process_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "ends.py"
    file.write_text("import os\nos._exit(7)\n")
    with pytest.raises(RapError, match=r"cannot start: it ended at once \(exit status 7\)"):
        _open(file).grade([GradeItem("a", "a")])
