"""Runs engine `vllm` in a process of its own and prints what it did as JSON: `python -m tests.engines.vllm.scenario`.

vLLM changes the process that it runs in (threads, environment), and its CPU build spawns two more by default: here it
runs in one, with VLLM_ENABLE_V1_MULTIPROCESSING=0, except where ranks are the point.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from PIL import Image

from rap_plugin.config import ModelConfig, load_config
from rap_plugin.engines.pixels import bound_processor
from rap_plugin.engines.vllm.engine import open_vllm
from rap_plugin.errors import RapError
from rap_plugin.executors.batches import Batch, BatchItem
from rap_plugin.executors.feed import feed
from rap_plugin.rollout import Prompt, Request, Sampling
from tests.executors.sources import ListSource

SAMPLING = Sampling(max_prompt_tokens=160, max_new_tokens=30, seed=3)
ROLLOUTS = (0, 1, 2, 3, 4)


def picture(sigma: int, size=(56, 56)) -> Image.Image:
    """A grey ramp with a bar: another one for every sigma, the same in every process."""
    image = Image.linear_gradient("L").resize(size).rotate(7 * sigma)
    return image.convert("RGB")


def requests() -> list[Request]:
    one, two = picture(1), picture(2, (84, 56))
    prompts = [
        Prompt("single", "image", "<image>What is it?", (one,)),
        Prompt("several", "image", "Here <image> and there <image>: which is darker?", (one, two)),
        Prompt("text", "blind", "What is it?"),
        Prompt("long", "image", "x" * 90 + "<image>What is it?", (two,)),
    ]
    return [Request(prompt, ROLLOUTS) for prompt in prompts]


def bad_requests() -> list[Request]:
    return [
        Request(Prompt("overlong", "blind", "y" * 400), (0, 1)),
        Request(Prompt("images", "image", "<image> and <image>", (picture(1),)), (0, 1)),
    ]


def told(pairs) -> list:
    return [[[response_of(response), dict(seen.statistics), seen.error] for response, seen in row] for row in pairs]


def response_of(response) -> dict:
    return {name: getattr(response, name) for name in response.__slots__}


def statistics_of(rows) -> list:
    return [[[dict(seen.statistics), seen.error] for seen in row] for row in rows]


def given(pairs) -> list:
    return [
        (request.prompt, [response.token_ids for response, _ in row])
        for request, row in zip(requests(), pairs, strict=False)
    ]


def sampled(engine) -> dict:
    """Everything about sampling: arms, subsets, order, bad requests, sleep."""
    wanted = requests()
    pairs = engine.generate_with_attention([*wanted, *bad_requests()], SAMPLING)
    missed = dict(engine._running.missed)
    again = engine.generate(wanted[::-1], SAMPLING)[::-1]
    third = engine.generate([Request(wanted[1].prompt, (3, 1))], SAMPLING)
    other = engine.generate(wanted[:1], Sampling(max_prompt_tokens=160, max_new_tokens=30, seed=4))
    engine.sleep()
    engine.wake()
    rested = engine.generate_with_attention(wanted[:2], SAMPLING)
    return {
        "pairs": told(pairs),
        "missed": missed,
        "again": [[response_of(response) for response in row] for row in again],
        "third": [response_of(response) for response in third[0]],
        "other": [response_of(response) for response in other[0]],
        "rested": told(rested),
        "passed": statistics_of(engine.attention(given(pairs), SAMPLING)),
        "fed": [fed(engine, [*wanted, *bad_requests()], together) for together in (1, 2, 99)],
        "batch_size": engine.batch_size,
        "hf_lengths": hf_lengths(engine, wanted),
    }


def fed(engine, wanted, together: int) -> dict:
    """The prompts fed one by one, so many at work at a time: what was drawn and measured, and the most at work."""
    flags = {"max_prompt_tokens": 160, "max_new_tokens": 30, "seed": 3}
    config = load_config(flags={f"sampling.{name}": value for name, value in flags.items()})
    batches = []
    for number, request in enumerate(wanted):
        item = BatchItem(number, number, request.prompt.sample_id, request.rollouts, tokens=1)
        batches.append((Batch(request.prompt.arm, (item,), ()), (request, engine.prepare(request))))
    engine.begin(SAMPLING)
    most, submit = 0, engine.submit

    def counted(*args, **options):
        nonlocal most
        ticket = submit(*args, **options)
        most = max(most, len(engine._stream._running))
        return ticket

    engine.submit = counted
    found = {}
    for done in feed(engine, ListSource(batches), config, together):
        seen = [one and dict(one.statistics) for one in done.attention[0]] if done.attention else []
        found[done.batch.items[0].row] = [[response_of(one) for one in done.responses[0]], seen]
    del engine.submit
    return {"rows": [found[number] for number in range(len(wanted))], "most": most}


def faults(engine) -> dict:
    """Steps that run without the capture, as a full CUDA graph would: what is said about them, and after them."""
    wanted = requests()
    capture = capture_of(engine)
    engine._running.llm.reset_prefix_cache()
    del capture.last.layer.impl.forward
    unseen = engine.generate_with_attention(wanted, SAMPLING)
    capture.last.layer.impl.forward = capture.forward
    engine._running.missed.clear()
    after = engine.generate_with_attention(wanted, SAMPLING)
    return {"unseen": told(unseen), "after": told(after), "reasons": sorted(engine._running.missed)}


def hang(engine) -> list[str]:
    """What is said when vLLM's process stops to answer, and when it is killed, while responses are sampled."""
    said = []
    engine.answer_within_s = 3.0
    for what in (signal.SIGSTOP, signal.SIGKILL):
        engine.begin(SAMPLING)
        (process,) = (child for child in multiprocessing.active_children() if "EngineCore" in child.name)
        os.kill(process.pid, what)
        try:
            engine.generate(requests(), SAMPLING)
        except RapError as error:
            said.append(str(error))
    return said


