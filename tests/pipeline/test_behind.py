"""Work behind: in order and in groups, nothing lost, and an error reaches whoever hands over more."""

from __future__ import annotations

import threading

import pytest

from rap_plugin.pipeline.behind import GROUP, MOST_WAITING, Behind


def test_tasks_that_wait_are_handled_together_in_order_and_all_of_them_at_the_end() -> None:
    go, groups = threading.Event(), []

    def handle(tasks: list[int]) -> None:
        go.wait(300)
        groups.append(tasks)

    with Behind(handle, "test", finish=True) as behind:
        for number in range(200):
            behind.put(number)
        go.set()
    assert [number for group in groups for number in group] == list(range(200))
    assert max(map(len, groups)) == GROUP


@pytest.mark.parametrize("finish", [True, False])
def test_leaving_with_an_error_finishes_only_what_must_not_be_lost(finish: bool) -> None:
    go, handled = threading.Event(), []

    def handle(tasks: list[int]) -> None:
        go.wait(300)
        handled.extend(tasks)

    def go_when_closed(behind: Behind[int]) -> None:
        with behind._changed:
            behind._changed.wait_for(lambda: behind._closed)
        go.set()

    def leave() -> None:
        with Behind(handle, "test", finish=finish) as behind:
            for number in range(3 * GROUP):
                behind.put(number)
            threading.Thread(target=go_when_closed, args=(behind,)).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert len(handled) == 3 * GROUP if finish else len(handled) <= GROUP


def test_what_the_thread_raises_is_raised_to_the_one_who_hands_over_and_at_the_end() -> None:
    def handle(tasks: list[int]) -> None:
        raise OSError("disk full")

    def hand_over(count: int) -> None:
        with Behind(handle, "test", finish=True) as behind:
            for number in range(count):
                behind.put(number)

    for count in (1, MOST_WAITING + GROUP + 1):
        with pytest.raises(OSError, match="disk full"):
            hand_over(count)
