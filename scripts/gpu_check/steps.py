"""What is measured, one step a process: `python -m gpu_check.steps NAME --out FILE [--small]`.

Every step writes what it has found to FILE as it goes, so that a step that is cut leaves what it had.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_check.shapes import SHAPES, build, save, write_pool

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (1024, 2048, 4096, 8192)
PACKAGES = ("torch", "transformers", "trl", "datasets", "vllm", "pyarrow", "numpy")

Found = dict[str, Any]
Keep = Callable[[Found], None]
"""Writes what is known so far."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()

    def keep(found: Found) -> None:
        draft = options.out.with_suffix(".draft")
        draft.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        draft.replace(options.out)

    STEPS[options.step](keep, options.small)


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def machine(keep: Keep, small: bool) -> None:
    """The card, its driver, the host, and the versions of what matters."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    found: Found = {"python": platform.python_version(), "cores": os.cpu_count(), "device": "no CUDA device"}
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found |= {"device": card.name, "memory_gib": round(card.total_memory / 2**30, 1), "cuda": torch.version.cuda}
        driver = _say(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
        found["driver"] = driver.splitlines()[0] if driver else "unknown"
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["commit"] = _say(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]) or "unknown"
    found["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    keep(found)


def gpu_tests(keep: Keep, small: bool) -> None:
    """The tests marked `gpu`."""
    report = Path(tempfile.mkdtemp()) / "tests.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}", "tests/engines", "tests/cli"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )  # fmt: skip
    print(done.stdout[-4000:], done.stderr[-2000:])
    text = report.read_text(encoding="utf-8") if report.exists() else ""
    numbers = {name: int(value) for name, value in re.findall(r'(tests|failures|errors|skipped)="(\d+)"', text)}
    numbers["passed"] = numbers.get("tests", 0) - sum(numbers.get(k, 0) for k in ("failures", "errors", "skipped"))
    keep({**numbers, "failed": re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)})
    if done.returncode:
        sys.exit(done.returncode)


def attention_3b(keep: Keep, small: bool) -> None:
    """One pass of a random 3B: plain, with psi, eager."""
    _attention("tiny" if small else "3b", keep, (128, 256) if small else LENGTHS)


def attention_7b(keep: Keep, small: bool) -> None:
    """One pass of a random 7B: plain, with psi, eager."""
    _attention("tiny" if small else "7b", keep, (128, 256) if small else LENGTHS)


def _attention(name: str, keep: Keep, lengths: tuple[int, ...]) -> None:
    import torch

    sys.path.insert(0, str(ROOT / "benchmarks"))
    from attention import Pass, peak_bytes

    place = device()
    network = build(SHAPES[name], place, torch.bfloat16)
    found: Found = {"shape": SHAPES[name].name, "device": place, "passes": []}
    for length in lengths:
        for mode in ("plain", "measured", "eager"):
            network.set_attn_implementation("eager" if mode == "eager" else "sdpa")
            row: Found = {"length": length, "mode": mode}
            one = Pass(mode, length, place, network)
            try:
                row["peak_mib"] = round(peak_bytes(one, place) / 2**20, 1)  # warms up, too
                row["seconds"] = statistics.median([_timed(one) for _ in range(3)])
                if mode == "measured":
                    inside = [one() for _ in range(3)]
                    row["measuring_s"] = statistics.median(inside)
            except (torch.OutOfMemoryError, MemoryError):
                row["out_of_memory"] = True
            finally:
                one.last.remove()
                del one
                if place == "cuda":
                    torch.cuda.empty_cache()
            found["passes"].append(row)
            keep(found)
    found["difference"] = _difference(network, lengths[0], place)
    keep(found)


def _difference(network: Any, length: int, place: str) -> float:
    """The largest relative difference of log psi between the engine's way (SDPA) and eager attention maps."""
    import torch

    from rap_plugin.engines import ace
    from rap_plugin.engines.hf.last_layer import LastLayer

    half = length // 2
    ids = torch.randint(10, 16000, (1, length), generator=torch.Generator().manual_seed(1)).to(place)
    network.set_attn_implementation("sdpa")
    last, seen = LastLayer(network), []
    with torch.inference_mode(), last.showing(seen.append):
        network(input_ids=ids, logits_to_keep=1, use_cache=False)
    [ours] = ace.measure(seen[0].query[:, :, half:], seen[0].key, seen[0].scaling)
    last.remove()
    network.set_attn_implementation("eager")
    with torch.inference_mode():
        maps = network(input_ids=ids, logits_to_keep=1, use_cache=False, output_attentions=True).attentions[-1].float()
    rows = ace.RowStatistics([half], place)
    top, mean = maps.amax(dim=1)[:, half:], maps.mean(dim=1)[:, half:]
    rows.add(ace.normalise_rows(top)[..., half:], mean[..., half:])
    [theirs] = rows.result()
    pairs = [(ours[name], theirs[name]) for name in ours if ours[name] is not None and theirs[name] is not None]
    return max(abs(a - b) / max(1.0, abs(b)) for a, b in pairs)


def select(keep: Keep, small: bool) -> None:
    """`rap select` with engine hf from the first row to the report, with attention and without."""
    import torch

    samples, side, tokens, batch = (6, 56, 8, 16) if small else (48, 448, 256, 128)
    place = device()
    shape = SHAPES["tiny" if small else "3b"]
    found: Found = {"shape": shape.name, "device": place, "samples": samples, "tokens": tokens, "runs": []}
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        started = time.perf_counter()
        save(shape, here / "model", place, torch.bfloat16)
        write_pool(here / "pool.parquet", samples, side)
        found["making_s"] = time.perf_counter() - started
        if place == "cuda":
            torch.cuda.empty_cache()
        for attention in (True,) if small else (True, False):
            found["runs"].append(_select(here, attention, place, tokens, batch))
            keep(found)


