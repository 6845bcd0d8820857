"""OpenRLHF's rollout actor with a tiny InternVL, on the CPU, outside Ray: prints as JSON what it and Hugging Face read.

python -m tests.openrlhf_hooks.internvl_scenario FOLDER_OF_THE_MODEL
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

# The actor asks Ray for its address where none is given; nothing here uses it.
os.environ.setdefault("RAY_ADDRESS", "none")


def main() -> None:
    folder = sys.argv[1]
    print(json.dumps(asyncio.run(scenario(folder))), flush=True)
    os._exit(0)  # vLLM's engine process goes with this one


async def scenario(folder):
    from openrlhf.datasets.prompts_dataset import preprocess_data
    from openrlhf.utils.utils import get_tokenizer
    from openrlhf.utils.vlm_utils import process_prompt_with_images
    from PIL import Image
    from vllm import SamplingParams

    from rap_plugin.engines.ace import usable_span
    from rap_plugin.openrlhf_hooks.actors import MeasuringRolloutActor

    processor = get_tokenizer(folder, None, "left", None)
    row = {"prompt": [{"role": "user", "content": "<image><image>What are they?"}], "label": "3"}
    prompt, _ = preprocess_data(row, None, "prompt", "label", processor.apply_chat_template)
    images = [Image.linear_gradient("L").resize(size).convert("RGB") for size in ((80, 40), (30, 30))]
    actor = MeasuringRolloutActor.__new__(MeasuringRolloutActor)
    await actor.__init__(
        model=folder,
        num_gpus=1,
        full_determinism=False,
        enforce_eager=True,
        distributed_executor_backend="uni",
        max_model_len=512,
        dtype="float32",
        gpu_memory_utilization=0.3,
        mm_pad_token_ids={processor.image_token_id},
        limit_mm_per_prompt={"image": 2},
    )
    end = processor.tokenizer.eos_token_id
    reason = await actor.rap_begin(processor, [end], True)
    # Letters alone: a random model also writes image tokens, for which Hugging Face wants images.
    letters = processor.tokenizer.convert_tokens_to_ids(list("abcdefghijklmnopqrstuvwxyz"))
    params = SamplingParams(temperature=1.0, max_tokens=30, skip_special_tokens=False, allowed_token_ids=letters)
    fresh = await actor.rap_attention(prompt, images, [letters[:20]], 512)
    first = await actor.rap_sample(prompt, "3", images, [1, 2], params, 512, True)
    later = await actor.rap_sample(prompt, "3", images, [3, 4], params, 512, True)
    ids, inputs, pictures = process_prompt_with_images(processor, prompt, images)
    seen = (await actor.generate(ids, params, {"image": pictures})).prompt_token_ids
    crowd = await many(actor, prompt, images, params)
    spans = [usable_span(answer["token_ids"], frozenset([end])) for answer in first + later]
    return {
        "reason": reason,
        "added": len(seen) - len(ids),
        "fresh": fresh,
        "crowd": crowd,
        "found": [answer["attention"] for answer in first + later],
        "wanted": [
            eager(folder, seen, answer["token_ids"], inputs["pixel_values"], span)
            for answer, span in zip(first + later, spans, strict=True)
        ],
    }


LITTLE = 2**19
"""Bytes for queries and keys: a tenth of what the responses below would take together."""


async def many(actor, prompt, images, params):
    """More prompts at a time than vLLM reads in one step by default, little memory for them, and some that fail."""
    execute = actor.executor.execute

    async def odd(**options):
        found = await execute(**options)
        if options["sampling_params"].seed == 2:
            raise ValueError("a reward that raises")
        return found

    actor.executor.execute = odd
    await actor.llm.collective_rpc("rap_attention_start", args=(LITTLE,))
    texts = [prompt + "and which? " * (10 + number % 7) + str(number) for number in range(40)]
    found = await asyncio.gather(*(actor.rap_sample(text, "3", images, [1, 2, 3], params, 512, True) for text in texts))
    answers = [answer for answers in found for answer in answers]
    ok = [answer for answer in answers if "error" not in answer]
    return {
        "errors": sorted({answer["error"] for answer in answers if "error" in answer}),
        "ok": len(ok),
        "unmeasured": [answer["attention"] for answer in ok if isinstance(answer["attention"], str)],
        "held": (await actor.llm.collective_rpc(held))[0],
    }


def held(worker):  # in fact the wrapper that vLLM puts around it
    """Bytes taken, and what is still kept of requests that have ended or been asked for."""
    requests = worker.worker.__dict__["_rap_capture"].requests
    return {
        "bytes": requests.pool.held_bytes,
        "rows": requests.pool.capacity - requests.pool.room,
        "ended": len(requests.ended),
    }


def eager(folder, prompt, response, pixels, span):
    """The statistics of one response from Hugging Face's own attention, computed by the reference."""
    import torch
    from transformers import AutoModelForImageTextToText

    from tests.engines.reference import statistics

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    tokens = torch.tensor([[*prompt, *response]])
    with torch.no_grad():
        attention = model(input_ids=tokens, pixel_values=pixels, output_attentions=True).attentions[-1]
    return statistics(attention[0].numpy(), len(prompt) + span[0], len(prompt) + span[1])


if __name__ == "__main__":
    main()
