"""Dumps of the released code become runs, and preset `released` selects what that code's formulas select."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.pipeline.released_dumps import import_run
from rap_plugin.pipeline.select import decide_run
from rap_plugin.run_dir.about import config_of, read_run
from tests.fabricate import write_pool

M = 5
Rewards = list[list[float]]


def released_selection(image: Rewards, blind: Rewards) -> list[int]:
    """The released formulas, row by row as METHOD of RAP's released code has them: positions in dataset order."""
    n = len(image)
    a = [sum(1 for reward in rewards if reward == 1) / M for rewards in image]
    t = [sum(1 for reward in rewards if reward == 1) / M for rewards in blind]
    total_a = total_t = 0.0
    for i in range(n):
        total_a += a[i]
        total_t += t[i]
    b = total_a / n
    g = total_a / n - total_t / n
    s = [1 - (value - b) ** 2 / (1 - b) ** 2 if b != 1 else 1.0 for value in a]
    easy = [all(reward >= 0.9 for reward in rewards) for rewards in image]
    right1 = [sum(1 for reward in rewards if reward >= 0.9) == 1 for rewards in image]
    core = [i for i in range(n) if s[i] >= 0.6 and a[i] - t[i] > 0.2 and not easy[i]]
    pool = []
    for i in range(n):
        one = s[i] >= 0.85 and (a[i] - t[i] > g or (right1[i] and a[i] - t[i] >= 0.2))
        other = right1[i] and a[i] - t[i] >= 0.6
        if (one or other) and right1[i]:
            pool.append(i)
    hard = random.Random(42).sample(pool, int(0.1 * len(pool)))
    return sorted(set(core) | set(hard))


def write_dumps(folder: Path, pool: Path, image: Rewards, blind: Rewards) -> tuple[Path, Path]:
    """image.json and txt.json in the released layout."""
    rows = pq.read_table(pool, columns=["problem", "answer", "onlyid", "id"]).to_pylist()
    paths = folder / "image.json", folder / "txt.json"
    for path, rewards in zip(paths, (image, blind), strict=True):
        dump = [
            {
                "onlyid": row["onlyid"],
                "id": row["id"],
                "prompt": f"user: {row['problem']}",
                "answer": f"<think>rollout {i}</think> \\boxed{{{row['answer']}}}",
                "question": row["problem"],
                "ground_truth": row["answer"],
                "reward": reward,
                "response_length": 9 + i,
            }
            for row, values in zip(rows, rewards, strict=True)
            for i, reward in enumerate(values)
        ]
        path.write_text(json.dumps(dump))
    return paths


def selected_rows(run: Path) -> list[int]:
    scores = pq.read_table(run / "scores.parquet", columns=["rap_row", "rap_verdict"]).to_pylist()
    return [row["rap_row"] for row in scores if row["rap_verdict"] in ("selected", "hard_replacement")]


def run_of(folder: Path, image: Rewards, blind: Rewards) -> Path:
    pool = write_pool(folder / "pool.parquet", len(image), seed=3)
    paths = write_dumps(folder, pool, image, blind)
    try:
        return import_run(*paths, pool, folder / "run", report=False, quiet=True).run
    except RapError as error:
        if "the selection is empty" not in str(error):
            raise
        return folder / "run"


def spread(right: int, formatted: int = M) -> list[float]:
    """Rewards of a problem with so many right and well formatted rollouts, the others wrong."""
    return [0.9 * 1 + 0.1 * (i < formatted) if i < right else 0.1 for i in range(M)]


rewards_of_one = st.lists(st.sampled_from([0.0, 0.1, 0.9, 0.9 + 0.1, 1.0]), min_size=M, max_size=M)
counts = st.integers(0, M).map(spread)
dumps = st.lists(
    st.tuples(st.one_of(counts, rewards_of_one), st.one_of(counts, rewards_of_one)), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dumps)
