"""`RapDataset` through verl's own functions: the selection and nothing else is trained on, and checkpoints go on."""

from __future__ import annotations

import copy
import io
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("verl", reason="verl is not installed")

from rap_plugin.errors import RapError
from rap_plugin.selectors.row_count import RowCounts
from rap_plugin.verl_hooks.options import rows_per_batch

from .conftest import Prepared, write_verl_pool

Make = Callable[..., Any]


def loader_of(config: Any, dataset: Any) -> Any:
    """The training loader as verl's legacy trainer builds it."""
    from verl.trainer.ppo.ray_trainer import RayPPOTrainer
    from verl.trainer.ppo.utils import create_rl_dataset

    trainer = object.__new__(RayPPOTrainer)
    trainer.config, trainer.tokenizer, trainer.processor = config, None, object()
    validation = create_rl_dataset(config.data.val_files, config.data, None, object())
    trainer._create_dataloader(dataset, validation, None, None)
    return trainer.train_dataloader


def ids_of(batches: Iterator[Any]) -> list[list[str]]:
    return [list(batch["rap_id"]) for batch in batches]


def test_one_epoch_of_verls_loader_is_the_selection(make_dataset: Make, verl_config: Make, prepared: Prepared) -> None:
    dataset = make_dataset()
    assert list(dataset.dataframe["rap_id"]) == prepared.ids
    config = verl_config("data.train_batch_size=1")
    seen = [batch for batches in ids_of(loader_of(config, dataset)) for batch in batches]
    assert sorted(seen) == sorted(prepared.ids)
    assert seen != prepared.ids, "verl shuffles by default"


def test_fewer_rows_than_a_batch_are_filled_up_with_the_next_best_or_repeated(
    make_dataset: Make, prepared: Prepared, caplog: pytest.LogCaptureFixture
) -> None:
    selected = len(prepared.ids)
    batch = f"data.train_batch_size={selected + 5}"
    filled = make_dataset(batch)
    assert set(prepared.ids) < set(filled.dataframe["rap_id"])
    assert len(set(filled.dataframe["rap_id"])) == selected + 5
    assert f"the {selected} selected samples are filled up to {selected + 5}" in caplog.text
    assert f"`rap decide {prepared.run} --set selection.size_minimum={selected + 5}` writes it down" in caplog.text
    assert make_dataset(batch, "+data.rap.reweight=True").curriculum is not None
    repeated = make_dataset(batch, "+data.rap.size_by=repeat")
    assert set(repeated.dataframe["rap_id"]) == set(prepared.ids)
    assert len(repeated) == selected + 5
    with pytest.raises(RapError, match="the training needs at least 9999 rows, as in 9999, 10000, 10001"):
        make_dataset("data.train_batch_size=9999")
    with pytest.raises(RapError, match=r"3 selected rows do not fill one batch of 4 .*; set them to at most 3"):
        make_dataset("data.train_max_samples=3")


