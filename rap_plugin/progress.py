"""Progress of long steps: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_SECONDS = 10.0
"""On anything but a terminal, one line at most this often."""

Advance = Callable[[int], None]


Line = Callable[[], str]


def draws_bars() -> bool:
    """Whether progress is a bar here: standard error is a terminal."""
    return sys.stderr.isatty()


@contextmanager
def step(name: str, total: int, unit: str, *, quiet: bool = False, below: Line = str) -> Iterator[Advance]:
    """Shows one long step; the yielded function takes how many units are newly done.

    `below` gives a line that stands under the bar, again whenever the bar is drawn; it must be quick. Only bars have it.
    """
    if quiet or total == 0:
        yield lambda done: None
    elif draws_bars():
        with _bar(name, total, unit, below) as advance:
            yield advance
    else:
        with _lines(name, total, unit) as advance:
            yield advance


@contextmanager
def _bar(name: str, total: int, unit: str, below: Line) -> Iterator[Advance]:
    from rich.console import Console, RenderableType
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Bar(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            if line := below():
                yield Text(line, style="dim")

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<15}"),
        BarColumn(bar_width=max(8, min(30, console.width - 62))),
        MofNCompleteColumn(),
        TextColumn(unit + " {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Bar(*columns, console=console) as progress:
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