@example([(spread(3), spread(2))] * 3 + [(spread(1), spread(0))] * 12)  # 0.6 - 0.4 > 0.2 is false on doubles
@example([(spread(4), spread(3)), (spread(2), spread(1))] * 4 + [(spread(0), spread(0))] * 30)
@example([(spread(1), spread(0))] * 25)
@example([(spread(5), spread(0))] * 4)
def test_released_on_an_imported_dump_is_exactly_the_released_formulas(
    problems: list[tuple[list[float], list[float]]],
) -> None:
    image, blind = [one for one, _ in problems], [other for _, other in problems]
    with tempfile.TemporaryDirectory() as folder:
        run = run_of(Path(folder), image, blind)
        assert selected_rows(run) == released_selection(image, blind)


def test_the_borderline_of_doubles_is_kept() -> None:
    assert 3 / 5 - 2 / 5 < 0.2 < 4 / 5 - 3 / 5 + 1e-16
    image = [spread(3), spread(4), *[spread(2)] * 6]
    blind = [spread(2), spread(3), *[spread(0)] * 6]
    chosen = released_selection(image, blind)
    assert 0 not in chosen
    with tempfile.TemporaryDirectory() as folder:
        assert selected_rows(run_of(Path(folder), image, blind)) == chosen


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    """(pool, image.json, txt.json, out) of twelve problems, three rollouts each."""
    pool = write_pool(tmp_path / "pool.parquet", 12, seed=1)
    draws = random.Random(5)
    rewards = [[[draws.choice([0.0, 0.1, 0.9, 1.0]) for _ in range(3)] for _ in range(12)] for _ in range(2)]
    rewards[0][:4] = [[1.0, 1.0, 0.0]] * 4
    rewards[1][:4] = [[0.0, 0.1, 0.0]] * 4
    return pool, *write_dumps(tmp_path, pool, *rewards), tmp_path / "run"


def test_an_imported_run_can_be_decided_reported_and_keeps_its_rewards(made: tuple[Path, Path, Path, Path]) -> None:
    from click.testing import CliRunner

    from rap_plugin.cli import cli

    pool, image, blind, out = made
    result = import_run(image, blind, pool, out, report=False, quiet=True)
    assert result.selection.table.rollouts == 3
    assert read_run(out)["model"]["name"] == "imported"
    before = config_of(read_run(out), out)
    after = load_config(flags={"selection.preset": "paper", "selection.lambda_c": 0.3}, base=before)
    decided = decide_run(out, after)
    counted = pq.read_table(out / "scores.parquet").to_pylist()
    dump = json.loads(image.read_text())
    for row in counted:
        here = dump[3 * row["rap_row"] : 3 * row["rap_row"] + 3]
        assert row["rap_acc_image"] == pytest.approx(sum(rollout["reward"] >= 0.9 for rollout in here) / 3)
        assert row["rap_psi"] is None
    assert any("attention was not measured" in note for note in decided.selection.decision.notes)
    assert CliRunner().invoke(cli, ["report", str(out)]).exit_code == 0
    assert CliRunner().invoke(cli, ["export", str(out), "--to", "jsonl"]).exit_code == 0


def test_importing_again_into_the_same_folder_gives_the_same_run(made: tuple[Path, Path, Path, Path]) -> None:
    pool, image, blind, out = made
    import_run(image, blind, pool, out, report=False, quiet=True)
    first = (out / "scores.parquet").read_bytes()
    import_run(image, blind, pool, out, report=False, quiet=True)
    assert (out / "scores.parquet").read_bytes() == first


def test_other_dumps_do_not_go_into_a_run_that_exists(made: tuple[Path, Path, Path, Path]) -> None:
    pool, image, blind, out = made
    import_run(image, blind, pool, out, report=False, quiet=True)
    change(image, lambda rows: rows[0].update(reward=0.0))
    with pytest.raises(RapError, match="holds another run; choose another --out"):
        import_run(image, blind, pool, out, report=False, quiet=True)


