"""Every parser under random input, a fixed number of tries; `make fuzz` does as many as wanted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fuzz import PARSERS, evidence, fuzz


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
def test_a_parser_reads_or_refuses_in_one_line(parser: Callable[..., None]) -> None:
    fuzz(parser, 60, 0)


def test_a_schema_with_a_byte_that_is_no_text_is_refused_in_one_line() -> None:
    evidence(0.07128918849082712, b" \x80", cut=False)
