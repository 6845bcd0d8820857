"""What measuring attention costs: time and peak memory of one forward pass, side by side.

    python benchmarks/attention.py [--lengths 512 1024 2048 4096] [--repeats 5] [--device cpu]

A random LLaVA-shaped model (12 layers, 8 heads, 54 M parameters) reads L tokens, the second half of them a response:
`plain` as it is, `measured` with all statistics of psi from its last layer, `eager` with Transformers' own
`output_attentions=True`. This is engine hf; `attention_vllm.py` beside it is engine vllm.

Time: the median of passes that take turns in one process. `measuring` is the time inside the measurement against the
rest of the same pass: a busy machine moves the former, hardly the latter. Memory: the peak of live tensor bytes of one
pass, from the allocator's own events in a fresh process each, less that of `plain`, and the process's peak resident
size. `scratch` is the peak of the measurement alone: it can hide below a peak that the plain pass reaches elsewhere, but
`x less` (than eager's extra) counts it. Ratios compare numbers of one run only.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

MODES = ("plain", "measured", "eager")
LAYERS, HEADS, SIZE = 12, 8, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--part", nargs=2, metavar=("KIND", "LENGTH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        kind, length = options.part
        run = times if kind == "times" else peak
        print(json.dumps(run(kind, int(length), options.repeats, options.device)))
        return
    print(f"hf, {LAYERS} layers, {HEADS} heads, {options.device}; the response is half of L")
    print(
        f"{'L':>6} {'mode':>9} {'seconds':>9} {'x plain':>8} {'measuring':>10}"
        f" {'extra MiB':>10} {'scratch MiB':>12} {'x less':>7} {'peak RSS MiB':>13}"
    )
    for length in options.lengths:
        seconds = part("times", length, options)
        memory = {mode: part(mode, length, options) for mode in MODES}
        extra = {mode: (memory[mode]["bytes"] - memory["plain"]["bytes"]) / 2**20 for mode in MODES}
        for mode in MODES:
            # Scratch can fit below the peak that the plain pass reaches elsewhere and then adds nothing: it counts anyway.
            scratch = memory[mode]["scratch"] / 2**20
            fewer = f"{extra['eager'] / max(scratch, extra[mode]):.0f}" if mode == "measured" else ""
            share = f"+{100 * seconds['measuring']:.1f} %" if mode == "measured" else ""
            print(
                f"{length:>6} {mode:>9} {seconds[mode]:>9.3f} {seconds[mode] / seconds['plain']:>8.3f} {share:>10}"
                f" {extra[mode]:>10.1f} {f'{scratch:.1f}' if scratch else '':>12} {fewer:>7} {memory[mode]['rss'] / 2**20:>13.0f}",
                flush=True,
            )


def part(kind: str, length: int, options: argparse.Namespace) -> dict[str, float]:
    """One part in a process of its own, so that nothing of another part is in its memory."""
    command = [sys.executable, __file__, "--part", kind, str(length), "--device", options.device]
    done = subprocess.run([*command, "--repeats", str(options.repeats)], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def build(attention: str, device: str) -> Any:
    """The random model; the same weights every time."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    text = LlamaConfig(
        hidden_size=SIZE,
        intermediate_size=1376,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        vocab_size=16384,
        max_position_embeddings=8192,
    )
    vision = CLIPVisionConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2)
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=5, attn_implementation=attention)
    return LlavaForConditionalGeneration(config).eval().requires_grad_(False).to(device)


class Pass:
    """One forward pass of a mode: calling it runs it and returns the seconds spent measuring."""

    def __init__(self, mode: str, length: int, device: str, network: Any = None) -> None:
        import torch

        from rap_plugin.engines.hf.last_layer import LastLayer

        self.mode, self.half, self.device = mode, length // 2, device
        self.network = network or build("eager" if mode == "eager" else "sdpa", device)
        self.ids = torch.randint(10, 16000, (1, length), generator=torch.Generator().manual_seed(1)).to(device)
        self.last = LastLayer(self.network)
        self.seconds = 0.0
        self.layer: Any = None
        self.keep = False
        """Keep what the pass shows, for `again`; it would count as memory of the pass."""

    def __call__(self) -> float:
        import torch

        inputs = {"input_ids": self.ids, "logits_to_keep": 1, "use_cache": False}
        self.seconds = 0.0
        with torch.inference_mode():
            if self.mode == "measured":
                with self.last.showing(self.measure):
                    self.network(**inputs)
            else:
                self.network(**inputs, output_attentions=self.mode == "eager")
        self.wait()
        return self.seconds

    def measure(self, layer: Any) -> None:
        from rap_plugin.engines import ace

        if self.keep:
            self.layer = layer
        self.wait()
        started = time.perf_counter()
        ace.measure(layer.query[:, :, self.half :], layer.key, layer.scaling)
        self.wait()
        self.seconds += time.perf_counter() - started

    def again(self) -> None:
        """Measures what the last pass has shown once more, without the pass."""
        self.measure(self.layer)

    def wait(self) -> None:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize()


def times(kind: str, length: int, repeats: int, device: str) -> dict[str, float]:
    """Median seconds by mode, and the median share of `measuring` in the rest of its pass; the modes take turns, so that a busy machine slows them alike."""
    passes = {mode: Pass(mode, length, device) for mode in MODES}
    seconds: dict[str, list[float]] = {mode: [] for mode in (*MODES, "measuring")}
    for at in range(repeats + 1):
        for mode, forward in passes.items():
            started = time.perf_counter()
            inside = forward()
            took = time.perf_counter() - started
            if at:  # the first turn warms up
                seconds[mode].append(took)
                if mode == "measured":
                    seconds["measuring"].append(inside / (took - inside))
    return {mode: statistics.median(values) for mode, values in seconds.items()}


def peak(mode: str, length: int, repeats: int, device: str) -> dict[str, float]:
    """Peak of live tensor bytes of one pass, of the measurement alone, and the process's peak resident bytes."""
    forward = Pass(mode, length, device)
    found = {"bytes": peak_bytes(forward, device), "scratch": 0}
    found["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if mode == "measured":
        forward.keep = True
        forward()
        found["scratch"] = peak_bytes(forward.again, device)
    return found


def peak_bytes(run: Any, device: str) -> int:
    """Most bytes of tensors alive at once during `run`, beside those alive before."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return int(torch.cuda.max_memory_allocated() - before)
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        highest = max(highest, live)
    return highest


if __name__ == "__main__":
    main()