def test_rows_are_matched_by_onlyid_and_not_by_position(made: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    pool, image, blind, out = made
    import_run(image, blind, pool, out, report=False, quiet=True)
    for path in (image, blind):
        rows = json.loads(path.read_text())
        groups = [rows[i : i + 3] for i in range(0, len(rows), 3)]
        path.write_text(json.dumps([row for group in reversed(groups) for row in group]))
    import_run(image, blind, pool, tmp_path / "other", report=False, quiet=True)
    assert pq.read_table(out / "scores.parquet").equals(pq.read_table(tmp_path / "other" / "scores.parquet"))


def change(path: Path, how: Callable[[list[dict[str, Any]]], Any]) -> None:
    rows = json.loads(path.read_text())
    how(rows)
    path.write_text(json.dumps(rows))


WRONG: dict[str, tuple[Callable[[list[dict[str, Any]]], Any], str]] = {
    "unknown": (
        lambda rows: [row.update(onlyid="nobody") for row in rows[6:9]],
        "row 6: onlyid nobody is not in the pool",
    ),
    "interrupted": (lambda rows: rows[4].update(onlyid="only-3"), "row 4: onlyid only-3 inside the 3 rows of only-1"),
    "cut short": (lambda rows: rows.pop(), "row 33: onlyid only-11 has 2 of 3 rows; is the file whole"),
    "missing": (lambda rows: rows.__delitem__(slice(9, 12)), r"row 3 of the pool \(onlyid only-3\) has no rollouts"),
    "repeated": (lambda rows: rows.extend(rows[3:6]), "row 36: onlyid only-1 came already at row 3"),
    "other id": (lambda rows: rows[7].update(id="99"), "row 7: id 99, but the pool's row with onlyid only-2 has id 2"),
    "other gold": (
        lambda rows: rows[8].update(ground_truth="x"),
        "row 8: ground_truth 'x', but the pool's answer is '2'",
    ),
    "no reward": (lambda rows: rows[5].update(reward=None), "row 5: the reward is 'None', not a number"),
    "text reward": (lambda rows: rows[5].update(reward="1.0"), "row 5: the reward is '1.0', not a number"),
    "huge reward": (lambda rows: rows[5].update(reward=10**400), "row 5: the reward is '1000"),
    "no object": (lambda rows: rows.__setitem__(10, 7), "row 10: no JSON object but a int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_dump_that_does_not_fit_names_its_first_wrong_row(made: tuple[Path, Path, Path, Path], name: str) -> None:
    pool, image, blind, out = made
    how, message = WRONG[name]
    change(image, how)
    with pytest.raises(RapError, match=message) as caught:
        import_run(image, blind, pool, out, report=False, quiet=True)
    assert "\n" not in str(caught.value)


def test_the_second_dump_needs_as_many_rollouts_as_the_first(made: tuple[Path, Path, Path, Path]) -> None:
    pool, image, blind, out = made
    change(blind, lambda rows: rows.__setitem__(slice(None), [row for i, row in enumerate(rows) if i % 3]))
    with pytest.raises(RapError, match=r"txt\.json: row 2: onlyid only-1 inside the 3 rows of only-0"):
        import_run(image, blind, pool, out, report=False, quiet=True)


def test_a_pool_without_onlyid_is_refused(made: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    pool, image, blind, out = made
    bare = tmp_path / "bare.parquet"
    pq.write_table(pq.read_table(pool).drop_columns(["onlyid"]), bare)
    with pytest.raises(RapError, match="no column 'onlyid'"):
        import_run(image, blind, bare, out, report=False, quiet=True)


def test_rollouts_of_quarantined_rows_are_left_out(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.parquet", 12, seed=1, broken=2)
    rewards = [[1.0, 0.0, 0.0]] * 12
    image, blind = write_dumps(tmp_path, pool, rewards, [[0.0] * 3] * 12)
    result = import_run(image, blind, pool, tmp_path / "run", quiet=True)
    assert len(result.selection.table) == 10
    assert {item.status for item in result.selection.quarantine} == {"unreadable_image"}
