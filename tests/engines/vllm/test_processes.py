"""Calls to a process that answers, that dies, and that never answers."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

import pytest

from rap_plugin.engines.vllm.processes import EngineProcesses, ProcessesGone

NEVER = threading.Event()


@pytest.fixture
def process() -> Iterator[BaseProcess]:
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    child.start()
    yield child
    child.kill()
    child.join()


def test_what_a_call_returns_and_raises_comes_through(process: BaseProcess) -> None:
    def fails() -> None:
        raise ValueError("this one")

    processes = EngineProcesses([process])
    assert processes.call(lambda: 7, 60.0) == 7
    with pytest.raises(ValueError, match="this one"):
        processes.call(fails, 60.0)


def test_a_call_ends_when_the_process_that_it_waits_for_is_killed(process: BaseProcess) -> None:
    threading.Timer(0.1, process.kill).start()
    with pytest.raises(ProcessesGone, match="its process has ended"):
        EngineProcesses([process]).call(NEVER.wait, 600.0)


def test_a_process_that_gives_no_answer_in_time_is_ended(process: BaseProcess) -> None:
    with pytest.raises(ProcessesGone, match=r"no answer of its process for 0\.2 s"):
        EngineProcesses([process]).call(NEVER.wait, 0.2)
    process.join(60)
    assert process.exitcode is not None


def test_a_model_in_this_process_is_called_in_this_thread() -> None:
    assert EngineProcesses([]).call(threading.get_ident, 60.0) == threading.get_ident()
