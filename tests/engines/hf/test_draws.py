"""Inverse transform sampling: which token a uniform gives."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from rap_plugin.engines.hf.draws import draw_tokens, uniform_draws  # noqa: E402


def draw(probabilities, uniforms, temperature=1.0, top_p=1.0):
    logits = torch.tensor(probabilities).log().expand(len(uniforms), -1)
    return draw_tokens(logits, torch.tensor(uniforms, dtype=torch.float64), temperature, top_p).tolist()


def test_a_token_owns_its_share_of_the_unit_interval():
    assert draw([0.5, 0.25, 0.25], [0.0, 0.49, 0.51, 0.74, 0.76, 0.999999]) == [0, 0, 1, 1, 2, 2]


def test_a_token_of_probability_zero_is_never_drawn():
    last = 1 - 2**-53
    assert draw([0.0, 0.5, 0.0, 0.5, 0.0], [0.0, 0.499999, 0.500001, last]) == [1, 1, 3, 3]


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    # 0.5 + 0.3 = 0.8 reaches 0.7; the kept two share the unit interval as 5 : 3.
    assert draw([0.2, 0.5, 0.3], [0.0, 0.62, 0.63, 0.999], top_p=0.7) == [1, 1, 2, 2]
    assert draw([0.2, 0.5, 0.3], [0.0, 0.999], top_p=0.5) == [1, 1]
    assert draw([0.2, 0.5, 0.3], [0.0, 0.999], top_p=1e-9) == [1, 1]


def test_temperature_sharpens():
    # Squares of 1 : 3 are 1 : 9.
    assert draw([0.25, 0.75], [0.0999, 0.1001], temperature=0.5) == [0, 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_numbers_draw_nothing(bad):
    logits = torch.zeros(2, 4)
    logits[1, 2] = bad
    assert draw_tokens(logits, torch.zeros(2, dtype=torch.float64), 1.0, 1.0).tolist() == [0, -1]


def test_draws_follow_the_distribution():
    wanted = torch.tensor([0.05, 0.6, 0.0, 0.25, 0.1])
    uniforms = torch.from_numpy(uniform_draws(7, 20000))
    tokens = draw_tokens(wanted.log().expand(20000, -1), uniforms, 1.0, 1.0)
    found = torch.bincount(tokens, minlength=5) / 20000
    assert (found - wanted).abs().max() < 0.012  # about 3.5 standard deviations
    assert found[2] == 0


def test_uniforms_depend_on_the_seed_alone():
    assert (uniform_draws(3, 5) == uniform_draws(3, 50)[:5]).all()
    assert (uniform_draws(3, 5) != uniform_draws(4, 5)).all()
    assert (uniform_draws(2**63 - 1, 5) < 1).all()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=9),
    st.floats(0, 1, exclude_max=True),
    st.floats(0.05, 3),
    st.floats(0.01, 1),
)
def test_a_row_draws_the_same_whatever_stands_beside_it(logits, uniform, temperature, top_p):
    row = torch.tensor([logits])
    u = torch.tensor([uniform], dtype=torch.float64)
    [alone] = draw_tokens(row, u, temperature, top_p).tolist()
    beside = draw_tokens(torch.cat((-row, row)), torch.cat((1 - u, u)), temperature, top_p).tolist()
    assert beside[1] == alone
    assert 0 <= alone < len(logits)
