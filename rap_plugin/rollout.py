"""The words that evidence, engines and executors share: what is asked of a model, and what it gave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from PIL.Image import Image

Arm = Literal["image", "blind", "facts"]
"""With the images; without them (the counterfactual); with the images and what they show in words (the modality gap)."""

ARMS: tuple[Arm, ...] = ("image", "blind")
"""The two arms of RAP, which every run has; `facts` is only sampled where a selection reads it."""


Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model answered, and how it was run: part of every evidence key, an empty text where it is not known."""

    name: str
    """The id or folder that the user gave."""
    revision: str
    """`weights_hash` shortened where files are local, the commit where they come from a hub, or what a server says."""
    weights_hash: str = ""
    """SHA-256 over the names and bytes of the weight files; empty where the engine cannot see them."""
    parameters: int = 0
    processor_hash: str = ""
    """Over the files that turn a prompt into tokens and pixels: chat template, tokeniser, image processor."""
    dtype: str = ""
    """The number format of the weights in use: float32, bfloat16 or float16, never auto."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How responses are drawn. Every field is part of the evidence key except the row counts."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_prompt_tokens: int = 2048
    max_new_tokens: int = 2048
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One arm of one sample, ready for a chat template.

    `text` holds one `<image>` placeholder per entry of `images`, in order; in the blind arm with the
    images dropped there are none. `system` is the system message, empty for the template's own.
    """

    sample_id: str
    arm: Arm
    text: str
    images: tuple[Image, ...] = field(default=(), repr=False)
    system: str = ""
    template_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Arguments of the chat template."""


@dataclass(frozen=True, slots=True)
class Request:
    """Rollouts wanted of one prompt: `rollouts` are their indices (0 .. M-1), each with a seed of its own."""

    prompt: Prompt
    rollouts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Response:
    """One sampled response. With status other than `ok` there is no text and `error` says why."""

    rollout: int
    text: str = ""
    token_ids: tuple[int, ...] = ()
    """The sampled tokens, including the one that ended the response."""
    finish: Finish = "stop"
    prompt_tokens: int = 0
    status: Literal["ok", "overlong", "engine_error"] = "ok"
    error: str = ""
    reward: float | None = None
    """What the engine's own side says of the response (a training run's reward); grader `engine` reads it."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What one response's last-layer attention says: statistics by column name of `evidence.variants`.

    A value is None where it is not defined (fewer than two usable rows): not measured, never a pass.
    """

    statistics: Mapping[str, float | None]
    error: str = ""


@dataclass(frozen=True, slots=True)
class TokenAttention:
    """Where one response's last-layer attention sits, under one variant of ACE. L entries, one for every sampled token."""

    shares: tuple[float, ...]
    """Mean share of the attention that a token holds over its best rows, in [0, 1]; NaN for a token that ACE does not look at."""
    hot: int
    """The token that psi is of."""
    ends: tuple[int, ...]
    """Characters of the response's text up to and with each token."""


def rollout_seed(seed: int, sample_id: str, arm: Arm, rollout: int) -> int:
    """The 63-bit seed of one rollout: a hash, so no two rollouts share draws and order does not matter."""
    text = f"{seed}/{sample_id}/{arm}/{rollout}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
