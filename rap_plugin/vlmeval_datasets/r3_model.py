"""The model class `RapR3Model` of VLMEvalKit: a model that looks again, its answer without tags, its traces beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rap_plugin.errors import one_line
from rap_plugin.rollout import Prompt
from rap_plugin.samples.images import open_image
from rap_plugin.samples.sample import IMAGE, ImageProblem


def prompt_of(message: Sequence[dict[str, str]], dataset: str | None) -> Prompt:
    """VLMEvalKit's message as a prompt: images where they stand."""
    images, text = [], ""
    for part in message:
        if part["type"] == "image":
            images.append(open_image(Path(part["value"]).read_bytes()))
            text += IMAGE + "\n"
        else:
            text += part["value"].replace(IMAGE, "")
    # VLMEvalKit does not say which row it is: an image may have several questions.
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
    first = next((os.path.basename(part["value"])[:80] for part in message if part["type"] == "image"), "text")
    name = f"{dataset}/{first}/{digest}"
    return Prompt(name, "image" if images else "blind", text, tuple(images))


def r3_model_class() -> Any:
    """A model class for `--config`: the region loop on engine hf or vllm."""
    from vlmeval.vlm.base import BaseModel

    from rap_plugin.vlm_r3.answering import RegionAnswerer

    class RapR3Model(BaseModel):  # type: ignore[misc]
        """{"class": "RapR3Model", "pretrained": "ID", "engine": "vllm", "max_crops": 8, "traces": "traces.jsonl"}."""

        INTERLEAVE = True

        def __init__(self, pretrained: str, max_new_tokens: int = 8192, **arguments: Any) -> None:
            super().__init__()
            self._answerer = RegionAnswerer(pretrained, max_new_tokens=max_new_tokens, **arguments)

        def generate_inner(self, message: list[dict[str, str]], dataset: str | None = None) -> str:
            try:
                prompt = prompt_of(message, dataset)
            except (ImageProblem, OSError) as error:
                return f"Failed to obtain answer: an image cannot be read ({one_line(error)})"
            (trace,) = self._answerer.answer([prompt])
            if trace.ended in ("engine_error", "overlong"):
                return f"Failed to obtain answer: {trace.error}"
            return trace.answer

    return RapR3Model
