"""Progress of long steps: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_SECONDS = 10.0
"""On anything but a terminal, one line at most this often."""

Advance = Callable[[int], None]


@contextmanager
def step(name: str, total: int, unit: str, *, quiet: bool = False) -> Iterator[Advance]:
    """Shows one long step; the yielded function takes how many units are newly done."""
    if quiet or total == 0:
        yield lambda done: None
    elif sys.stderr.isatty():
        with _bar(name, total, unit) as advance:
            yield advance
    else:
        with _lines(name, total, unit) as advance:
            yield advance


@contextmanager
def _bar(name: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit + " {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total, rate="")
        started, count = time.monotonic(), 0

        def advance(done: int) -> None:
            nonlocal count
            count += done
            rate = count / max(time.monotonic() - started, 1e-9)
            progress.update(task, advance=done, rate=f"{rate:,.0f}/s")

        yield advance


@contextmanager
def _lines(name: str, total: int, unit: str) -> Iterator[Advance]:
    started = last = time.monotonic()
    count = 0

    def advance(done: int) -> None:
        nonlocal count, last
        count += done
        now = time.monotonic()
        if now - last < PLAIN_SECONDS:
            return
        last = now
        rate = count / max(now - started, 1e-9)
        left = (total - count) / rate if rate else float("inf")
        print(f"{name}: {count:,}/{total:,} {unit}, {rate:,.1f}/s, {left:,.0f} s left", file=sys.stderr, flush=True)

    yield advance
    seconds = time.monotonic() - started
    print(f"{name}: {count:,}/{total:,} {unit} in {seconds:,.1f} s", file=sys.stderr, flush=True)
