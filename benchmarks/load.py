"""How the store and the commands bear a large pool: seconds, peak memory and bytes at N samples and 10 N rollouts, and their slope.

    python benchmarks/load.py                                   # 10,000, 100,000 and 1,000,000 samples: two hours on one core
    python benchmarks/load.py --samples 1000 10000              # a look
    python benchmarks/load.py --only ingest write decide        # some stages (ingest, write and resume are always done: no decision is made while samples lack rollouts)
    python benchmarks/load.py --soak 200                        # many runs in one process: memory, threads, open files

Every stage is a process of its own. `ingest` reads a Parquet pool of N problems, `write` stores their rollouts and grades through
`EvidenceStore` in the order and the transactions of a run, `resume` is `rap select` where 1,000 samples have no rollouts yet,
`decide`, `report`, `verify` and `regrade` (all 10 N responses under grader `auto`) are those commands.
`slope` is how the processor's seconds (other programs do not count), or the memory, grow from one size to the next: log(ratio) / log(ratio of samples), 1 is linear.
`flat` is the most memory in the fourth fifth of the time over that in the second fifth.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from rap_plugin import hookimpl
from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.records import LedgerEntry, PoolSample
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.rollout import Arm, Attention, ModelIdentity, Request, Response, Sampling

IDENTITY = ModelIdentity("load", "load")
ROLLOUTS = 5
LEFT_OUT = 1_000
"""Samples at the end of the pool that `write` leaves to `resume`; a tenth where the pool is small."""

TOGETHER, WINDOW = 64, 512
"""Samples in one transaction and in one window: as in `pipeline/behind.py` and `pipeline/plan.py`."""

STAGES = ("ingest", "write", "resume", "decide", "report", "verify", "regrade")
STEPS = (
    "the two sides give",
    "so the area is",
    "adding the angles gives",
    "reading the chart gives",
    "by similar triangles it is",
)


class LoadEngine:
    """Answers by a rule: what a model would say in tens of tokens, in no time."""

    name = "load"
    measures_attention = True
    batch_size = 40
    identity = IDENTITY

    def __init__(self, config: Any) -> None:
        pass

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        return [
            [answer(request.prompt.text, request.prompt.arm, rollout) for rollout in request.rollouts]
            for request in requests
        ]

    def attention(self, prompts: Sequence[tuple[Any, Sequence[Sequence[int]]]], sampling: Sampling) -> Any:
        return [[measured(random.Random(len(ids))) for ids in responses] for _, responses in prompts]

    def close(self) -> None:
        pass


@hookimpl
def rap_register_engines(register: Any) -> None:
    register("load", LoadEngine)


@lru_cache(maxsize=64)
def problem(number: int) -> tuple[str, str]:
    """(question, gold): whole numbers, decimals, options, formulas and words, in turn."""
    draws, kind = random.Random(number), number % 5
    if kind == 0:
        return f"<image>What is number {number}?", str(draws.randrange(1000))
    if kind == 1:
        return f"<image>How long is side {number}, in cm?", f"{draws.randrange(10_000) / 100}"
    if kind == 2:
        options = "\n".join(f"{letter}. {draws.randrange(100)} cm" for letter in "ABCD")
        return f"<image>Which length has part {number}?\n{options}", draws.choice("ABCD")
    if kind == 3:
        return f"<image>Simplify ratio {number}.", rf"\frac{{{draws.randrange(1, 40)}}}{{{draws.randrange(41, 80)}}}"
    return f"<image>Which colour has bar {number}?", draws.choice(["red", "green", "dark blue", "yellow"])


def answer(question: str, arm: Arm, rollout: int) -> Response:
    """A response to one of these problems; about three of four differ from the others to the same problem."""
    number = next(int(word.rstrip("?.,\n")) for word in question.split() if word.rstrip("?.,\n").isdigit())
    _, gold = problem(number)
    draw = zlib.crc32(b"%d %d %d" % (number, rollout, arm == "image"))
    said = gold if draw % 100 < (60 if arm == "image" else 20) else problem(number + 5 + 5 * (draw % 3))[1]
    first, then = STEPS[draw // 100 % 5], STEPS[draw // 500 % 5]
    step = "" if draw % 10 < 3 else f"Here {first} {draw // 1000 % 500}, then {then} {said}. "
    text = f"<think>I look at {number}. {step}</think> The answer is \\boxed{{{said}}}."
    return Response(rollout, text, tuple(range(24 + draw % 24)), "stop", 300)


def measured(draws: random.Random) -> Attention:
    heat = draws.gauss(-8, 4)
    return Attention({column: heat - 0.1 * i for i, column in enumerate(STATISTIC_COLUMNS)})


def config_of(folder: Path) -> RunConfig:
    return load_config(
        flags={
            "pool.path": str(folder / "pool.parquet"),
            "model.id": "load",
            "model.engine": "load",
            "grading.grader": "text",
        }
    )


def make_pool(folder: Path, samples: int) -> None:
    """Writes the Parquet pool: every question another one, all with the same small picture."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from decide import tiny_png

    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    picture = [{"bytes": tiny_png(), "path": None}]
    schema = pa.schema([("problem", pa.string()), ("answer", pa.string()), ("images", kind)])
    with pq.ParquetWriter(folder / "pool.parquet", schema) as writer:
        for start in range(0, samples, 50_000):
            rows = [problem(number) for number in range(start, min(start + 50_000, samples))]
            columns = [[row[0] for row in rows], [row[1] for row in rows], pa.array([picture] * len(rows), kind)]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=5_000)