def capture_of(engine):
    """The capture in vLLM's worker, where both run in this process."""
    core = engine._running.llm.llm_engine.engine_core.engine_core
    return core.model_executor.driver_worker.worker.__dict__["_rap_capture"]


def pixels(engine) -> dict:
    """Prompt tokens with the configured pixels, as vLLM and as engine `hf` count them, and those of images as they are."""
    wanted = requests()[:2]
    long = engine.generate([Request(wanted[1].prompt, (0,))], Sampling(max_prompt_tokens=30, max_new_tokens=2))
    rows = engine.generate(wanted, Sampling(max_prompt_tokens=160, max_new_tokens=2))
    plain = hf_lengths(engine, wanted)
    assert bound_processor(engine._running.processor.image_processor, engine._config)
    counted = hf_lengths(engine, wanted)
    return {
        "tokens": [row[0].prompt_tokens for row in rows],
        "hf": counted,
        "plain": plain,
        "overlong": response_of(long[0][0]),
        "dtypes": [engine.identity.dtype, str(engine._running.llm.llm_engine.model_config.dtype)],
        "thoughtless": thoughtless(engine, wanted),
    }


def thoughtless(engine, wanted) -> dict:
    """Prompt tokens where the chat template is told not to let the model think, here and in engine `hf`."""
    options = {"enable_thinking": False}
    told_so = [Request(replace(request.prompt, template_options=options), (0,)) for request in wanted]
    rows = engine.generate(told_so, Sampling(max_prompt_tokens=160, max_new_tokens=2))
    return {"tokens": [row[0].prompt_tokens for row in rows], "hf": hf_lengths(engine, told_so)}


def hf_lengths(engine, wanted) -> list[int]:
    """Prompt tokens as engine `hf` counts them."""
    from rap_plugin.engines.hf import chat

    processor = engine._running.processor
    out = []
    for request in wanted:
        messages = chat.chat_messages(request.prompt)
        inputs = processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **request.prompt.template_options,
        )
        out.append(inputs["input_ids"].shape[1])
    return out


