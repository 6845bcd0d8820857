"""Measures a model on any pool with facts in both conditions, with any registered engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rap_plugin.config import ModelConfig, PoolConfig
from rap_plugin.engines.base import Engine
from rap_plugin.errors import RapError
from rap_plugin.grading import GradeItem
from rap_plugin.modality_gap.prepare import prompts_of
from rap_plugin.modality_gap.records import FILE, Condition, GapRecord, read_records, write_records
from rap_plugin.modality_gap.reward import reward_grader
from rap_plugin.plugins import get_plugins
from rap_plugin.progress import step
from rap_plugin.rollout import Prompt, Request, Response, Sampling
from rap_plugin.samples.images import open_image
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Quarantined, Sample

PROBLEM, KIND, RENDERING = ("problem_id",), ("kind", "type"), ("rendering",)
"""Columns of a pool that say which problem a row shows, of which type, and how it is drawn."""


@dataclass(frozen=True)
class State:
    """The model state that is measured: what the report draws its lines from."""

    recipe: str = "model"
    seed: int = 0
    step: int = 0


@dataclass(frozen=True)
class GapMeasurement:
    """What `measure` did."""

    path: Path
    problems: int
    sampled: int
    """Responses sampled now; those that were there already are not sampled again."""
    quarantined: int
    failed: int = 0
    """Prompts that the engine could not answer now: they are in no record, and the same call asks them again."""


HOPELESS = 8
"""Prompts that the engine fails on before it answers any: fewer can be the rows' own fault."""


@dataclass
class _Count:
    """What the engine did so far."""

    sampled: int = 0
    answered: int = 0
    failed: int = 0
    error: str = ""
    """Of the first prompt that failed."""

    def check(self, *, ended: bool = False) -> None:
        """Raises RapError where nothing can be answered."""
        if self.failed and not self.answered and (ended or self.failed >= HOPELESS):
            raise RapError(f"the engine could answer none of {self.failed:,} prompts; the first: {self.error}")


def measure(
    model: ModelConfig,
    pool: PoolConfig,
    out: str | Path,
    *,
    state: State | None = None,
    samples: int = 4,
    temperature: float = 0.6,
    max_new_tokens: int = 2048,
    system: str = "",
    quiet: bool = False,
) -> GapMeasurement:
    """Opens the engine and the pool, and measures; see `measure_with`. Raises RapError for what a user must mend."""
    engine: Engine = get_plugins().registry().get("engines", model.engine)(model)
    with closing(engine):
        return measure_with(
            engine, pool, out, state=state, samples=samples, temperature=temperature, max_new_tokens=max_new_tokens,
            system=system, quiet=quiet, batch_size=model.batch_size,
        )  # fmt: skip


def measure_with(
    engine: Engine,
    pool: PoolConfig,
    out: str | Path,
    *,
    state: State | None = None,
    samples: int = 4,
    temperature: float = 0.6,
    max_new_tokens: int = 2048,
    system: str = "",
    quiet: bool = False,
    batch_size: int | None = None,
) -> GapMeasurement:
    """Adds to OUT/gap.jsonl the responses of an open engine to every row in both conditions, graded within 1 %.

    The published protocol is 4 responses at temperature 0.6. What the file holds already about this state is not sampled
    again. A response that nobody can grade counts as wrong; a row whose gold nobody can grade against cannot be used; a prompt that
    the engine failed on leaves its record out. Raises RapError where it fails on all.
    """
    state = state or State()
    path = Path(out) / FILE
    options = pool.model_copy(update={"facts": pool.facts or "auto"})
    opened = open_pool(options)
    done = _done(path, state)
    refused, count, grader = 0, _Count(), reward_grader()
    problems: set[str] = set()
    size = max(1, (batch_size or engine.batch_size) // samples)
    drawn = Sampling(temperature=temperature, max_new_tokens=max_new_tokens, seed=state.seed)
    total = min(len(opened), options.limit or len(opened))
    with step("measure the gap", 2 * total, "prompts", quiet=quiet) as advance:
        waiting: list[tuple[GapRecord, Sample, Prompt]] = []
        for item in ingest(opened, options, formats=get_plugins().registry().things["formats"], keep_duplicates=True):
            if isinstance(item, Quarantined) or grader.check_gold(item.gold, item.question) is not None:
                refused += 1
                advance(2)
                continue
            for blank, prompt in _asked(opened, item, state, system):
                problems.add(blank.problem)
                if (blank.problem, blank.rendering, blank.condition) in done:
                    advance(1)
                else:
                    waiting.append((blank, item, prompt))
            while len(waiting) >= size:
                _answer(engine, waiting[:size], drawn, samples, path, count)
                waiting = waiting[size:]
                advance(size)
        if waiting:
            _answer(engine, waiting, drawn, samples, path, count)
            advance(len(waiting))
    if not problems:
        raise RapError(f"{opened.path}: none of the {total:,} rows can be used")
    count.check(ended=not done)
    return GapMeasurement(path, len(problems), count.sampled, refused, count.failed)


def _done(path: Path, state: State) -> set[tuple[str, str, Condition]]:
    if not path.is_file():
        return set()
    try:
        records, _ = read_records([path])
    except RapError:
        return set()
    return {
        (record.problem, record.rendering, record.condition)
        for record in records
        if (record.recipe, record.seed, record.step) == (state.recipe, state.seed, state.step)
    }


def _asked(pool: Pool, sample: Sample, state: State, system: str) -> Iterator[tuple[GapRecord, Prompt]]:
    """Both prompts of a sample, each with the record that waits for its responses."""
    (row,) = pool.rows([sample.row])
    kind, rendering = _value(row, KIND), _value(row, RENDERING)
    problem = _value(row, PROBLEM) or sample.id
    images = tuple(open_image(data) for data in sample.images)
    conditions: tuple[Condition, Condition] = ("text", "image")
    for condition, text in zip(conditions, prompts_of(sample), strict=True):
        blank = GapRecord(state.recipe, state.seed, state.step, problem, kind, rendering, condition, ())
        # Each condition draws on its own, as each arm of a selection does.
        yield blank, Prompt(f"{sample.id}/{condition}", "image", text, images, system)


def _value(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(row[name]).strip() for name in names if row.get(name) is not None), "")


def _answer(
    engine: Engine,
    asked: Sequence[tuple[GapRecord, Sample, Prompt]],
    drawn: Sampling,
    samples: int,
    path: Path,
    count: _Count,
) -> None:
    requests = [Request(prompt, tuple(range(samples))) for _, _, prompt in asked]
    responses = engine.generate(requests, drawn)
    kept = [
        (blank, sample, row)
        for (blank, sample, _), row in zip(asked, responses, strict=True)
        if all(response.status == "ok" for response in row)
    ]
    count.answered += len(kept)
    count.failed += len(asked) - len(kept)
    count.sampled += sum(len(row) for _, _, row in kept)
    count.error = count.error or next((r.error for row in responses for r in row if r.status != "ok"), "")
    if not kept:
        count.check()
        return
    items = [GradeItem(response.text, sample.gold, sample.question) for _, sample, row in kept for response in row]
    grades = iter(reward_grader().grade(items))
    write_records(path, [_filled(blank, row, [next(grades) for _ in row]) for blank, _, row in kept])


def _filled(blank: GapRecord, row: Sequence[Response], grades: Sequence[Any]) -> GapRecord:
    return replace(
        blank,
        right=tuple(float(grade.verdict == "right") for grade in grades),
        answers=tuple(grade.extracted[:200] or None for grade in grades),
        tokens=tuple(len(response.token_ids) for response in row),
    )