def ingest_all(folder: Path) -> dict[str, float]:
    """The pool into the evidence of a new run, as `rap select` begins."""
    from rap_plugin.pipeline.grading import make_grader
    from rap_plugin.pipeline.select import ingest_pool
    from rap_plugin.plugins import get_plugins
    from rap_plugin.run_dir import files
    from rap_plugin.run_dir.about import describe
    from rap_plugin.run_dir.pool import place_of
    from rap_plugin.samples.opening import open_pool

    config, run, registry = config_of(folder), folder / "run", get_plugins().registry()
    run.mkdir()
    pool = open_pool(config.pool)
    with (
        closing(make_grader(config, registry)) as grader,
        closing(EvidenceStore(run / files.EVIDENCE, create=True)) as store,
    ):
        ingest_pool(store, pool, config, grader, registry, quiet=True)
        describe(run, config, IDENTITY, place_of(run, pool))
        return {"rows": store.pool_counts()[0]}


def write_all(folder: Path) -> dict[str, float]:
    """Rollouts and grades of all samples but the last ones, stored window by window, as a run does; nothing is read to grade them."""
    from rap_plugin.grading import Grade
    from rap_plugin.pipeline.grading import grader_key, make_grader
    from rap_plugin.pipeline.probing import find_probes
    from rap_plugin.plugins import get_plugins
    from rap_plugin.run_dir import files

    config, seconds, busy = config_of(folder), 0.0, 0.0
    with (
        closing(make_grader(config, get_plugins().registry())) as grader,
        closing(EvidenceStore(folder / "run" / files.EVIDENCE)) as store,
    ):
        probes = find_probes(store, config, IDENTITY, make=True)
        store.set_meta("grader", grader_key(config))
        samples, golds, wrong = store.samples(), store.golds(), Grade("wrong", 0.0, False, "")
        samples = samples[: len(samples) - min(LEFT_OUT, len(samples) // 10)]
        for arm, part in _parts(samples):
            draws = random.Random(part[0].sample)
            rows = [(one.sample, [answer(one.question, arm, i) for i in range(ROLLOUTS)]) for one in part]
            seen = {(one.sample, i): measured(draws) for one in part for i in range(ROLLOUTS)} if arm == "image" else {}
            cost = LedgerEntry(f"sample {arm}", 0.0, len(part) * ROLLOUTS)
            grades = [
                (
                    sample,
                    probes[arm],
                    one.rollout,
                    Grade("right", 1.0, False, gold) if f"{{{gold}}}" in one.text else wrong,
                )
                for sample, answers in rows
                for gold in (golds[sample],)
                for one in answers
            ]
            began, worked = time.perf_counter(), time.process_time()
            store.add_rollouts(probes[arm], rows, seen, ledger=cost)
            store.set_grades(grader.id, grades, LedgerEntry("grade", 0.0, len(grades)))
            seconds += time.perf_counter() - began
            busy += time.process_time() - worked
        count = store.rollout_count()
    return {"rollouts a second": count / seconds, "a CPU second": count / busy}


def _parts(samples: Sequence[PoolSample]) -> Iterator[tuple[Arm, Sequence[PoolSample]]]:
    arms: tuple[Arm, ...] = ("blind", "image")
    for start in range(0, len(samples), WINDOW):
        window = samples[start : start + WINDOW]
        for arm in arms:
            for first in range(0, len(window), TOGETHER):
                yield arm, window[first : first + TOGETHER]


def command(stage: str, folder: Path) -> list[str]:
    """The words of a stage."""
    run, plugin = folder / "run", ["--plugin", __file__]
    if stage in ("ingest", "write"):
        return [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    rap = [sys.executable, "-m", "rap_plugin.cli"]
    if stage == "resume":
        model = ["--model", "load", "--engine", "load", "--grader", "text", "--quiet"]
        return [*rap, "select", str(folder / "pool.parquet"), *model, "--out", str(run), *plugin]
    more = {
        "decide": ["decide", "--lambda-c", "0.3", "--no-report"],
        "regrade": ["decide", "--grader", "auto", "--no-report"],
        "report": ["report"],
        "verify": ["verify"],
    }[stage]
    return [*rap, more[0], str(run), *more[1:]]


def measure(words: list[str], folder: Path) -> tuple[float, float, float, float, dict[str, float]]:
    """Runs one stage: seconds, those of a processor, peak resident GiB, the memory late over that early, and what it printed as figures."""
    began = time.perf_counter()
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT)
        line: list[float] = []
        watch = threading.Thread(target=_watch, args=(process.pid, line), daemon=True)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        watch.join()
        said.seek(0)
        text = said.read()
    if status:
        raise SystemExit(f"{' '.join(words)}: status {process.returncode}\n{text[-2000:]}")
    figures = json.loads(text.splitlines()[-1]) if "--stage" in words else {}
    fifth = max(1, len(line) // 5)
    flat = max(line[3 * fifth : 4 * fifth], default=0) / max(line[fifth : 2 * fifth], default=1)
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20, flat, figures


def _watch(pid: int, line: list[float]) -> None:
    """Appends the resident GiB of a process, five times a second, until it is gone."""
    while (found := resident(pid)) is not None:
        line.append(found)
        time.sleep(0.2)


def resident(pid: int | str) -> float | None:
    """Resident GiB of a process; None when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = [row.split()[1] for row in status.splitlines() if row.startswith("VmRSS")]
    return int(found[0]) / 2**20 if found else None


def load(sizes: list[int], only: list[str], place: str | None) -> None:
    """Prints the table."""
    print(
        f"{'stage':>8} {'samples':>10} {'seconds':>8} {'CPU s':>8} {'slope':>6} {'peak GiB':>9} {'slope':>6} {'flat':>5}"
    )
    before: dict[str, tuple[int, float, float]] = {}
    for samples in sorted(sizes):
        with tempfile.TemporaryDirectory(dir=place) as name:
            folder = Path(name)
            make_pool(folder, samples)
            for stage in (stage for stage in STAGES if stage in only or stage in ("ingest", "write", "resume")):
                seconds, busy, peak, flat, figures = measure(command(stage, folder), folder)
                slopes = ["", ""]
                if stage in before:
                    smaller, *was = before[stage]
                    slopes = [
                        f"{math.log(now / then) / math.log(samples / smaller):.2f}"
                        for now, then in zip((busy, peak), was, strict=True)
                    ]
                more = ", ".join(f"{name} {value:,.0f}" for name, value in figures.items())
                print(
                    f"{stage:>8} {samples:>10,} {seconds:>8.1f} {busy:>8.1f} {slopes[0]:>6} {peak:>9.2f} {slopes[1]:>6} {flat:>5.2f}  {more}",
                    flush=True,
                )
                before[stage] = samples, busy, peak
            size = sum(path.stat().st_size for path in (folder / "run").glob("evidence.sqlite*"))
            print(
                f"evidence of {samples:,} samples: {size / 2**30:.2f} GiB, {size / samples / ROLLOUTS / 2:.0f} bytes a rollout",
                flush=True,
            )


def soak(rounds: int, samples: int, place: str | None) -> None:
    """Runs, decides, verifies and reports again and again in this process; prints memory, threads and open files."""
    from rap_plugin import decide_run, select_run
    from rap_plugin.pipeline.verify import verify_run

    print(f"{'round':>6} {'seconds':>8} {'MiB':>7} {'threads':>8} {'files':>6}")
    began, marks = time.perf_counter(), {round(rounds * share) for share in (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)}
    with tempfile.TemporaryDirectory(dir=place) as name:
        make_pool(Path(name), samples)
        config = config_of(Path(name)).model_copy(update={"plugins": [__file__]})
        for i in range(1, rounds + 1):
            with tempfile.TemporaryDirectory(dir=place) as out:
                run = select_run(config, Path(out) / "run", quiet=True).run
                lower = load_config(
                    flags={"selection.lambda_c": 0.1 + 0.4 * (i % 2), "plugins": [__file__]}, base=config
                )
                decide_run(run, lower, report=True)
                verify_run(run)
            if i in marks:
                memory = (resident("self") or 0.0) * 1024
                opened = len(os.listdir("/proc/self/fd"))
                print(
                    f"{i:>6} {time.perf_counter() - began:>8.1f} {memory:>7.1f} {threading.active_count():>8} {opened:>6}",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="*", default=list(STAGES), choices=STAGES)
    parser.add_argument("--soak", type=int, default=0, metavar="ROUNDS")
    parser.add_argument("--dir", help="where the pool and the run are made; default: the temporary folder")
    parser.add_argument("--stage", choices=("ingest", "write"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps((ingest_all if options.stage == "ingest" else write_all)(options.folder)))
    elif options.soak:
        soak(options.soak, 200, options.dir)
    else:
        load(options.samples, options.only, options.dir)


if __name__ == "__main__":
    main()
