"""Runs every step in a process of its own, with a time limit, and writes the page anew after each one."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gpu_check.page import render

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {
    "machine": 45,
    "tests": 130,
    "attention-3b": 75,
    "attention-7b": 75,
    "shrink": 45,
    "select": 150,
    "grpo": 75,
}
"""Seconds of each step at most, in the order in which they run."""

TOTAL_S = 570
"""Seconds of all together: under ten minutes, whatever happens."""

SMALL_S = 600
"""Seconds of each step in small mode, which shows that the steps work and measures nothing: a busy CPU takes its time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for results, logs and the page")
    parser.add_argument("--small", action="store_true", help="tiny shapes; docs/gpu.md is left alone")
    parser.add_argument("--steps", default=",".join(LIMITS), help="only these")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + TOTAL_S
    results: dict[str, dict[str, Any]] = {}
    for name in options.steps.split(","):
        limit = SMALL_S if options.small else min(LIMITS[name], max(1.0, until - time.monotonic()))
        print(f"gpu_check: {name} ..", flush=True)
        results[name] = run_step(name, options.out, limit, options.small)
        print(f"gpu_check: {name}: {results[name]['status']} after {results[name]['seconds']:.0f} s", flush=True)
        write_page(results, options.out, options.small)
    bad = [name for name, result in results.items() if result["status"] != "done"]
    sys.exit(f"gpu_check: not done: {', '.join(bad)}; see {options.out}/*.log" if bad else 0)


def run_step(name: str, out: Path, limit: float, small: bool) -> dict[str, Any]:
    """One step: its `status` (done, or what went wrong), `seconds`, and `found`, as far as it came."""
    file = out / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "gpu_check.steps", name, "--out", str(file), *(["--small"] if small else [])]
    started = time.monotonic()
    with (out / f"{name}.log").open("w") as log:
        # A session of its own, so that what a step has started ends with it.
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        try:
            code = child.wait(limit)
            status = "done" if code == 0 else f"failed: {_last_line(out / f'{name}.log') or f'status {code}'}"
        except subprocess.TimeoutExpired:
            status = f"cut after {limit:.0f} s"
        finally:
            _end(child)
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {"status": status, "seconds": time.monotonic() - started, "found": found}


def write_page(results: dict[str, Any], out: Path, small: bool) -> None:
    """The results and the page in `out`; the page in docs too, where this was a GPU and the real size."""
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    text = render(results, small=small)
    (out / "gpu.md").write_text(text, encoding="utf-8")
    on_gpu = "memory_gib" in results.get("machine", {}).get("found", {})
    if on_gpu and not small:
        (ROOT / "docs" / "gpu.md").write_text(text, encoding="utf-8")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a step with everything that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    main()
