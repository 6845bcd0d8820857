"""Options that are marked one by one."""

from __future__ import annotations

import pytest

from rap_plugin.grading.reading.option_marks import MAX_CHARS, marked_option

SHAPES = {"A": "circle", "B": "square", "C": "star"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A: ❌\nB: ✅\nC: ❌", "B"),
        ("circle ✗, square ✓, star ✗", "B"),
        ("- circle: no\n- square: yes\n- star: no", "B"),
        ("A? No. B? Yes. C? No.", "B"),
        ("A: yes, B: yes, C: no", None),
        ("B: ✅", None),  # nothing stands against it
        ("A: ✅, A: ❌, B: ❌", None),
        ("A - a circle, B - a square", None),
        ("A: ❌\nB: ✅" + "." * MAX_CHARS, None),
    ],
)
def test_one_right_mark_among_wrong_ones_chooses(text: str, expected: str | None) -> None:
    found = marked_option(text, 5, SHAPES, "ABC")
    assert (found.value if found else None) == expected
    if found and found.span:
        assert text[found.span[0] - 5 : found.span[1] - 5]
