"""Shaded responses: every character once, darker where more attention sits, the marked token alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.evidence.variants import Variant
from rap_plugin.report.shades import LEVELS, TEXT, flagging_share, shaded
from rap_plugin.rollout import TokenAttention

WINDOW = Variant("window", "max", 10)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.text(max_size=4), st.floats(0, 1) | st.just(math.nan)), min_size=1, max_size=30), st.data()
)
def test_the_pieces_are_the_response(tokens: list[tuple[str, float]], data: st.DataObject) -> None:
    text = "".join(part for part, _ in tokens)
    ends = [sum(len(part) for part, _ in tokens[: at + 1]) for at in range(len(tokens))]
    hot = data.draw(st.integers(0, len(tokens) - 1))
    found = shaded(text, TokenAttention(tuple(share for _, share in tokens), hot, tuple(ends)), 0.4)
    assert len("".join(piece.text for piece in found.pieces)) == len(text)
    assert sum(piece.hot for piece in found.pieces) == bool(tokens[hot][0])
    assert all(0 <= piece.level <= LEVELS for piece in found.pieces)


def test_the_darkest_shade_is_what_ace_flags() -> None:
    limit = flagging_share(WINDOW, 0.1)
    assert (2 * limit) ** 10 == pytest.approx(0.1)
    seen = TokenAttention((math.nan, limit * 0.99, limit * 1.01, 0.0), 2, (1, 2, 3, 4))
    assert [piece.level for piece in shaded("abcd", seen, limit).pieces] == [0, LEVELS - 1, LEVELS, 0]


@pytest.mark.parametrize("lambda_a", [0.0, math.inf, math.nan])
def test_a_threshold_that_flags_all_or_nothing_has_shades_too(lambda_a: float) -> None:
    assert flagging_share(WINDOW, lambda_a) == 0.5


def test_a_long_response_is_shown_around_its_marked_token() -> None:
    text = "x" * 5000
    seen = TokenAttention((0.0,) * 5000, 3000, tuple(range(1, 5001)))
    found = shaded(text, seen, 0.4)
    shown = "".join(piece.text for piece in found.pieces)
    assert len(shown) <= TEXT + 4
    assert shown[0] == shown[-1] == "…"
    assert any(piece.hot for piece in found.pieces)


def test_a_response_that_is_shorter_than_its_tokens_say_is_cut_nowhere_else() -> None:
    found = shaded("ab", TokenAttention((0.1, 0.4, 0.4), 2, (1, 5, 9)), 0.4)
    assert "".join(piece.text for piece in found.pieces) == "ab"
