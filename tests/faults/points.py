"""SIGKILL at points that are drawn inside a stage, of which a kill at a random second would hit most hardly ever."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.faults.traces import kept, make_traces, run_traces
from tests.faults.world import (
    ROOT,
    SAME,
    Broken,
    Fault,
    Skipped,
    World,
    call,
    lines,
    require_same,
    require_whole_files,
    stored,
)

RESELECT = ROOT / "tests" / "faults" / "reselect_twice.py"

AT = {
    "ingest": (1, 0.03),
    "sampling": (8, 0.01),
    "grading": (8, 0.01),
    "attention": (8, 0.01),
    "deciding": (1, 0.02),
    "scores": (1, 0.02),
    "quarantine": (1, 0.01),
    "selected": (1, 0.02),
    "report": (1, 0.4),
    "export": (1, 0.05),
    "replacing": (1, 0.001),
}
"""By place of the killer: of how many calls one is drawn, and the most seconds after its begin."""

MOST = {"select": 6, "decide": 4}
"""Files that these commands replace at least."""


def killed_at(words: list[str], chance: Random, *places: str, calls: int = 0) -> int:
    """Runs a command of rap that is killed in one of the places; 1 where it was, 0 where it ended before."""
    place = chance.choice(places)
    most, seconds = AT[place]
    if place == "replacing":
        most = MOST.get(words[0], most)
    number, after = chance.randrange(calls or most), chance.choice([0.0, chance.uniform(0, seconds), 60.0])
    status, said = call([sys.executable, "-m", "tests.faults.killer", place, str(number), str(after), *words])
    if status not in (0, -signal.SIGKILL):
        raise Broken(f"killed at {place} {number} after {after:.3f} s: status {status}: {said[-300:]}")
    return int(status != 0)


def _in_select(*places: str) -> Callable[[World, Path, Random], int]:
    def do(world: World, folder: Path, chance: Random) -> int:
        run, log, kills = folder / "run", folder / "log", 0
        for _ in range(chance.randint(1, 2)):
            kills += killed_at(world.command(run, log, pause=0.01)[3:], chance, *places)
            require_whole_files(folder)
        world.completes(run, log)
        return kills

    return do


def _in_command(*words: str, places: tuple[str, ...]) -> Callable[[World, Path, Random], int]:
    def do(world: World, folder: Path, chance: Random) -> int:
        def command(run: Path) -> list[str]:
            return [{"RUN": str(run), "OUT": f"{run}-out"}.get(word, word) for word in words]

        whole = world.folder / words[0]
        if not whole.exists():
            shutil.copytree(world.quiet, whole)
            status, said = call([sys.executable, "-m", "rap_plugin.cli", *command(whole)])
            if status != 0:
                raise Broken(f"undisturbed: status {status}: {said[-300:]}")
        shutil.copytree(world.quiet, folder / "run")
        kills = 0
        for _ in range(2):
            kills += killed_at(command(folder / "run"), chance, *places)
            require_whole_files(folder)
        status, said = call([sys.executable, "-m", "rap_plugin.cli", *command(folder / "run")])
        if status != 0:
            raise Broken(f"the same command ended with {status}: {said[-300:]}")
        require_same(folder / "run", whole)
        require_same_export(Path(f"{folder / 'run'}-out"), Path(f"{whole}-out"))
        return kills

    return do


def require_same_export(one: Path, other: Path) -> None:
    """Two exports hold the same rows and pictures; their paths are their own."""
    names = [sorted(path.name for path in place.rglob("*") if path.is_file()) for place in (one, other)]
    if names[0] != names[1]:
        raise Broken(f"the export has {names[0][:5]}, the undisturbed one {names[1][:5]}")
    for path in one.rglob("*.jsonl"):
        there = (other / path.relative_to(one)).read_text(encoding="utf-8")
        if path.read_text(encoding="utf-8").replace(str(one), "") != there.replace(str(other), ""):
            raise Broken(f"{path.name} differs from the undisturbed export's")


def in_region_traces(world: World, folder: Path, chance: Random) -> int:
    """`rap r3 run`, killed one to three times: every trace stands there once, with its answer."""
    whole, run, log, kills = make_traces(world.folder / "traces"), folder / "run", folder / "log", 0
    for _ in range(chance.randint(1, 3)):
        before, begun = kept(run), len(lines(log))
        words = run_traces(world.folder / "traces", run, log)
        kills += killed_at(words, chance, "ingest", "sampling", "grading", calls=2)
        _nothing_again(before, lines(log)[begun:])
    before, begun = kept(run), len(lines(log))
    status, said = call([sys.executable, "-m", "rap_plugin.cli", *run_traces(world.folder / "traces", run, log)])
    if status != 0:
        raise Broken(f"the same command ended with {status}: {said[-300:]}")
    _nothing_again(before, lines(log)[begun:])
    if kept(run) != whole:
        raise Broken("other traces than the undisturbed run's")
    return kills


def _nothing_again(before: dict[str, tuple[object, ...]], begun: list[str]) -> None:
    if again := {f"number {line}" for line in begun} & set(before):
        raise Broken(f"{len(again)} stored traces were written again")


def in_reselection(world: World, folder: Path, chance: Random) -> int:
    """Two selections of TRL's reselection, the second with changed weights, killed in one of them."""
    if importlib.util.find_spec("trl") is None:
        raise Skipped("TRL is not installed")
    whole = world.folder / "reselect"
    if not whole.exists():
        _reselect(whole)
    calls = chance.choice([1, 4])  # of several calls some belong to the second selection
    kills = killed_at(
        [str(RESELECT), str(folder / "run")], chance, "sampling", "grading", "scores", "selected", calls=calls
    )
    require_whole_files(folder)
    counted = _rollouts(folder / "run")
    _reselect(folder / "run")
    for step in ("step-000000", "step-000001"):
        require_same(folder / "run" / step, whole / step)
    if any(_rollouts(folder / "run")[step] < count for step, count in counted.items()):
        raise Broken("rollouts were lost")
    return kills


