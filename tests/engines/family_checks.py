"""Does engine hf sample and measure a family as Transformers itself does? One row of the table in docs/engines.md."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rap_plugin.config import ModelConfig
from rap_plugin.engines import ace
from rap_plugin.engines.hf import chat
from rap_plugin.engines.hf.draws import draw_tokens, uniform_draws
from rap_plugin.engines.hf.engine import HFEngine, open_hf
from rap_plugin.engines.hf.loading import MAKES_IMAGES_TOO
from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt, Request, Response, Sampling, rollout_seed

from . import reference

COLUMNS = ("family", "sampled like `generate`", "way", "log psi against eager", "attention of")
TOKENS = 14
SAMPLING = Sampling(max_new_tokens=TOKENS, seed=3)


@dataclass(frozen=True)
class FamilyResult:
    """What was found of one family, in the words of the table."""

    family: str
    sampled: str
    """"yes", or the first difference or refusal."""
    way: str = ""
    deviation: float | None = None
    """Largest relative difference of a statistic; None where nothing was measured."""
    attention: str = ""
    """Whose attention was measured, or why none was."""
    blind: str = ""
    """Why a prompt without images cannot be sampled, empty where it can."""

    def row(self) -> str:
        """A row of the table."""
        sampled = f"{self.sampled}; without images: {self.blind}" if self.blind else self.sampled
        deviation = "" if self.deviation is None else "below 1e-6" if self.deviation < 1e-6 else f"{self.deviation:.0e}"
        return "| " + " | ".join((f"`{self.family}`", sampled, self.way, deviation, self.attention)) + " |"


def check_family(family: str, folder: Path) -> FamilyResult:
    """Samples three prompts of different lengths together, and compares with Transformers, one rollout at a time."""
    try:
        engine = open_hf(ModelConfig(id=str(folder), device="cpu"))
    except RapError as error:
        return FamilyResult(family, f"no: {str(error).replace(str(folder), 'the model')}")
    requests = [Request(prompt, (0, 1)) for prompt in prompts()]
    try:
        return _compare(family, engine, requests)
    finally:
        engine.close()


def prompts() -> list[Prompt]:
    """An image before the text, one within it, and no image."""
    return [
        Prompt("a" * 32, "image", "<image>What is it?", (_picture(60, 40),)),
        Prompt("b" * 32, "image", "Look at <image> now: how many?", (_picture(40, 70),)),
        Prompt("c" * 32, "blind", "How many digits are there?"),
    ]


def _compare(family: str, engine: HFEngine, requests: list[Request]) -> FamilyResult:
    pairs = engine.generate_with_attention(requests, SAMPLING)
    model = engine._model()
    way = "its own `generate`" if model.own_generate else "prompts together" if model.pads else "each prompt alone"
    blind = pairs[2][0][0].error
    judge = Judge(engine)
    worst, reasons = None, []
    for request, row in zip(requests, pairs, strict=True):
        for response, attention in row:
            if response.status != "ok":
                if request.prompt.arm == "image":
                    return FamilyResult(family, f"no: {response.error}", way)
                continue
            wanted = judge.draws(request.prompt, response)
            if wanted != response.token_ids:
                return FamilyResult(family, f"NO: {response.token_ids} is not {wanted}", way)
            if attention.error:
                reasons.append(attention.error)
            else:
                found = judge.deviation(request.prompt, response, attention.statistics)
                worst = max(worst or 0.0, found)
    layer = "; ".join(sorted(set(reasons))) or _layer(model)
    return FamilyResult(family, "yes", way, worst, layer, blind)


def _layer(model) -> str:
    module = model.last_layer.module
    count = model.network.config.get_text_config().num_hidden_layers
    kind = " (sliding window)" if getattr(module, "sliding_window", None) else ""
    if module.layer_idx == count - 1:
        return f"last layer{kind}"
    return f"layer {module.layer_idx + 1} of {count}, the last with a softmax{kind}"


class Judge:
    """Transformers' own `generate`, with eager attention, one response at a time."""

    def __init__(self, engine: HFEngine) -> None:
        import transformers

        self._processor, self._ends = engine.processor, engine._model().end_ids
        auto = transformers.AutoModelForImageTextToText
        self._network = auto.from_pretrained(engine._folder, attn_implementation="eager").eval()

    def draws(self, prompt: Prompt, response: Response) -> tuple[int, ...]:
        """The tokens that the same uniforms draw from the logits of `generate`."""
        import torch

        seed = rollout_seed(SAMPLING.seed, prompt.sample_id, prompt.arm, response.rollout)
        uniforms = torch.from_numpy(uniform_draws(seed, TOKENS))
        tokens: list[int] = []

        def draw(step: int, logits):
            tokens.append(draw_tokens(logits, uniforms[step : step + 1], 1.0, 1.0).item())
            return tokens[-1]

        self._generate(prompt, draw, TOKENS)
        return tuple(tokens)

    def deviation(self, prompt: Prompt, response: Response, found) -> float:
        """The largest relative difference to the statistics of the eager maps, written down literally."""
        ids = response.token_ids
        rows = self._generate(prompt, lambda step, _: ids[step] if step < len(ids) else 0, len(ids) + 1, maps=True)
        first = response.prompt_tokens
        attention = np.zeros((len(rows[0]), first + len(ids), first + len(ids)))
        for at, row in enumerate(rows):
            seen = row.shape[-1]  # a sliding window shows the last keys only
            attention[:, first + at, first + at + 1 - seen : first + at + 1] = row
        start, stop = ace.usable_span(ids, self._ends)
        wanted = reference.statistics(attention, first + start, first + stop)
        pairs = [(found[name], wanted[name]) for name in wanted if wanted[name] is not None]
        return max((abs(one - other) / max(1.0, abs(other)) for one, other in pairs), default=0.0)

    def _generate(self, prompt: Prompt, choose, tokens: int, maps: bool = False):
        """Runs `generate`; with `maps` returns the last layer's (H, keys) attention of every response token."""
        import torch
        from transformers import GenerationMixin, LogitsProcessor

        class Choose(LogitsProcessor):
            step = 0

            def __call__(self, input_ids, scores):
                token = choose(self.step, scores)
                self.step += 1
                return torch.full_like(scores, -torch.inf).index_fill_(1, torch.tensor([token]), 0.0)

        inputs = self._processor.apply_chat_template(
            chat.chat_messages(prompt), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        inputs.pop("labels", None)
        for name, value in inputs.items():
            if torch.is_tensor(value) and value.is_floating_point():
                inputs[name] = value.float()
        # Forced tokens go on behind an end token, so that its row is there; drawn ones stop at it.
        ends = {"eos_token_id": None} if maps else {}
        generate = self._network.generate
        if type(self._network).__name__ in MAKES_IMAGES_TOO:  # whose own hands no logits processors on
            generate = partial(GenerationMixin.generate, self._network)
        with torch.inference_mode():
            out = generate(
                **inputs, do_sample=False, max_new_tokens=tokens, logits_processor=[Choose()], output_attentions=maps,
                return_dict_in_generate=True, **ends,
            )  # fmt: skip
        return [step[-1][0, :, -1].double().numpy() for step in out.attentions[1:]] if maps else None


def _picture(width: int, height: int):
    from PIL import Image

    values = np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)
