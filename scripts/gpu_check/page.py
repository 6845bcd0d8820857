"""docs/gpu.md from the results of the steps; `python -m gpu_check.page` writes it as it is before any run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Found = Mapping[str, Any]

HEAD = """# On a GPU

`scripts/gpu_check.sh` (or `make gpu`) writes this page. It runs from a checkout on one GPU, without a network, in less than
ten minutes: Python 3.11 or later with torch and transformers has to be there, `--wheels FOLDER` gives it the rest
(`python scripts/gpu_check/needed.py pyproject.toml` lists what that is). Every step is a process of its own with a time limit; one that
fails is reported here and stops no other. Results, logs and this page are written to `--out FOLDER` after every step.
`--small` runs tiny shapes on a CPU, as the tests do.
"""

PARTS = {
    "machine": ("Machine", "The card, its driver and memory, and the versions of what matters."),
    "tests": ("Tests", "The tests marked `gpu`, one for every line of the package that only a GPU reaches."),
    "attention-3b": (
        "Psi in a forward pass, 3B",
        "One pass over 1,024 to 8,192 tokens, the second half of them a response, in bfloat16 with random weights in the shape "
        "of Qwen2.5-VL-3B: plain, with psi from the last layer, and eager with all attention maps. Time and peak memory of the pass.",
    ),
    "attention-7b": ("Psi in a forward pass, 7B", "The same in the shape of Qwen2.5-VL-7B."),
    "select": (
        "rap select",
        "Engine `hf` from the first row to the report, with random weights in the shape of Qwen2.5-VL-3B, over crops of photographs, "
        "five rollouts in each arm: response tokens per second, and the shares of attention, grading and waiting.",
    ),
    "shrink": ("Memory runs out", "A batch that does not fit is halved until it does, and every response is finished."),
    "grpo": ("GRPO", "A selection and a training of the embedded model with TRL, on the GPU."),
}


def render(results: Mapping[str, Mapping[str, Any]], *, small: bool = False) -> str:
    """The page as Markdown."""
    parts = [HEAD]
    if small:
        parts.append("**Small mode: tiny shapes; no figure here says anything about a GPU.**\n")
    for name, (title, what) in PARTS.items():
        parts.append(f"## {title}\n\n{what}\n")
        result = results.get(name)
        if result is None:
            parts.append("Not run yet.\n")
            continue
        if result["status"] != "done":
            parts.append(f"**{result['status']}**; what follows is what it had by then.\n")
        if result["found"]:
            parts.append(SHOWN[name](result["found"]))
    return "\n".join(parts)


def _machine(found: Found) -> str:
    return table(["what", "value"], [[name, str(value)] for name, value in found.items()])


def _tests(found: Found) -> str:
    failed = "".join(f"\n- failed: `{name}`" for name in found.get("failed", ()))
    return f"{found.get('passed', 0)} passed, {found.get('failures', 0) + found.get('errors', 0)} failed, {found.get('skipped', 0)} skipped.{failed}\n"


def _attention(found: Found) -> str:
    plain = {row["length"]: row for row in found["passes"] if row["mode"] == "plain"}
    rows = []
    for row in found["passes"]:
        if row.get("out_of_memory"):
            rows.append([f"{row['length']:,}", row["mode"], "out of memory", "", "", ""])
            continue
        base = plain.get(row["length"], {}).get("seconds")
        ratio = f"{row['seconds'] / base:.3f}" if base else ""
        inside = f"{1000 * row['measuring_s']:.1f}" if "measuring_s" in row else ""
        milliseconds = f"{1000 * row['seconds']:.1f}"
        rows.append([f"{row['length']:,}", row["mode"], milliseconds, ratio, inside, f"{row['peak_mib']:,.0f}"])
    said = table(["tokens", "pass", "ms", "x plain", "of it measuring, ms", "peak MiB of the pass"], rows)
    if "difference" in found:
        said += f"\nLargest relative difference of log psi to the eager maps, at the shortest length: {found['difference']:.2g}.\n"
    return f"{found['shape']}, {found['device']}.\n\n{said}"


def _select(found: Found) -> str:
    rows = []
    for run in found["runs"]:
        stages = run["stages"]
        booked = sum(stages.values())
        rate = run["response_tokens"] / run["sampling_s"] if run["sampling_s"] else 0.0
        busy = "unknown" if run["gpu_busy"] is None else f"{run['gpu_busy']:.0f} %"
        rows.append(
            [
                "with" if run["attention"] else "without",
                f"{run['wall_s']:.1f}",
                f"{run['sampling_s']:.1f}",
                f"{rate:,.0f}",
                f"{stages.get('start engine', 0.0):.1f}",
                f"{stages.get('grade', 0.0):.1f}",
                f"{max(0.0, run['wall_s'] - booked + stages.get('grade', 0.0)):.1f}",
                busy,
            ]
        )
    heads = [
        "attention",
        "wall s",
        "sampling s",
        "tokens/s",
        "loading s",
        "grading s (beside sampling)",
        "rest s",
        "GPU busy",
    ]
    said = table(heads, rows)
    if len(found["runs"]) == 2:
        on, off = (run["sampling_s"] for run in found["runs"])
        said += f"\nAttention took {max(0.0, on - off) / on:.1%} of the time of sampling.\n"
    facts = f"{found['samples']} samples, {found['runs'][0]['rollouts'] if found['runs'] else 0} rollouts of {found['tokens']} tokens"
    return (
        f"{found['shape']}, {found['device']}, {facts}. Rest: imports, reading the pool, deciding, writing.\n\n{said}"
    )


def _shrink(found: Found) -> str:
    return (
        f"{found['asked']} responses asked for at once: {found['widest_with_room']} rows together with room, at most "
        f"{found['widest_without']} after memory ran out (widths seen: {', '.join(map(str, found['widths']))}). "
        f"{found['finished']} of {found['asked']} finished, {found['same_text']} with the same text as with room.\n"
    )


def _grpo(found: Found) -> str:
    lines = "\n".join(found["said"])
    return f"{found['device']}, {found['wall_s']:.0f} s in all.\n\n```\n{lines}\n```\n"


SHOWN: dict[str, Callable[[Found], str]] = {
    "machine": _machine,
    "tests": _tests,
    "attention-3b": _attention,
    "attention-7b": _attention,
    "select": _select,
    "shrink": _shrink,
    "grpo": _grpo,
}


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).resolve().parents[2] / "docs" / "gpu.md").write_text(render({}), encoding="utf-8")