def _reselect(out: Path) -> None:
    status, said = call([sys.executable, str(RESELECT), str(out)])
    if status != 0:
        raise Broken(f"reselection ended with {status}: {said[-300:]}")


def _rollouts(out: Path) -> dict[str, int]:
    return {path.parent.name: len(stored(path.parent)) for path in out.glob("step-*/evidence.sqlite")}


POINTS = [
    Fault("SIGKILL inside ingest", SAME, 12, _in_select("ingest")),
    Fault("SIGKILL while rollouts are stored", SAME, 20, _in_select("sampling")),
    Fault("SIGKILL while attention is stored", SAME, 14, _in_select("attention")),
    Fault("SIGKILL while grades are stored", SAME, 14, _in_select("grading")),
    Fault("SIGKILL while a selection is decided and written", SAME, 24, _in_select("deciding", "scores", "quarantine", "selected", "report", "replacing")),
    Fault("SIGKILL inside `rap decide`, twice", SAME, 14, _in_command("decide", "RUN", "--lambda-c", "0.2", places=("deciding", "scores", "quarantine", "selected", "replacing"))),
    Fault("SIGKILL inside `rap report`, twice", SAME, 10, _in_command("report", "RUN", places=("report", "replacing"))),
    Fault("SIGKILL inside `rap export`, twice", SAME, 10, _in_command("export", "RUN", "--to", "jsonl", "--out", "OUT", places=("export",))),
    Fault("SIGKILL inside `rap r3 run`, 1 to 3 times", "every trace is there once and is the undisturbed run's; none is written again", 12, in_region_traces),
    Fault("SIGKILL inside a reselection (TRL)", "the same script ends with the same bytes in both selections; no rollout is lost", 4, in_reselection),
]  # fmt: skip
