"""What the start-up hook costs every other program: `import torch` with and without this package, side by side.

    python benchmarks/import_torch.py [--runs 30]

Three environments that are links to the installed packages: one without this package, the same once more (what
chance alone makes of two equal ones), and one with it. In every round each of them runs `import torch` in a process
of its own, in a drawn order. Differences are taken within rounds, to the environment without; their 95 % interval is
a bootstrap of the median, p a sign-flip permutation test.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ARMS = ("without", "without again", "with")
CODE = "import torch"
SHOW = (
    "import json, sys, torch, importlib.metadata as m\n"
    "known = [e.value for e in m.entry_points(group='torch.backends') if e.name == 'rap_plugin']\n"
    "print(json.dumps([known, sorted(n for n in sys.modules if n.split('.')[0] == 'rap_plugin')]))"
)
OWN = (
    "import time, sys, torch\n"
    "for name in [n for n in sys.modules if n.split('.')[0] == 'rap_plugin']: del sys.modules[name]\n"
    "import importlib.metadata as m\n"
    "(entry,) = [e for e in m.entry_points(group='torch.backends') if e.name == 'rap_plugin']\n"
    "started = time.perf_counter(); entry.load()(); print(1000 * (time.perf_counter() - started))"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rap-import-") as folder:
        pythons = {arm: make_environment(Path(folder) / arm.replace(" ", "-"), ours=arm == "with") for arm in ARMS}
        check(pythons)
        for python in pythons.values():
            run(python, CODE)  # compiled files and the disk cache, outside the clock
        wall: dict[str, list[float]] = {arm: [] for arm in ARMS}
        cpu: dict[str, list[float]] = {arm: [] for arm in ARMS}
        order = random.Random(0)
        for _ in range(options.runs):
            for arm in order.sample(ARMS, len(ARMS)):
                seconds, processor = run(pythons[arm], CODE)
                wall[arm].append(1000 * seconds)
                cpu[arm].append(1000 * processor)
        own = [float(output(pythons["with"], OWN)) for _ in range(options.runs)]
    print(f"import torch, {options.runs} rounds, ms\n")
    for clock, values in (("wall", wall), ("processor", cpu)):
        report(clock, values)
    low, high = quartiles(own)
    print(
        f"the hook alone, loaded and called: median {statistics.median(own):.2f} ms, quartiles {low:.2f} to {high:.2f}"
    )


def make_environment(folder: Path, *, ours: bool) -> Path:
    """A virtual environment of links to everything that is installed beside this one; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if ours or "rap_plugin" not in path.name:
            (site / path.name).symlink_to(path)
    return folder / "bin" / "python"


def check(pythons: dict[str, Path]) -> None:
    """Says which of our modules each environment has loaded after `import torch`; stops where one is not as meant."""
    for arm, python in pythons.items():
        known, modules = json.loads(output(python, SHOW))
        print(f"{arm:>13}: entry point {known[0] if known else 'none'}, modules {', '.join(modules) or 'none'}")
        if bool(known) != (arm == "with") or bool(modules) != (arm == "with"):
            sys.exit(f"{arm}: not the environment that it should be")
    print()


def environment() -> dict[str, str]:
    """Our own variables out of the way: no search path, no switch."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAP_PLUGIN_AUTOLOAD")}


def output(python: Path, code: str) -> str:
    return subprocess.run(
        [python, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, text=True, check=True, env=environment(), cwd="/"
    ).stdout


def run(python: Path, code: str) -> tuple[float, float]:
    """(wall seconds, processor seconds) of one process, start-up included."""
    started = time.perf_counter()
    process = subprocess.Popen([python, "-W", "ignore", "-c", code], env=environment(), cwd="/")
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"import torch failed in {python}")
    return seconds, usage.ru_utime + usage.ru_stime


def report(clock: str, values: dict[str, list[float]]) -> None:
    """One table: each environment, and its difference within rounds to the one without."""
    print(f"{clock:>13} {'median':>8} {'quartiles':>16} {'difference':>11} {'95 % interval':>18} {'p':>6}")
    base = values[ARMS[0]]
    for arm in ARMS:
        low, high = quartiles(values[arm])
        line = f"{arm:>13} {statistics.median(values[arm]):>8.1f} {low:>7.1f} to {high:>5.1f}"
        if arm != ARMS[0]:
            found = [one - other for one, other in zip(values[arm], base, strict=True)]
            low, high = interval(found)
            line += f" {statistics.median(found):>+11.1f} {low:>+8.1f} to {high:>+6.1f} {p_value(found):>6.2f}"
        print(line)
    print()


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


def interval(differences: Sequence[float], draws: int = 10_000) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(differences, k=len(differences))) for _ in range(draws))
    return medians[draws // 40], medians[-draws // 40]


def p_value(differences: Sequence[float], draws: int = 10_000) -> float:
    """Two-sided: how often signs drawn by chance make a mean difference as large."""
    chance = random.Random(2)
    seen = abs(sum(differences))
    larger = sum(abs(sum(value * chance.choice((-1, 1)) for value in differences)) >= seen - 1e-9 for _ in range(draws))
    return (larger + 1) / (draws + 1)


if __name__ == "__main__":
    main()