def eager(folder: str, dtype: str, rows: list) -> list:
    """The same statistics from Hugging Face's eager attention maps, written down literally in numpy.

    Of two responses per prompt, None for the others: those must not hold an image token of their own, for which
    Transformers' forward would look for an image.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rap_plugin.engines.hf import chat
    from tests.engines import reference

    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation="eager"
    ).eval()
    processor = AutoProcessor.from_pretrained(folder)
    ends = {processor.tokenizer.eos_token_id, *model.generation_config.eos_token_id}
    images = set(processor.tokenizer.convert_tokens_to_ids(["<image>", "<|image_pad|>", "<|video_pad|>", "<video>"]))
    out = []
    for request, row in zip(requests(), rows, strict=False):
        inputs = processor.apply_chat_template(
            chat.chat_messages(request.prompt),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        length = inputs["input_ids"].shape[1]
        found = []
        for ids in row:
            if len(ids) < 3 or sum(entry is not None for entry in found) == 2 or images & set(ids):
                found.append(None)
                continue
            stop = len(ids)
            while stop and ids[stop - 1] in ends:
                stop -= 1
            full = dict(inputs)
            full["input_ids"] = torch.cat((inputs["input_ids"], torch.tensor([ids])), dim=1)
            full["attention_mask"] = torch.ones_like(full["input_ids"])
            if "mm_token_type_ids" in full:
                full["mm_token_type_ids"] = torch.cat(
                    (full["mm_token_type_ids"], torch.zeros(1, len(ids), dtype=torch.long)), dim=1
                )
            with torch.no_grad():
                attention = model(**full, output_attentions=True).attentions[-1][0]
            found.append(reference.statistics(attention.float().numpy(), length + 1, length + max(stop, 1)))
        out.append(found)
    return out


def main() -> None:
    task = json.loads(sys.stdin.read())
    out = []
    for step in task["steps"]:
        config = ModelConfig(
            id=task["folder"],
            engine="vllm",
            dtype=step["dtype"],
            options={"kv_cache_gb": 0.25, **step["options"]},
            **step.get("pixels", {}),
        )
        engine = open_vllm(config)
        if "rows" in step:
            prompts = [(request.prompt, row) for request, row in zip(requests(), step["rows"], strict=False)]
            passed = engine.attention(prompts, SAMPLING)
            result = {"passed": statistics_of(passed), "reason": engine._running.unreadable}
            if step.get("sample"):
                result["pairs"] = told(engine.generate_with_attention(requests(), SAMPLING))
            if step.get("faults"):
                result |= faults(engine)
            if step.get("hf"):
                from rap_plugin.engines.hf.engine import open_hf

                result["problem"] = engine.attention_problem(SAMPLING)
                engine._config.options["second_copy"] = True
                result["problem with a second copy"] = engine.attention_problem(SAMPLING)
                result["copied"] = statistics_of(engine.attention(prompts, SAMPLING))
                other = open_hf(ModelConfig(id=task["folder"], dtype=step["dtype"]))
                result["hf"] = statistics_of(other.attention(prompts, SAMPLING))
            if step.get("held"):
                pool = capture_of(engine).requests.pool
                result["held"] = {"bytes": pool.held_bytes, "rows": pool.capacity - pool.room}
            result["missed"] = dict(engine._running.missed)
            if step.get("hang"):
                result["hang"] = hang(engine)
        elif "pixels" in step:
            result = pixels(engine)
        else:
            result = sampled(engine)
            rows = [[list(entry[0]["token_ids"]) for entry in row] for row in result["pairs"][: len(requests())]]
            if step.get("eager"):
                result["eager"] = eager(task["folder"], step["dtype"], rows)
        engine.close()
        out.append(result)
    Path(task["out"]).write_text(json.dumps(out))


if __name__ == "__main__":
    main()
