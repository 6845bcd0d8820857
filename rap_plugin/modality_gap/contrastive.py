"""The contrastive loss L_ckl of the modality-gap work (arXiv 2510.22836): the text prompt teaches the image prompt.

A response y, sampled on one of the two prompts of a problem, is read twice with the weights of this moment: behind the
prompt that has the facts in words (l_t = log p(y | text), the teacher, no gradient) and behind the one that leaves them in
the image (l_v = log p(y | image), the student). Both are taken at the temperature of the rollout. Three forms per token:

    k3          k = clamp(exp(r) - r - 1, -10, 10) with r = clamp(l_t - l_v, -20, 20): what the released code computes
    forward_kl  sum over the vocabulary of p_t (log p_t - log p_v): the divergence itself
    nll         -l_v: the response as a demonstration

`k3` estimates KL(p_v || p_t) where the student samples. Where the teacher samples, as published, its expectation is
chi2(p_t, p_v) - KL(p_t || p_v), which is why the other two are there. The loss is the mean over the response tokens of those
samples whose score is exactly 1 and that have the other prompt; 0 where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from rap_plugin.errors import RapError

if TYPE_CHECKING:
    from torch import Tensor

Form = Literal["k3", "forward_kl", "nll"]
Sampler = Literal["teacher", "student"]
FORMS: tuple[Form, ...] = ("k3", "forward_kl", "nll")
SAMPLERS: tuple[Sampler, ...] = ("teacher", "student")

MAX_LOG_RATIO = 20.0
MAX_K3 = 10.0


@dataclass(frozen=True)
class ContrastiveLoss:
    """What is added to the policy loss: `coefficient` * L_ckl.

    `sampled_by="teacher"`: responses come from the text prompt, and the other prompt of a row is the image prompt (the paper).
    `sampled_by="student"`: responses come from the image prompt, and the other prompt is the text prompt.
    Raises RapError for a form or a sampler that there is not, and for a coefficient that is no positive number.
    """

    form: Form = "k3"
    coefficient: float = 0.01
    sampled_by: Sampler = "teacher"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise RapError(f"contrastive form {self.form!r}; there are {', '.join(FORMS)}")
        if self.sampled_by not in SAMPLERS:
            raise RapError(f"contrastive sampled_by {self.sampled_by!r}; there are {', '.join(SAMPLERS)}")
        if not 0 < self.coefficient < float("inf"):
            raise RapError(f"contrastive coefficient {self.coefficient}; give a number above 0")


def k3(teacher: Tensor, student: Tensor) -> Tensor:
    """Log-probabilities (batch, tokens) of the response -> the clamped k3 of every token; no gradient to `teacher`."""
    r = (teacher.detach() - student).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return (r.exp() - r - 1).clamp(-MAX_K3, MAX_K3)


def forward_kl(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """Logits (batch, tokens, vocabulary) -> KL(p_t || p_v) of every token, exact; no gradient to `teacher`."""
    log_t = (teacher.detach() / temperature).log_softmax(-1)
    log_v = (student / temperature).log_softmax(-1)
    # A token that the teacher never gives has log p_t = -inf and p_t = 0; its share is 0, not NaN.
    shares = log_t.exp() * (log_t - log_v)
    return shares.masked_fill(log_t == -float("inf"), 0.0).sum(-1)


def nll(student: Tensor) -> Tensor:
    """Log-probabilities (batch, tokens) of the response -> the negative log-likelihood of every token."""
    return -student


class Branches(Protocol):
    """A host's chosen responses, read behind either prompt of their rows: the sampled one, or the other one.

    `learns` asks for a gradient. Results are aligned token by token, whatever the lengths of the prompts.
    """

    def logps(self, *, other: bool, learns: bool) -> Tensor:
        """Log-probabilities of the responses (rows, tokens) at the rollout's temperature."""
        ...

    def logits(self, *, other: bool, learns: bool) -> Tensor:
        """Logits that gave the responses' tokens (rows, tokens, vocabulary), divided by the rollout's temperature."""
        ...


def token_losses(contrastive: ContrastiveLoss, branches: Branches) -> Tensor:
    """The loss of every response token (rows, tokens). A branch that the form does not need is not read."""
    teacher_is_other = contrastive.sampled_by == "student"
    if contrastive.form == "forward_kl":
        return forward_kl(
            branches.logits(other=teacher_is_other, learns=False),
            branches.logits(other=not teacher_is_other, learns=True),
        )
    student = branches.logps(other=not teacher_is_other, learns=True)
    if contrastive.form == "nll":
        return nll(student)
    return k3(branches.logps(other=teacher_is_other, learns=False), student)


def chosen_rows(scores: Tensor, has_other_prompt: Tensor) -> Tensor:
    """Scores (batch) and whether a row has the other prompt (batch) -> the rows that the loss is taken over (batch, bool).

    Exactly 1 means right and well formatted. A score that is not a number (nobody could judge) is not 1.
    """
    return (scores == 1) & has_other_prompt.bool()


def token_mean(losses: Tensor, mask: Tensor, total: Tensor | float | None = None) -> Tensor:
    """Token losses of the chosen rows and their response mask, both (rows, tokens) -> their sum over `total`.

    `total` is the number of response tokens of all chosen rows that make one optimiser step, so that the sum over its parts
    is the mean over the whole, however it is split; by default the tokens of these rows. 0 where there are none.
    """
    kept = losses.masked_fill(mask == 0, 0.0).sum()
    tokens = mask.sum() if total is None else total
    return kept / max(float(tokens), 1.0)