def _select(here: Path, attention: bool, place: str, tokens: int, batch: int) -> Found:
    run = here / f"run-{attention}"
    command = ["select", here / "pool.parquet", "--model", here / "model", "--out", run, "--device", place, "--quiet"]
    command += ["--dtype", "bfloat16", "--selector", "random", "--keep", "0.5", "--max-new-tokens", tokens]
    command += ["--batch-size", batch, "--no-curtail", "--set", f"ace.enabled={str(attention).lower()}"]
    with Busy() as busy:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "rap_plugin.cli", *map(str, command)], capture_output=True, text=True
        )
        wall = time.perf_counter() - started
    print(done.stdout[-3000:], done.stderr[-3000:])
    if done.returncode:
        raise SystemExit(f"rap select ended with status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    cost = json.loads((run / "cost.json").read_text(encoding="utf-8"))
    seconds = {stage: entry["seconds"] for stage, entry in cost["stages"].items()}
    sampling = sum(value for stage, value in seconds.items() if stage.startswith("sample "))
    return {
        "attention": attention,
        "wall_s": wall,
        "stages": seconds,
        "sampling_s": sampling,
        "response_tokens": cost["total"]["response_tokens"],
        "rollouts": cost["total"]["rollouts"],
        "gpu_busy": busy.mean,
    }


class Busy:
    """How busy the GPU is while a block runs, as nvidia-smi tells it twice a second; `mean` is None where it does not."""

    def __init__(self) -> None:
        self._seen: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Busy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def mean(self) -> float | None:
        return statistics.mean(self._seen) if self._seen else None

    def _look(self) -> None:
        while not self._stop.wait(0.5):
            said = _say(["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"])
            if not said:
                return
            self._seen.append(float(said.splitlines()[0]))


def shrink(keep: Keep, small: bool) -> None:
    """Too large a batch: memory runs out for real, the engine halves what it takes, and nothing is lost."""
    import torch

    from rap_plugin.config import ModelConfig
    from rap_plugin.engines.hf.engine import open_hf
    from rap_plugin.rollout import Prompt, Request, Sampling

    place, rollouts = device(), 256 if small else 512
    sampling = Sampling(max_new_tokens=4 if small else 32)
    requests = [Request(Prompt("a" * 32, "blind", "How many? " * (6 if small else 60)), tuple(range(rollouts)))]
    found: Found = {"device": place, "asked": rollouts}
    with tempfile.TemporaryDirectory() as folder:
        save(SHAPES["tiny"], Path(folder), place, torch.float32)
        engine = open_hf(ModelConfig(id=folder, device=place, dtype="float32", batch_size=rollouts))
        widths: list[int] = []
        engine.generate([Request(requests[0].prompt, (0,))], sampling)
        network = engine._model().network
        network.register_forward_pre_hook(
            lambda _, args, options: widths.append(len(options["input_ids"])), with_kwargs=True
        )
        [plain] = engine.generate(requests, sampling)
        found["widest_with_room"] = max(widths)
        widths.clear()
        with _little_memory(place):
            [squeezed] = engine.generate(requests, sampling)
        engine.close()
    found["widest_without"] = max(widths[1:], default=0)
    found["finished"] = sum(response.status == "ok" for response in squeezed)
    found["widths"] = sorted(set(widths), reverse=True)
    found["same_text"] = sum(a.text == b.text for a, b in zip(plain, squeezed, strict=True))
    keep(found)
    if found["finished"] != rollouts:
        raise SystemExit(f"only {found['finished']} of {rollouts} responses were finished")


class _little_memory:
    """Inside, a process may take only a little more memory than it has: of the GPU, or on a CPU of the machine."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.extra = {"cuda": 64, "cpu": 8}[place] * 2**20

    def __enter__(self) -> None:
        import torch

        if self.place == "cuda":
            torch.cuda.empty_cache()
            allowed = torch.cuda.memory_reserved() + self.extra
            torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
            return
        self.before = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + self.extra, self.before[1]))

    def __exit__(self, *_: object) -> None:
        import torch

        if self.place == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
        else:
            resource.setrlimit(resource.RLIMIT_AS, self.before)


def grpo(keep: Keep, small: bool) -> None:
    """A selection and GRPO of the embedded model with TRL."""
    size = (24, 6, 2, 2) if small else (300, 120, 12, 16)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(ROOT / "examples" / "trl" / "train_grpo.py"),
            "--device",
            device(),
            "--out",
            folder,
        ]
        for flag, value in zip(("--problems", "--test", "--steps", "--prompts"), size, strict=True):
            command += [flag, str(value)]
        started = time.perf_counter()
        done = subprocess.run([*command, "--no-baseline"], capture_output=True, text=True)
        wall = time.perf_counter() - started
    print(done.stdout[-4000:], done.stderr[-4000:])
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
    said = lines[next((at for at, line in enumerate(lines) if line.startswith("training on")), 0) :]
    keep({"device": device(), "wall_s": wall, "said": said})
    if done.returncode:
        sys.exit(done.returncode)


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _say(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


STEPS: dict[str, Callable[[Keep, bool], None]] = {
    "machine": machine,
    "tests": gpu_tests,
    "attention-3b": attention_3b,
    "attention-7b": attention_7b,
    "select": select,
    "shrink": shrink,
    "grpo": grpo,
}

if __name__ == "__main__":
    main()
