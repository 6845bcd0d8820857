"""`rap modality-gap measure`: a real model on drawn diagrams in both conditions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

pytest.importorskip("transformers", reason="the embedded models need the extra hf")

from rap_plugin.cli import cli
from rap_plugin.config import PoolConfig
from rap_plugin.demo import MODEL_DIR as DEMO_MODEL
from rap_plugin.engines.base import Engine
from rap_plugin.errors import RapError
from rap_plugin.modality_gap import POOL_DIR
from rap_plugin.modality_gap.measure import State, measure_with
from rap_plugin.modality_gap.records import FILE, read_records
from rap_plugin.plugins import get_plugins
from rap_plugin.rollout import Response


@pytest.fixture(scope="module")
def engine() -> Engine:
    from rap_plugin.config import ModelConfig

    found: Engine = get_plugins().registry().get("engines", "hf")(ModelConfig(id=str(DEMO_MODEL)))
    return found


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> PoolConfig:
    """The first three test problems in every rendering, and a row without an image."""
    table = pq.read_table(POOL_DIR / "test.parquet").slice(0, 10)
    rows = table.to_pylist()
    rows[9]["images"] = [{"bytes": b"no image", "path": None}]
    path = tmp_path_factory.mktemp("pool") / "pool.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    return PoolConfig(path=str(path))


class Choosy:
    """An engine that says what it is told, and fails on prompts with a word in them."""

    name, batch_size = "choosy", 1

    def __init__(self, fails: str) -> None:
        self.fails, self.asked = fails, 0

    def generate(self, requests, sampling):
        self.asked += len(requests)
        return [
            [
                Response(number, status="overlong", error="too long")
                if self.fails in request.prompt.text
                else Response(number, "\\boxed{4}", (1, 2), "stop")
                for number in request.rollouts
            ]
            for request in requests
        ]

    def close(self) -> None:
        return None


def words_pool(folder: Path, *questions: str, golds: str = "4") -> PoolConfig:
    picture = pq.read_table(POOL_DIR / "test.parquet", columns=["images"]).slice(0, 1).to_pylist()[0]["images"]
    rows = [{"question": one, "answer": golds, "images": picture, "facts": ["AB = 4"]} for one in questions]
    pq.write_table(pa.Table.from_pylist(rows), folder / "words.parquet")
    return PoolConfig(path=str(folder / "words.parquet"))


def test_a_prompt_that_cannot_be_answered_stops_nothing_and_is_asked_again(tmp_path: Path) -> None:
    pool = words_pool(tmp_path, "A long one?", *(f"Find the length of AB, number {n}." for n in range(3)))
    done = measure_with(Choosy("long"), pool, tmp_path, samples=2, quiet=True)
    assert (done.problems, done.sampled, done.failed) == (4, 12, 2)
    assert len(read_records([tmp_path])[0]) == 6
    again = Choosy("nothing")
    assert measure_with(again, pool, tmp_path, samples=2, quiet=True).failed == 0
    assert again.asked == 2


def test_an_engine_that_answers_nothing_is_told_after_a_few_prompts(tmp_path: Path) -> None:
    engine = Choosy("")
    pool = words_pool(tmp_path, *(f"Find AB, number {n}." for n in range(20)))
    with pytest.raises(RapError, match="none of 8 prompts; the first: too long"):
        measure_with(engine, pool, tmp_path, samples=2, quiet=True)
    with pytest.raises(RapError, match="none of 2 prompts"):
        measure_with(engine, pool.model_copy(update={"limit": 1}), tmp_path, samples=2, quiet=True)


def test_a_gold_that_nobody_can_grade_against_is_no_wrong_answer(tmp_path: Path) -> None:
    pool = words_pool(tmp_path, "Find AB.", golds="<answer></answer>")
    with pytest.raises(RapError, match="none of the 1 rows can be used"):
        measure_with(Choosy("nothing"), pool, tmp_path, samples=2, quiet=True)


@pytest.mark.slow
def test_every_problem_is_answered_in_both_conditions_and_renderings(
    engine: Engine, pool: PoolConfig, tmp_path: Path
) -> None:
    done = measure_with(engine, pool, tmp_path, samples=2, max_new_tokens=24, quiet=True)
    assert (done.problems, done.sampled, done.quarantined) == (3, 3 * 3 * 2 * 2, 1)
    records, problems = read_records([tmp_path])
    assert problems == []
    assert {(r.rendering, r.condition) for r in records} == {
        (name, condition) for name in ("plain", "bold", "hand") for condition in ("text", "image")
    }
    assert {len(r.right) for r in records} == {len(r.answers) for r in records} == {2}
    assert all(0 < count <= 24 for r in records for count in r.tokens)
    assert {r.kind for r in records} == {"triangle_angle", "right_triangle", "perimeter"}


@pytest.mark.slow
def test_what_was_measured_is_not_sampled_again_and_another_step_is(
    engine: Engine, pool: PoolConfig, tmp_path: Path
) -> None:
    small = pool.model_copy(update={"limit": 2})
    first = measure_with(engine, small, tmp_path, samples=2, max_new_tokens=8, quiet=True)
    path = tmp_path / FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:20])  # stopped in the middle of a line
    again = measure_with(engine, small, tmp_path, samples=2, max_new_tokens=8, quiet=True)
    other = measure_with(engine, small, tmp_path, state=State("mix", 0, 5), samples=2, max_new_tokens=8, quiet=True)
    assert (first.sampled, again.sampled, other.sampled) == (8, 2, 8)
    assert len({(r.recipe, r.step) for r in read_records([tmp_path])[0]}) == 2


@pytest.mark.slow
def test_a_pool_without_a_usable_row_says_so(engine: Engine, pool: PoolConfig, tmp_path: Path) -> None:
    rows = pq.read_table(pool.path).slice(9, 1)
    pq.write_table(rows, tmp_path / "bad.parquet")
    with pytest.raises(RapError, match="none of the 1 rows can be used"):
        measure_with(engine, PoolConfig(path=str(tmp_path / "bad.parquet")), tmp_path, quiet=True)


@pytest.mark.slow
def test_the_command_measures_and_the_report_reads_it(pool: PoolConfig, tmp_path: Path) -> None:
    arguments = ["--data", pool.path, "--model", str(DEMO_MODEL), "--limit", "1", "-n", "1", "--max-new-tokens", "4"]
    done = CliRunner().invoke(cli, ["modality-gap", "measure", *arguments, "--out", str(tmp_path), "--quiet"])
    assert done.exit_code == 0, done.output
    assert "1 problems, 2 responses sampled" in done.output
    assert CliRunner().invoke(cli, ["modality-gap", "report", str(tmp_path)]).exit_code == 0
    assert (tmp_path / "gap.html").is_file()
