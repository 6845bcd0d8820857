"""The follower: rows of numbered batches, however early they are read, and its state on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.config import AceConfig, RunConfig
from rap_plugin.errors import RapError
from rap_plugin.hosts.follower import Follower, beliefs_of_run
from rap_plugin.posterior.attention import AttentionTest
from rap_plugin.posterior.following import FollowOptions, begin


def make(n: int = 30, lag: int = 2, size: int = 4) -> Follower:
    return Follower(begin([i % 3 for i in range(n)]), FollowOptions(4, seed=7), size, lag)


def tell(follower: Follower, batch: int) -> dict[str, float]:
    rows = follower.rows_of(batch)
    return follower.tell({row: [float((row + k) % 3 == 0) for k in range(4)] for row in rows})


def test_a_batch_has_the_same_rows_however_early_it_is_read() -> None:
    early, late = make(), make()
    read = {0: early.rows_of(0), 1: early.rows_of(1)}
    for batch in range(8):
        tell(early, batch)
        read[batch + 2] = early.rows_of(batch + 2)
        assert late.rows_of(batch) == read[batch]
        tell(late, batch)
    assert len({tuple(rows) for rows in read.values()}) > 5


def test_a_batch_that_is_read_further_ahead_than_its_rewards_allow_is_refused() -> None:
    follower = make(lag=1)
    with pytest.raises(RapError, match="read further ahead"):
        follower.rows_of(1)


def test_a_saved_state_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole = make()
    for batch in range(5):
        tell(whole, batch)
    whole.save(tmp_path / "state.parquet")
    again = make()
    again.load(tmp_path / "state.parquet")
    for batch in range(5, 9):
        assert again.rows_of(batch) == whole.rows_of(batch)
        assert tell(again, batch) == tell(whole, batch)
    np.testing.assert_array_equal(again.beliefs(9).right, whole.beliefs(9).right)


def test_rows_asked_without_their_image_are_believed_and_go_on_after_a_checkpoint(tmp_path: Path) -> None:
    def renewing() -> Follower:
        return Follower(begin([i % 3 for i in range(30)]), FollowOptions(4, seed=7, renew=0.2), 4, 2)

    def step(follower: Follower, batch: int) -> dict[str, float]:
        blind = {row: [1.0] for row in follower.renewals_of(batch)}
        return follower.tell(
            {row: [float((row + k) % 3 == 0) for k in range(4)] for row in follower.rows_of(batch)}, blind
        )

    whole = renewing()
    asked = [step(whole, batch)["rap/follow/blind_rollouts"] for batch in range(6)]
    assert sum(asked) == 19, "a fifth of 6 x 16, rounded down"
    whole.save(tmp_path / "state.parquet")
    again = renewing()
    again.load(tmp_path / "state.parquet")
    for batch in range(6, 9):
        assert again.renewals_of(batch) == whole.renewals_of(batch)
        assert set(whole.renewals_of(batch)) <= set(whole.rows_of(batch))
        assert step(again, batch) == step(whole, batch)
    np.testing.assert_array_equal(again.beliefs(9).blind_right, whole.beliefs(9).blind_right)
    assert 0 < whole.beliefs(9).blind_right.sum() < sum(asked) + 10


def test_a_state_without_renewals_is_still_read(tmp_path: Path) -> None:
    whole = make()
    tell(whole, 0)
    whole.save(tmp_path / "state.parquet")
    table = pq.read_table(tmp_path / "state.parquet")
    about = json.loads(table.schema.metadata[b"rap_follow"])
    about["told"] = [{name: told[name] for name in ("rows", "right", "asked")} for told in about["told"]]
    pq.write_table(table.replace_schema_metadata({"rap_follow": json.dumps(about)}), tmp_path / "old.parquet")
    again = make()
    again.load(tmp_path / "old.parquet")
    assert again.batches == 1


def test_measured_attention_is_believed_and_goes_on_after_a_checkpoint(tmp_path: Path) -> None:
    def measuring() -> Follower:
        options = FollowOptions(4, seed=7, renew_attention=0.2, attention_weight=1.0)
        return Follower(begin([i % 3 for i in range(30)]), options, 4, 2)

    def step(follower: Follower, batch: int) -> dict[str, float]:
        rewards = {row: [float((row + k) % 3 == 0) for k in range(4)] for row in follower.rows_of(batch)}
        attention: dict[int, list[float]] = {}
        for row in follower.measurements_of(batch):
            attention.setdefault(row, []).append(float(row % 2))
        return follower.tell(rewards, attention=attention)

    whole = measuring()
    steps = [step(whole, batch) for batch in range(6)]
    assert [one["rap/follow/attention_measured"] for one in steps] == [3, 3, 3, 3, 4, 3]
    assert all(0 <= one["rap/follow/attention_biased"] <= 1 for one in steps)
    assert not any("rap/follow/blind_rollouts" in one for one in steps)
    whole.save(tmp_path / "state.parquet")
    again = measuring()
    again.load(tmp_path / "state.parquet")
    for batch in range(6, 9):
        assert set(whole.measurements_of(batch)) <= set(whole.rows_of(batch))
        assert again.measurements_of(batch) == whole.measurements_of(batch)
        assert step(again, batch) == step(whole, batch)
    beliefs = whole.beliefs(9)
    np.testing.assert_array_equal(again.beliefs(9).measured, beliefs.measured)
    odd = np.arange(30) % 2 == 1
    assert beliefs.biased[odd].sum() == beliefs.measured[odd].sum() > 0
    assert beliefs.biased[~odd].sum() == 0 < beliefs.measured[~odd].sum()
    assert 20 < beliefs.measured.sum() < 28, "older ones have faded"


def test_a_step_in_which_no_attention_could_be_measured_names_no_share() -> None:
    follower = Follower(begin([0] * 9), FollowOptions(4, renew_attention=0.2), 4)
    metrics = follower.tell({0: [1.0]}, attention={})
    assert metrics["rap/follow/attention_measured"] == 0
    assert "rap/follow/attention_biased" not in metrics


def test_a_state_without_attention_is_still_read(tmp_path: Path) -> None:
    whole = make()
    for batch in range(5):
        tell(whole, batch)
    whole.save(tmp_path / "state.parquet")
    table = pq.read_table(tmp_path / "state.parquet")
    about = json.loads(table.schema.metadata[b"rap_follow"])
    for name in ("measured_rows", "biased", "measured"):
        for told in about["told"]:
            del told[name]
    older = table.drop_columns(["biased", "measured"]).replace_schema_metadata({"rap_follow": json.dumps(about)})
    pq.write_table(older, tmp_path / "old.parquet")
    again = make()
    again.load(tmp_path / "old.parquet")
    assert again.beliefs(5).measured.tolist() == again.beliefs(5).biased.tolist() == [0] * 30
    np.testing.assert_array_equal(again.beliefs(5).right, whole.beliefs(5).right)
    assert again.rows_of(5) == whole.rows_of(5)


@pytest.mark.parametrize("other", [make(n=31), make(size=5)])
def test_a_state_of_another_training_is_refused(other: Follower, tmp_path: Path) -> None:
    make().save(tmp_path / "state.parquet")
    with pytest.raises(RapError, match="another pool or batch"):
        other.load(tmp_path / "state.parquet")


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.parquet").write_text("no")
    with pytest.raises(RapError, match="no state of following"):
        make().load(tmp_path / "state.parquet")
    pq.write_table(pa.table({"group": [1]}), tmp_path / "other.parquet")
    with pytest.raises(RapError, match="no state of following"):
        make().load(tmp_path / "other.parquet")


def test_evidence_of_a_run_is_what_following_begins_with(tmp_path: Path) -> None:
    columns = {
        "rap_row": [0, 2], "rap_right_image": [3, 1], "rap_rollouts_image": [5, 2],
        "rap_right_blind": [0, None], "rap_rollouts_blind": [5, None],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "scores.parquet")
    beliefs = beliefs_of_run(tmp_path, [0, 0, 1])
    assert beliefs.right.tolist() == [3, 0, 1]
    assert beliefs.blind_asked.tolist() == [5, 0, 0]
    with pytest.raises(RapError, match="another pool"):
        beliefs_of_run(tmp_path, [0])


def test_the_psi_of_a_run_counts_as_one_measured_response_of_each_sample(tmp_path: Path) -> None:
    counts = {f"rap_{what}_{arm}": [2, 2, 2] for what in ("right", "rollouts") for arm in ("image", "blind")}
    psi = {"rap_log_psi": [math.log(0.2), None, math.log(0.05)]}
    pq.write_table(pa.table({"rap_row": [3, 0, 2], **counts, **psi}), tmp_path / "scores.parquet")
    model = {"name": "m", "revision": "1"}
    config = RunConfig.model_validate({"pool": {"path": "p"}, "model": {"id": "m"}, "ace": {"window": 5}})
    about = {"config": config.model_dump(mode="json"), "model": model}
    (tmp_path / "run.json").write_text(json.dumps(about))
    beliefs = beliefs_of_run(tmp_path, [0] * 4, AttentionTest(AceConfig(window=5)))
    assert beliefs.measured.tolist() == [0, 0, 1, 1]
    assert beliefs.biased.tolist() == [0, 0, 0, 1]
    assert beliefs_of_run(tmp_path, [0] * 4).measured.tolist() == [0] * 4
    with pytest.raises(RapError, match=r"give ace=\{'window': 5\}"):
        beliefs_of_run(tmp_path, [0] * 4, AttentionTest())
    pq.write_table(pa.table({"rap_row": [3, 0, 2], **counts}), tmp_path / "scores.parquet")
    assert beliefs_of_run(tmp_path, [0] * 4, AttentionTest()).measured.tolist() == [0] * 4
