"""A real vLLM engine driving the shipped agent as OpenRLHF does: `python -m tests.openrlhf_hooks.r3_scenario MODEL OUT.json`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.vlm_r3 import looker


async def main(model: str, out: str) -> None:
    import vllm
    from openrlhf.trainer.ray import vllm_engine
    from transformers import AutoProcessor

    from rap_plugin.cli.path import PATHS

    actor = object.__new__(vllm_engine.RolloutRayActor.__ray_metadata__.modified_class)
    actor.executor = vllm_engine._load_agent_executor(str(PATHS["openrlhf-r3-agent"]))
    processor = AutoProcessor.from_pretrained(model)
    actor.llm = vllm.AsyncLLMEngine.from_engine_args(
        vllm.AsyncEngineArgs(
            model=model,
            dtype="float32",
            enforce_eager=True,
            max_model_len=600,
            enable_chunked_prefill=False,
            max_num_batched_tokens=4096,
        )
    )
    actor._mm_pad_token_ids = {processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")}
    params = vllm.SamplingParams(temperature=0.0, max_tokens=300, logprobs=0)
    found = []
    for number, label in ((2, "C"), (15, "A"), (0, "A")):
        messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": looker.question(number)}]}]
        prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        (answer,) = await actor.generate_responses(prompt, label, params, 500, processor, 1, [looker.picture(number)])
        tensors = answer["mm_train_inputs"]
        found.append(
            {
                "tokens": answer["observation_tokens"],
                "ranges": answer["action_ranges"],
                "logprobs": answer["rollout_log_probs"],
                "reward": answer["reward"],
                "scores": answer["scores"],
                "logs": answer["extra_logs"],
                "truncated": answer["truncated"],
                "grids": tensors["image_grid_thw"].tolist(),
                "patches": len(tensors["pixel_values"]),
            }
        )
    Path(out).write_text(json.dumps(found))
    actor.llm.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
