"""A selection is a pure function of stored evidence: whoever wrote it, in whatever order, the files are the same bytes."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rap_plugin.config import RunConfig, load_config
from rap_plugin.errors import RapError
from rap_plugin.evidence.records import LedgerEntry
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.grading import Grade
from rap_plugin.pipeline.instalments import Instalments
from rap_plugin.pipeline.probing import FACTS, find_probes
from rap_plugin.pipeline.selection import make_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.posterior import instalments
from rap_plugin.rollout import Arm, Attention, Response
from rap_plugin.run_dir import files, tables
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Quarantined, Sample
from rap_plugin.scorers import BUILTIN_SCORERS
from rap_plugin.selectors import BUILTIN_SELECTORS
from tests.fabricate import IDENTITY, picture

ROWS, M = 14, 3
ALL: tuple[Arm, ...] = ("image", "blind", "facts")
Place = tuple[int, Arm, int]
"""(row, arm, rollout)."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, list[Sample | Quarantined], RunConfig]:
    """A pool of fourteen problems with facts, one of them without an image and one with a broken one, opened and read once."""
    path, draws = tmp_path_factory.mktemp("determinism") / "pool.parquet", random.Random(0)
    rows = [
        {
            "problem": f"<image>What is number {i}?" if i else "What is 2 + 2?",
            "answer": str(i),
            "images": [{"bytes": picture(draws)[: 30 if i == 9 else None], "path": None}] if i else [],
            "facts": [f"the number is {i}"],
        }
        for i in range(ROWS)
    ]
    images = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    kinds = {"images": images, "facts": pa.list_(pa.string())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    config = load_config(flags={"pool.path": str(path), "model.id": "fabricated", "sampling.rollouts": M})
    opened = open_pool(config.pool)
    formats = get_plugins().registry().things["formats"]
    return opened, list(ingest(opened, config.pool, formats=formats)), config


@pytest.fixture(autouse=True)
def few_completions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight a step: what is tested here holds for any number."""
    monkeypatch.setattr(instalments, "DRAWN", 0)


class Drawn:
    """What every rollout is, from a seed and its place alone; few different values, so that most samples tie with others."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def draws(self, what: str, place: Place) -> random.Random:
        return random.Random(f"{self.seed} {what} {place}")

    def response(self, place: Place) -> Response:
        draws, rollout = self.draws("response", place), place[2]
        if draws.random() < 0.05:
            status = draws.choice(["engine_error", "overlong"])
            return Response(rollout, status=status, error="no answer")  # type: ignore[arg-type]
        finish = "length" if draws.random() < 0.2 else "stop"
        return Response(rollout, "an answer", tuple(range(draws.randrange(1, 4))), finish, 7)

    def grade(self, place: Place) -> Grade:
        draws, easy = self.draws("grade", place), self.draws("sample", (place[0], place[1], 0)).choice([0.2, 0.5, 0.9])
        if draws.random() < 0.05:
            return Grade(draws.choice(["ungradable", "timeout"]), None, False, "")  # type: ignore[arg-type]
        right = draws.random() < easy
        return Grade(
            "right" if right else "wrong", draws.choice([0.9, 1.0]) if right else 0.0, draws.random() < 0.5, ""
        )

    def attention(self, place: Place) -> Attention | None:
        draws = self.draws("attention", place)
        if place[1] != "image" or draws.random() < 0.05:
            return None
        return Attention({column: draws.choice([None, -9.1, -3.3, -0.7, 0.4]) for column in STATISTIC_COLUMNS})


CONFIGURED = st.fixed_dictionaries(
    {
        "selection.selector": st.sampled_from(list(BUILTIN_SELECTORS)),
        "selection.preset": st.sampled_from(["paper", "paper", "released"]),
        "selection.lambda_c": st.sampled_from([0.0, 1 / 3, 0.5]),
        "selection.lambda_a": st.sampled_from([0.1, "auto"]),
        "selection.keep": st.sampled_from([None, 0.1, 0.5]),
        "selection.score": st.sampled_from(list(BUILTIN_SCORERS)),
        "selection.drm": st.booleans(),
        "selection.min_graded": st.sampled_from([1, 2]),
        "selection.unmeasured": st.sampled_from(["pass", "discard"]),
        "selection.size_multiple": st.sampled_from([1, 4]),
        "selection.size_by": st.sampled_from(["fill", "cut", "repeat"]),
        "ace.over_rollouts": st.sampled_from(["max", "mean"]),
        "ace.heads": st.sampled_from(["max", "mean"]),
        "ace.window": st.sampled_from([5, 10, 20]),
    }
)


def store(
    writer: EvidenceStore, probes: dict[Arm, int], drawn: Drawn, numbers: dict[int, int], part: Sequence[Place]
) -> None:
    """One commit per arm, as a run stores what came back together."""
    for arm in probes:
        places = [place for place in part if place[1] == arm]
        seen = {(numbers[row], i): found for row, _, i in places if (found := drawn.attention((row, arm, i)))}
        rows = [(numbers[place[0]], [drawn.response(place)]) for place in places]
        if rows:
            writer.add_rollouts(probes[arm], rows, seen, ledger=LedgerEntry(f"sample {arm}", 0.0, len(rows)))


def grade(
    writer: EvidenceStore, probes: dict[Arm, int], drawn: Drawn, numbers: dict[int, int], part: Sequence[Place]
) -> None:
    grades = [
        (numbers[row], probes[arm], i, drawn.grade((row, arm, i)))
        for row, arm, i in part
        if drawn.response((row, arm, i)).status == "ok"
    ]
    writer.set_grades("drawn", grades, LedgerEntry("grade", 0.0, len(grades)))


def chunks(order: list[Place], draws: random.Random) -> Iterator[list[Place]]:
    while order:
        part, order = order[: (size := draws.randrange(1, 60))], order[size:]
        yield part


def begin(
    path: Path, pool: Any, config: RunConfig, draws: random.Random | None
) -> tuple[dict[Arm, int], dict[int, int]]:
    """A store with the pool in it: the probes, and the samples' numbers by row. Samples are numbered in any order."""
    _, items, _ = pool
    items = list(items)
    if draws:
        draws.shuffle(items)
    with closing(EvidenceStore(path, create=True)) as made:
        made.replace_pool(items, "pool")
        made.set_meta(FACTS, "facts")
        probes = find_probes(made, config, IDENTITY, make=True)
        return probes, {sample.row: sample.sample for sample in made.samples() if sample.images}


def decided(run: Path, pool: Any, config: RunConfig, probes: dict[Arm, int]) -> dict[str, bytes] | str:
    with closing(EvidenceStore(run / files.EVIDENCE)) as store:
        try:
            selection = make_selection(store, config, probes, get_plugins().registry())
        except RapError as error:
            return str(error).replace(str(run), "RUN")
    tables.write_scores(run, selection)
    tables.write_quarantine(run, selection.quarantine)
    tables.write_selected(run, selection, pool[0])
    return {name: (run / name).read_bytes() for name in (files.SCORES, files.SELECTED, files.QUARANTINE)}


@given(st.integers(0, 10**9), CONFIGURED, st.integers(0, 10**9))
@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_evidence_written_in_any_order_by_any_writers_gives_the_same_bytes(
    pool: Any, seed: int, options: dict[str, Any], arrangement: int
) -> None:
    config, drawn, draws = load_config(flags=options, base=pool[2]), Drawn(seed), random.Random(arrangement)
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name, shuffled in (("in_order", None), ("shuffled", draws)):
            run = Path(folder) / name
            run.mkdir()
            probes, numbers = begin(run / files.EVIDENCE, pool, config, shuffled)
            order = [(row, arm, i) for row in sorted(numbers) for arm in probes for i in range(M)]
            with ExitStack() as opened:
                count = shuffled.randrange(1, 4) if shuffled else 1
                writers = [opened.enter_context(closing(EvidenceStore(run / files.EVIDENCE))) for _ in range(count)]
                for write in (store, grade):
                    if shuffled:
                        shuffled.shuffle(order)
                    for part in chunks(list(order), shuffled) if shuffled else [order]:
                        write(draws.choice(writers) if shuffled else writers[0], probes, drawn, numbers, part)
                if shuffled:
                    # What is sampled once more, as after a kill, changes nothing that is stored.
                    store(
                        writers[0],
                        probes,
                        Drawn(seed + 1),
                        numbers,
                        [p for p in order if drawn.response(p).status == "ok"],
                    )
            found.append(decided(run, pool, config, probes))
        assert found[0] == found[1]


@given(st.integers(0, 10**9), st.sampled_from(["rap", "band", "limr", "top", "random", "gap"]), st.integers(0, 10**9))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_instalments_answered_by_any_workers_give_the_same_bytes(
    pool: Any, seed: int, selector: str, arrangement: int
) -> None:
    """Workers answer what an instalment asks for in any order, and are stopped anywhere."""
    flags = {"selection.selector": selector, "sampling.budget_rollouts": 0.6, "selection.lambda_c": 0.0}
    config, drawn, registry = load_config(flags=flags, base=pool[2]), Drawn(seed), get_plugins().registry()
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for workers in (1, random.Random(arrangement).randrange(2, 6)):
            draws, run = random.Random(arrangement), Path(folder) / str(workers)
            run.mkdir()
            probes, numbers = begin(run / files.EVIDENCE, pool, config, draws if workers > 1 else None)
            rows = {number: row for row, number in numbers.items()}
            stored: set[Place] = set()
            with closing(EvidenceStore(run / files.EVIDENCE)) as writer:
                planned = Instalments(writer, config, probes, registry)
                while True:
                    goals, _ = planned.find_next()
                    wanted = [(rows[n], arm, i) for arm in goals for n, goal in goals[arm].items() for i in range(goal)]
                    missing = [place for place in wanted if place not in stored]
                    if not missing:
                        break
                    if workers > 1:
                        draws.shuffle(missing)
                        if draws.random() < 0.3:  # stopped and begun again
                            missing = missing[: max(1, len(missing) // 2)]
                            planned = Instalments(writer, config, probes, registry)
                    for worker in range(workers):
                        part = missing[worker::workers]
                        store(writer, probes, drawn, numbers, part)
                        grade(writer, probes, drawn, numbers, part)
                    stored |= set(missing)
            found.append((decided(run, pool, config, probes), stored))
        assert found[0] == found[1]
