"""The contrastive loss against a reference in plain numbers, its edges, and the rows that it is taken over."""

from __future__ import annotations

import math

import pytest
import torch

from rap_plugin.errors import RapError
from rap_plugin.modality_gap.contrastive import FORMS, ContrastiveLoss, chosen_rows, forward_kl, k3, nll, token_mean

BATCH, TOKENS, WORDS = 4, 6, 11
TEMPERATURE = 0.8


def toy(seed: int, wide: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of a teacher and a student that both have gradients, the sampled words, and a response mask."""
    make = torch.Generator().manual_seed(seed)
    teacher, student = (
        (wide * torch.randn(BATCH, TOKENS, WORDS, generator=make, dtype=torch.float64)).requires_grad_() for _ in "ts"
    )
    words = torch.randint(WORDS, (BATCH, TOKENS), generator=make)
    lengths = torch.tensor([TOKENS, 2, 4, 1])
    mask = (torch.arange(TOKENS) < lengths[:, None]).long()
    return teacher, student, words, mask


def log_softmax(row: list[float]) -> list[float]:
    top = max(row)
    total = math.log(sum(math.exp(one - top) for one in row)) + top
    return [one - total for one in row]


def reference(form: str, teacher: list, student: list, words: list, mask: list, rows: list[int]) -> float:
    """The loss with loops and floats, from its definition."""
    total, count = 0.0, 0
    for row in rows:
        for at in range(TOKENS):
            if not mask[row][at]:
                continue
            log_t = log_softmax([one / TEMPERATURE for one in teacher[row][at]])
            log_v = log_softmax([one / TEMPERATURE for one in student[row][at]])
            word = words[row][at]
            if form == "k3":
                r = min(max(log_t[word] - log_v[word], -20.0), 20.0)
                total += min(max(math.exp(r) - r - 1, -10.0), 10.0)
            elif form == "forward_kl":
                total += sum(math.exp(t) * (t - v) for t, v in zip(log_t, log_v, strict=True))
            else:
                total += -log_v[word]
            count += 1
    return total / count if count else 0.0


def ours(form: str, teacher: torch.Tensor, student: torch.Tensor, words: torch.Tensor, mask: torch.Tensor, rows: list):
    if form == "forward_kl":
        losses = forward_kl(teacher, student, TEMPERATURE)
    else:
        of_words = [
            (one / TEMPERATURE).log_softmax(-1).gather(-1, words[..., None])[..., 0] for one in (teacher, student)
        ]
        losses = k3(*of_words) if form == "k3" else nll(of_words[1])
    return token_mean(losses[rows], mask[rows])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wide", [1.0, 12.0], ids=["near", "far apart, where the clamps act"])
def test_the_loss_and_its_gradient_are_those_of_the_definition(form: str, wide: float) -> None:
    rows = [0, 2, 3]
    for seed in range(3):
        teacher, student, words, mask = toy(seed, wide)
        loss = ours(form, teacher, student, words, mask, rows)
        plain = [one.tolist() for one in (teacher, student, words, mask)]
        assert loss.item() == pytest.approx(reference(form, *plain, rows), abs=1e-9)
        loss.backward()
        assert student.grad is not None
        assert teacher.grad is None or not teacher.grad.any(), "the teacher must not learn"
        step = 1e-6
        for at in [(0, 0, 3), (0, 5, 1), (2, 3, 7), (3, 0, 0), (1, 0, 2), (3, 4, 4)]:
            ends = []
            for sign in (1, -1):
                moved = student.detach().clone()
                moved[at] += sign * step
                ends.append(reference(form, plain[0], moved.tolist(), plain[2], plain[3], rows))
            assert student.grad[at].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


def test_k3_is_clamped_where_the_branches_are_far_apart() -> None:
    teacher = torch.tensor([[0.0, 0.0, -50.0]], dtype=torch.float64)
    student = torch.tensor([[-50.0, 0.0, 0.0]], dtype=torch.float64)
    assert k3(teacher, student).tolist() == [[10.0, 0.0, 10.0]]


def test_a_word_that_the_teacher_never_says_costs_nothing() -> None:
    teacher = torch.tensor([[[0.0, -math.inf]]], dtype=torch.float64)
    student = torch.tensor([[[0.0, 0.0]]], dtype=torch.float64)
    assert forward_kl(teacher, student).item() == pytest.approx(math.log(2))


def test_only_rows_that_score_exactly_one_and_have_the_other_prompt_count() -> None:
    scores = torch.tensor([1.0, 0.9, 1.0, math.nan, 1.0 - 1e-6, 0.9 + 0.1])
    there = torch.tensor([True, True, False, True, True, True])
    assert chosen_rows(scores, there).tolist() == [True, False, False, False, False, True]


def test_no_row_is_zero_and_no_gradient() -> None:
    _, student, _, mask = toy(0)
    none = torch.zeros(0, dtype=torch.long)
    loss = token_mean(nll(student.sum(-1))[none], mask[none])
    assert loss.item() == 0.0


def test_parts_add_up_to_the_mean_over_the_whole() -> None:
    teacher, student, words, mask = toy(5)
    whole = ours("k3", teacher, student, words, mask, [0, 1, 2, 3])
    parts = sum(ours("k3", teacher, student, words, mask, [row]) * mask[row].sum() / mask.sum() for row in range(BATCH))
    assert whole.item() == pytest.approx(float(parts.detach()), abs=1e-12)


def test_what_is_padding_never_counts_not_even_as_nan() -> None:
    losses = torch.tensor([[1.0, math.nan], [3.0, 5.0]])
    assert token_mean(losses, torch.tensor([[1, 0], [1, 1]])).item() == pytest.approx(3.0)


@pytest.mark.parametrize("wrong", [{"form": "k4"}, {"sampled_by": "nobody"}, {"coefficient": 0.0}])
def test_a_wrong_option_is_one_line(wrong: dict) -> None:
    with pytest.raises(RapError) as raised:
        ContrastiveLoss(**wrong)
    assert "\n" not in str(raised.value)
