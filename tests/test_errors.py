"""Any exception in one line that a terminal can show."""

from __future__ import annotations

import pytest

from rap_plugin.errors import one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("the file ended in the middle of a row\nTraceback: ..."), "the file ended in the middle of a row"),
        (KeyError("x"), "KeyError: 'x'"),
        (MemoryError(), "MemoryError"),
        (ValueError("\n\n  the reason stands in the third line  \n"), "the reason stands in the third line"),
        (ValueError("a message with \x1b[31mcolour codes"), "a message with ?[31mcolour codes"),
        ("text that somebody else made", "text that somebody else made"),
        (ValueError("\N{RIGHT-TO-LEFT OVERRIDE}" + "reversed text " * 3), "?" + ("reversed text " * 3).strip()),
    ],
)
def test_an_exception_becomes_its_first_line_with_its_kind_where_that_says_little(
    error: BaseException | str, line: str
) -> None:
    assert one_line(error) == line


def test_a_line_is_never_longer_than_asked_for() -> None:
    assert len(one_line(ValueError("x" * 10_000_000), 100)) == 100