def test_verl_makes_steps_on_just_the_numbers_of_rows_that_fit() -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    for train, generated in ((1, None), (4, None), (7, 7), (12, 5), (5, 12)):
        counts = RowCounts(minimum=rows_per_batch({"train_batch_size": train, "gen_batch_size": generated}))
        for size in range(1, 40):
            # As in `PPOTrainer._init_dataloader`, which later divides by the steps of an epoch.
            loader = StatefulDataLoader(range(size), batch_size=generated or train, drop_last=True)
            assert counts.fits(size) == (size // train >= 1 and len(loader) >= 1)


def test_rows_keep_their_columns_prompts_and_images(make_dataset: Make, prepared: Prepared) -> None:
    dataset = make_dataset()
    for i in range(len(dataset)):
        row, known = dataset[i], prepared.selected[i]
        assert row["reward_model"] == known["reward_model"]
        assert row["extra_info"] == known["extra_info"]
        parts = row["raw_prompt"][0]["content"]
        assert [part["type"] for part in parts] == ["image", "text"]
        assert parts[0]["bytes"] == known["images"][0]["bytes"]
        assert row["role"] == known["role"]


def test_validation_files_are_left_as_they_are(make_dataset: Make, prepared: Prepared) -> None:
    dataset = make_dataset(files="val")
    assert len(dataset) == 9
    assert "rap_id" not in dataset.dataframe.column_names
    assert dataset.state_dict() == {}


def test_the_rows_of_an_export_are_known_by_their_rap_id(
    make_dataset: Make, prepared: Prepared, tmp_path: Path
) -> None:
    from rap_plugin.exports import export_run

    path = export_run(prepared.run, "verl", tmp_path / "export").path
    table = pq.read_table(path)
    other = table.set_column(
        table.column_names.index("prompt"),
        table.schema.field("prompt"),
        pa.array([[{"role": "user", "content": "<image>changed"}]] * len(table), table.schema.field("prompt").type),
    )
    pq.write_table(other, path)
    dataset = make_dataset(f"data.train_files={path}")
    assert list(dataset.dataframe["rap_id"]) == prepared.ids


def test_rows_of_another_file_are_known_by_their_content(
    make_dataset: Make, prepared: Prepared, tmp_path: Path
) -> None:
    table = pq.read_table(prepared.pool)
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = tmp_path / "shuffled.parquet"
    twice = pa.concat_tables([table.take(order), table.slice(0, 30)])
    pq.write_table(twice.drop_columns(["role"]), shuffled)
    found = list(make_dataset(f"data.train_files={shuffled}").dataframe["rap_id"])
    assert sorted(found) == sorted(prepared.ids), "each sample once, wherever it lies"
    assert found != prepared.ids


def test_several_files_and_lost_samples_are_told(
    make_dataset: Make, prepared: Prepared, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = pq.read_table(prepared.pool)
    names = [str(tmp_path / f"{part}.parquet") for part in ("a", "b")]
    pq.write_table(table.slice(60, 40), names[0])
    pq.write_table(table.slice(0, 50), names[1])
    dataset = make_dataset(f"data.train_files=[{','.join(names)}]")
    rows = [row["extra_info"]["index"] for row in prepared.selected]
    wanted = [row for row in rows if 60 <= row < 100] + [row for row in rows if row < 50]
    assert [row["index"] for row in dataset.dataframe["extra_info"]] == wanted
    lost = len(rows) - len(wanted)
    assert f"{len(wanted)} of 90 rows are selected in {prepared.run}; {lost} selected samples are not" in caplog.text


def test_train_max_samples_cuts_the_selection_and_not_the_pool(make_dataset: Make, prepared: Prepared) -> None:
    first = make_dataset("data.train_max_samples=5", "data.shuffle=False")
    assert list(first.dataframe["rap_id"]) == prepared.ids[:5]
    drawn = make_dataset("data.train_max_samples=5")
    assert len(drawn) == 5
    assert set(drawn.dataframe["rap_id"]) <= set(prepared.ids)
    assert list(drawn.dataframe["rap_id"]) == list(make_dataset("data.train_max_samples=5").dataframe["rap_id"])


def test_verls_overlong_filter_works_on_the_selected_rows(
    verl_config: Make, make_dataset: Make, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    processor = tiny_processor(tmp_path_factory)
    table = pq.read_table(prepared.pool)
    prompts = table["prompt"].to_pylist()
    long = prepared.selected[3]["extra_info"]["index"]
    prompts[long][0]["content"] += " again" * 400
    path = tmp_path / "long.parquet"
    column = pa.array(prompts, table.schema.field("prompt").type)
    table = table.set_column(table.column_names.index("prompt"), table.schema.field("prompt"), column)
    ids: list[str | None] = [None] * len(table)
    for row in prepared.selected:
        ids[row["extra_info"]["index"]] = row["rap_id"]
    pq.write_table(table.append_column("rap_id", pa.array(ids, pa.string())), path)
    filters = ["data.filter_overlong_prompts=True", "data.max_prompt_length=600"]
    dataset = make_dataset(f"data.train_files={path}", *filters, processor=processor)
    assert list(dataset.dataframe["rap_id"]) == prepared.ids[:3] + prepared.ids[4:]
    with pytest.raises(RapError, match=r"every selected row is longer than data\.max_prompt_length=5"):
        make_dataset("data.filter_overlong_prompts=True", "data.max_prompt_length=5", processor=processor)


def tiny_processor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The processor of a random Qwen2.5-VL."""
    from transformers import AutoProcessor

    from tests.engines import tiny_models

    folder = tmp_path_factory.mktemp("model")
    tiny_models.build("qwen2_5_vl", folder)
    template = (
        "{% for m in messages %}{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
        "{% endfor %}{% endif %}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    return AutoProcessor.from_pretrained(folder)


@pytest.mark.parametrize("flags", [[], ["+data.rap.reweight=True"], ["+data.rap.follow=True", "+data.rap.renew=0.3"]])
def test_a_restored_loader_gives_the_batches_that_were_left(
    make_dataset: Make, verl_config: Make, flags: list[str]
) -> None:
    config = verl_config(*flags)
    whole = loader_of(config, make_dataset(*flags))
    steps, batches, saved = iter(whole), [], b""
    for step in range(2 * len(whole)):
        try:
            batch = next(steps)
        except StopIteration:
            steps = iter(whole)
            batch = next(steps)
        batches.append(list(batch["rap_id"]))
        # Fresh evidence: the first two of every batch are solved by now, the others split.
        whole.dataset.learn({identity: (8, 0) if i < 2 else (4, 4) for i, identity in enumerate(batches[-1])})
        whole.dataset.learn_blind(dict.fromkeys(batches[-1][1:3], (3, 1)))
        if step == 2:
            saved = pickle.dumps(whole.state_dict())
    again = loader_of(config, make_dataset(*flags))
    again.load_state_dict(pickle.loads(saved))
    steps, rest = iter(again), []
    for _ in range(len(batches) - 3):
        try:
            batch = next(steps)
        except StopIteration:
            steps = iter(again)
            batch = next(steps)
        rest.append(list(batch["rap_id"]))
        again.dataset.learn({identity: (8, 0) if i < 2 else (4, 4) for i, identity in enumerate(rest[-1])})
        again.dataset.learn_blind(dict.fromkeys(rest[-1][1:3], (3, 1)))
    assert rest == batches[3:]


def test_the_same_seed_gives_the_same_order_and_another_one_another(make_dataset: Make) -> None:
    def order(*flags: str) -> list[str]:
        dataset = make_dataset("+data.rap.reweight=True", *flags)
        return [dataset[0]["rap_id"] for _ in range(len(dataset))]

    assert order() == order() != order("data.seed=4")


def test_rows_that_the_model_has_solved_come_less_often(make_dataset: Make, prepared: Prepared) -> None:
    dataset = make_dataset("+data.rap.reweight=True")
    solved, split = set(prepared.ids[::2]), set(prepared.ids[1::2])
    for _ in range(6):
        dataset.learn(dict.fromkeys(solved, (8, 0)) | dict.fromkeys(split, (4, 4)))
    drawn = [dataset[0]["rap_id"] for _ in range(10 * len(dataset))]
    counts = {identity: drawn.count(identity) for identity in prepared.ids}
    assert min(counts[identity] for identity in split) > 4 * max(counts[identity] for identity in solved)
    assert min(counts.values()) > 0, "no row is lost for good"


def test_following_asks_the_rows_that_the_posterior_says_of_all_that_were_scored(
    make_dataset: Make, verl_config: Make, prepared: Prepared
) -> None:
    from rap_plugin.hosts.follower import beliefs_of_run
    from rap_plugin.posterior.following import FollowOptions, choose, observe

    numbers = {"half_life": 10.0, "strength": 3.0, "explore": 0.2, "image_weight": 0.4, "headroom": 2.0}
    flags = ["+data.rap.follow=True", "+data.rap.responses=8"]
    flags += [f"+data.rap.{name}={number}" for name, number in numbers.items()]
    scores = pq.read_table(prepared.run / "scores.parquet").to_pylist()
    dataset = make_dataset(*flags)
    assert set(dataset.dataframe["rap_id"]) == {row["rap_id"] for row in scores}
    assert len(dataset) > len(prepared.ids), "what was not selected may come back"
    loader, ids = loader_of(verl_config(*flags), dataset), list(dataset.dataframe["rap_id"])
    options, beliefs = FollowOptions(8, seed=3, **numbers), dataset.curriculum.beliefs
    known = beliefs_of_run(prepared.run, [0] * (max(row["rap_row"] for row in scores) + 1))
    assert beliefs.blind_asked.sum() == known.blind_asked.sum() > 0, "it starts from the evidence of both arms"
    for step, batch in enumerate(loader):
        wanted = [ids[row] for row in choose(beliefs, options, 4, step)]
        assert list(batch["rap_id"]) == wanted
        told = {identity: (8, 0) if ids.index(identity) % 2 else (3, 5) for identity in wanted}
        dataset.learn(told)
        rows = sorted(map(ids.index, wanted))
        beliefs = observe(beliefs, options, rows, [told[ids[row]][0] for row in rows], [8] * 4)
    assert step > 5


def test_rows_say_how_often_they_are_asked_without_their_image_and_what_comes_back_is_believed(
    make_dataset: Make, verl_config: Make
) -> None:
    flags = ["+data.rap.follow=True", "+data.rap.responses=8", "+data.rap.renew=0.1"]
    dataset = make_dataset(*flags)
    rows, before = dataset.curriculum, dataset.curriculum.beliefs
    asked = []
    for batch in loader_of(verl_config(*flags), dataset):
        asked.append(sum(map(int, batch["rap_blind"])))
        told = {identity: (int(times), 0) for identity, times in zip(batch["rap_id"], batch["rap_blind"], strict=True)}
        dataset.learn(dict.fromkeys(batch["rap_id"], (8, 0)))
        dataset.learn_blind(told)
        assert rows.metrics()["rap/follow/blind_rollouts"] == asked[-1]
        assert rows.metrics()["rap/follow/rollouts"] == 32
    assert asked[:6] == [3, 3, 3, 3, 4, 3], "a tenth of 4 x 8"
    at = rows.ids.index(next(identity for identity, times in told.items() if times))
    dataset[0]  # the next batch is chosen from what was told
    fade = 0.5 ** (len(asked) / 100)
    assert rows.beliefs.blind_right[at] >= 1
    untouched = rows.beliefs.seen == -1
    assert untouched.any()
    np.testing.assert_allclose(rows.beliefs.blind_asked[untouched], before.blind_asked[untouched] * fade)


def test_validation_rows_are_never_asked_without_their_image(make_dataset: Make) -> None:
    flags = ["+data.rap.follow=True", "+data.rap.renew=0.1"]
    assert "rap_blind" not in make_dataset(*flags, files="val")[0]
    with pytest.raises(RapError, match=r"needs \+data\.rap\.follow=True"):
        make_dataset("+data.rap.renew=0.1")


def test_following_and_reweighting_are_one_or_the_other(make_dataset: Make) -> None:
    with pytest.raises(RapError, match="two ways to draw rows"):
        make_dataset("+data.rap.follow=True", "+data.rap.reweight=True")
    state = make_dataset("+data.rap.reweight=True").state_dict()
    with pytest.raises(RapError, match="did not follow these rows"):
        make_dataset("+data.rap.follow=True").load_state_dict(state)


def test_the_legacy_trainers_batch_teaches_the_curriculum(make_dataset: Make, prepared: Prepared) -> None:
    import torch
    from verl import DataProto

    dataset = make_dataset("+data.rap.reweight=True")
    before = dataset.curriculum.weights.copy()
    ids = [prepared.ids[0]] * 4 + [prepared.ids[1]] * 4
    rewards = torch.zeros(8, 3)
    rewards[:, 2] = torch.tensor([0.9, 1.0, 0.9, 1.0, 0.1, 0.9, 0.0, 1.0])
    batch = DataProto.from_single_dict(
        {"token_level_scores": rewards, "rap_id": np.array(ids, dtype=object), "acc": (rewards[:, 2] > 0.5).numpy()}
    )
    dataset.on_batch_end(batch=batch)
    after = dataset.curriculum.weights
    assert after[0] < before[0]
    assert after[1] > 0.4
    assert (after[2:] == before[2:]).all()


def test_a_batch_without_ids_says_so(make_dataset: Make) -> None:
    import torch
    from verl import DataProto

    batch = DataProto.from_single_dict({"token_level_scores": torch.zeros(2, 3), "uid": np.array(["a", "b"], object)})
    with pytest.raises(RapError, match="the batch has no column rap_id"):
        make_dataset("+data.rap.reweight=True").on_batch_end(batch)
    make_dataset().on_batch_end(batch)


def test_two_epochs_without_fresh_evidence_are_told(make_dataset: Make, caplog: pytest.LogCaptureFixture) -> None:
    dataset = make_dataset("+data.rap.reweight=True")
    for _ in range(3 * len(dataset)):
        dataset[0]
    assert caplog.text.count("two epochs without rollouts from training: reweight needs RapReplayBuffer") == 1


def test_state_of_other_rows_is_refused(make_dataset: Make, prepared: Prepared) -> None:
    state = make_dataset("+data.rap.reweight=True").state_dict()
    fewer = make_dataset("+data.rap.reweight=True", "data.train_max_samples=5")
    with pytest.raises(RapError, match="the checkpoint's data state is of other rows"):
        fewer.load_state_dict(state)
    fewer.load_state_dict({})


def test_verl_can_read_its_data_set_again_when_it_resumes(make_dataset: Make, prepared: Prepared) -> None:
    dataset = pickle.loads(pickle.dumps(copy.copy(make_dataset())))
    assert not hasattr(dataset, "dataframe"), "verl leaves the rows out of its checkpoints"
    dataset.resume_dataset_state()
    assert list(dataset.dataframe["rap_id"]) == prepared.ids


def test_a_file_of_other_problems_is_one_clear_line(make_dataset: Make, prepared: Prepared, tmp_path: Path) -> None:
    other = write_verl_pool(tmp_path, 20, suffix=" Think first.")
    with pytest.raises(RapError) as raised:
        make_dataset(f"data.train_files={other}")
    line = str(raised.value)
    assert line.startswith(
        f"{other}: none of 20 rows is one of the {len(prepared.ids)} selected in {prepared.run}; train"
    )
    assert "rap export" in line
    assert "\n" not in line


def test_a_run_that_is_not_finished_is_one_clear_line(make_dataset: Make, prepared: Prepared, tmp_path: Path) -> None:
    unfinished = tmp_path / "run"
    unfinished.mkdir()
    with pytest.raises(RapError, match=r"run: no run directory of rap"):
        make_dataset(f"data.rap.run_dir={unfinished}")
    (unfinished / "run.json").write_bytes((prepared.run / "run.json").read_bytes())
    with pytest.raises(
        RapError, match=r"the run is not finished \(there is no selected\.parquet\); `rap select` goes on"
    ):
        make_dataset(f"data.rap.run_dir={unfinished}")
    (unfinished / "scores.parquet").write_bytes((prepared.run / "scores.parquet").read_bytes())
    table = pq.read_table(prepared.run / "selected.parquet")
    pq.write_table(table.drop_columns(["rap_id"]), unfinished / "selected.parquet")
    with pytest.raises(RapError, match=r"has no column rap_id; `rap decide"):
        make_dataset(f"data.rap.run_dir={unfinished}")
    pq.write_table(table.slice(0, 0), unfinished / "selected.parquet")
    with pytest.raises(RapError, match="the selection is empty"):
        make_dataset(f"data.rap.run_dir={unfinished}")


def test_a_run_without_its_evidence_is_enough(make_dataset: Make, prepared: Prepared, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    copied.mkdir()
    for name in ("run.json", "scores.parquet", "selected.parquet"):
        (copied / name).write_bytes((prepared.run / name).read_bytes())
    assert list(make_dataset(f"data.rap.run_dir={copied}").dataframe["rap_id"]) == prepared.ids


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["~data.rap"], r"add \+data\.rap\.run_dir=RUN"),
        (["+data.rap.reweigh=True"], r"data\.rap\.reweigh: extra inputs are not permitted .*known: run_dir, reweight"),
        (["+data.rap.fade=2"], r"data\.rap\.fade: input should be less than or equal to 1"),
        (
            ["+data.rap.reweight=True", "data.dataloader_num_workers=8"],
            r"data\.rap\.reweight needs data\.dataloader_num_workers=0, not 8",
        ),
    ],
)
def test_options_that_cannot_work_are_one_clear_line(make_dataset: Make, flags: list[str], message: str) -> None:
    with pytest.raises(RapError, match=message) as raised:
        make_dataset(*flags)
    assert "\n" not in str(raised.value)


def test_json_lines_are_read_as_verl_reads_them(make_dataset: Make, prepared: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = []
    for row in pq.read_table(prepared.pool).to_pylist():
        image = tmp_path / row["images"][0]["path"]
        image.write_bytes(row["images"][0]["bytes"])
        lines.append(json.dumps({**row, "images": [{"image": str(image)}]}))
    path.write_text("\n".join(lines))
    dataset = make_dataset(f"data.train_files={path}")
    assert list(dataset.dataframe["rap_id"]) == prepared.ids
    assert dataset[0]["raw_prompt"][0]["content"][0]["image"].endswith(prepared.selected[0]["images"][0]["path"])


def test_workers_of_the_loader_give_the_same_rows(make_dataset: Make, verl_config: Make, prepared: Prepared) -> None:
    config = verl_config("data.dataloader_num_workers=2", "data.train_batch_size=1", "data.shuffle=False")
    loader = loader_of(config, make_dataset("data.dataloader_num_workers=2"))
    assert [batch[0] for batch in ids_of(loader)] == prepared.ids
    buffer = io.BytesIO()
    pickle.dump(loader.state_dict(), buffer)
    assert buffer.tell() > 0
