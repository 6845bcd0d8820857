"""One finished run that most report tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from rap_plugin.report import write_report
from tests.fabricate import Fabricated, fabricate
from tests.report.browser import started

HOSTILE = "</blockquote></style><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabricated]:
    """A run over 240 samples, all verdicts of preset paper, three broken rows, hostile responses; with its report."""
    made = fabricate(tmp_path_factory.mktemp("report"), 240, broken=3, text=HOSTILE)
    with closing(made.store):
        write_report(made.run, made.selection, made.pool, made.store)
        yield made


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One browser for all pages; it is closed behind this folder, as its event loop would be in the way of others."""
    with started() as found:
        yield found


@pytest.fixture(scope="session")
def page(made: Fabricated) -> str:
    """Its report.html."""
    return (made.run / "report.html").read_text(encoding="utf-8")
