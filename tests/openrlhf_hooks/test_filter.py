"""A filtered launch from the arguments to the trainer's rows; the actors answer by rule."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

import pyarrow.parquet as pq

from rap_plugin.errors import RapError
from rap_plugin.openrlhf_hooks import launch
from rap_plugin.openrlhf_hooks.filter import Filter
from rap_plugin.openrlhf_hooks.flags import spelling
from rap_plugin.pipeline.select import decide_run
from rap_plugin.pipeline.selection import load_selection

from .command import arguments, run_command


@pytest.fixture
def reward_file(tmp_path):
    file = tmp_path / "reward.py"
    file.write_text("def reward_func(queries, prompts, labels):\n    return {'rewards': 1.0}\n")
    return file


@pytest.fixture
def launched(ray_here, stand_ins, tiny_model, reward_file, tmp_path, monkeypatch):
    """`launched(dataset, *flags, **actor options)`: runs the filter; returns the arguments, the actors and the counts."""

    def get(dataset, *flags, **options):
        args = command_arguments(dataset, *flags)
        given = vars(args.rap) | {"data_filter": args.data_filter}
        chosen = Filter(args, given)
        actors = []

        def start():
            assert not actors, "engines are started once"
            actors.extend(stand_ins([options]))
            return list(actors)

        returned = chosen.run(start)
        assert returned == actors
        asked = [entry for actor in actors for entry in ray_here.get(actor.calls.remote()) if entry[0] == "sample"]
        return SimpleNamespace(
            args=args, given=given, run=chosen.run_dir, numbers=chosen.numbers, asked=asked, actors=actors
        )

    def command_arguments(dataset, *flags):
        from rap_plugin.openrlhf_hooks import contract

        monkeypatch.setattr(contract, "require", lambda command: None)
        monkeypatch.setattr(launch, "wrap_command", lambda command, given: None)
        argv = arguments(tiny_model, dataset, "--reward.remote_url", str(reward_file), "--data_filter", "rap")
        launch.install()
        folders = ["--rap.run_dir", str(tmp_path / "run"), "--ckpt.path", str(tmp_path / "checkpoints")]
        return run_command([*argv, *folders, *flags])

    yield get
    launch.uninstall()


def trainers_rows(args):
    from .test_dataset import trainers_rows

    return trainers_rows(args)


def refused(launched, *arguments, **options):
    with pytest.raises(RapError) as raised:
        launched(*arguments, **options)
    line = raised.value.text(spelling())
    assert "\n" not in line
    return line


def test_the_trainer_gets_the_selected_rows_in_their_order(launched, write_chat_pool):
    done = launched(write_chat_pool(12))
    data = done.args.data
    assert (data.prompt_dataset, data.prompt_probs, data.prompt_split) == (str(done.run / "train_rows"), None, "train")
    rows = trainers_rows(done.args)
    selected = pq.read_table(done.run / "selected.parquet").to_pydict()
    assert rows.column_names == ["prompt", "label", "images", "source_row"]
    assert rows["source_row"][:] == selected["source_row"] == sorted(selected["source_row"])
    assert 0 < len(rows) < 12


def test_following_trains_on_every_row_that_can_be_read_and_starts_from_the_evidence_of_both_arms(
    launched, write_chat_pool, tmp_path
):
    from rap_plugin.openrlhf_hooks.additions import from_evidence, require_additions
    from rap_plugin.posterior.following import FollowOptions

    file = write_chat_pool(12)
    (tmp_path / "pictures" / "4.png").write_bytes(b"no image")
    numbers = {"half_life": 30, "strength": 3, "explore": 0.2, "image_weight": 0.4, "headroom": 2, "renew": 0.1}
    numbers |= {"renew_attention": 0.2, "attention_weight": 0.3}
    flags = [word for name, number in numbers.items() for word in (f"--rap.follow_{name}", str(number))]
    done = launched(file, "--rap.follow", *flags)
    assert trainers_rows(done.args)["source_row"][:] == done.numbers == [n for n in range(12) if n != 4]
    follow = from_evidence(require_additions(done.args, done.given).follow, done.args, done.run, done.numbers)
    assert follow.options == FollowOptions(4, seed=done.args.train.seed, **numbers)
    assert follow.length == 11
    scores = {row["rap_row"]: row for row in pq.read_table(done.run / "scores.parquet").to_pylist()}
    names = ("rap_right_image", "rap_rollouts_image", "rap_right_blind", "rap_rollouts_blind")
    *arms, biased, measured = follow.evidence
    for values, name in zip(arms, names, strict=True):
        assert values.tolist() == [scores[number][name] for number in done.numbers]
    log_psi = [scores[number]["rap_log_psi"] for number in done.numbers]
    assert measured.tolist() == [float(value is not None) for value in log_psi]
    assert biased.tolist() == [float(value is not None and value > math.log(0.1)) for value in log_psi]
    assert measured.any()


def test_both_arms_are_asked_with_the_trainers_prompts_and_labels(launched, write_chat_pool):
    done = launched(write_chat_pool(6), "--rap.rollouts", "4", "--rap.lambda_c", "0")
    seen = [entry for entry in done.asked if entry[3]]
    blind = [entry for entry in done.asked if not entry[3]]
    assert len(seen) == len(blind) == 6
    assert {entry[2] for entry in seen} == {str(number) for number in range(6)}
    assert all("<|image_pad|><|vision_end|>What is number" in entry[1] for entry in seen)
    assert all("<|im_start|>user\nWhat is number" in entry[1] for entry in blind)
    assert all(len(entry[4]) == 4 for entry in done.asked)
    assert all(entry[5] for entry in seen)
    assert not any(entry[5] for entry in blind)


def test_the_sampling_settings_are_the_runs_own(launched, write_chat_pool):
    flags = ("--rollout.temperature", "0.7", "--rollout.top_p", "0.95", "--train.seed", "5")
    done = launched(write_chat_pool(10), *flags)
    sampling = json.loads((done.run / "run.json").read_text())["config"]["sampling"]
    assert (sampling["temperature"], sampling["top_p"], sampling["seed"]) == (0.7, 0.95, 5)
    assert (sampling["max_prompt_tokens"], sampling["max_new_tokens"]) == (232, 24)


def test_a_launch_that_misses_nothing_asks_no_engine(launched, write_chat_pool):
    file = write_chat_pool(12)
    first = launched(file)
    again = launched(file)
    assert len(first.asked) == 24
    assert again.asked == []
    # The engines that training needs are started all the same, after the selection.
    assert len(again.actors) == 1
    assert trainers_rows(again.args).to_list() == trainers_rows(first.args).to_list()


def test_a_grown_dataset_asks_for_the_new_rows_alone(launched, write_chat_pool):
    launched(write_chat_pool(8))
    done = launched(write_chat_pool(11))
    numbers = {entry[2] for entry in done.asked}
    assert numbers == {"8", "9", "10"}


def test_other_thresholds_ask_no_engine(launched, write_chat_pool):
    file = write_chat_pool(12)
    launched(file)
    assert launched(file, "--rap.lambda_c", "0.2", "--rap.drm", "off").asked == []


def test_the_run_can_be_decided_and_read_later(launched, write_chat_pool):
    done = launched(write_chat_pool(12))
    selection, store = load_selection(done.run)
    store.close()
    rows = selection.table.rows[selection.decision.chosen].tolist()
    assert rows == trainers_rows(done.args)["source_row"][:]
    config = selection.config.model_copy(deep=True)
    config.selection.lambda_c = 0.0
    assert decide_run(done.run, config).sampled == 0


def test_blends_keep_their_proportions_among_the_selected(launched, write_chat_pool):
    files = f"{write_chat_pool(4, 'a.jsonl')},{write_chat_pool(9, 'b.jsonl', start=20)}"
    done = launched(files, "--data.prompt_probs", "0.8,0.2", "--rap.lambda_c", "0.2", "--rap.drm", "off")
    rows = trainers_rows(done.args)["source_row"][:]
    args = SimpleNamespace(**vars(done.args))
    args.data = SimpleNamespace(**{**vars(args.data), "prompt_dataset": files, "prompt_probs": "0.8,0.2"})
    blend = trainers_rows(args)["source_row"][:]
    assert rows == [number for number in blend if number in set(rows)]
    assert len(rows) > len(set(rows))
    # A repeated problem is sampled once.
    seeds = [seed for entry in done.asked for seed in entry[4]]
    assert len(set(seeds)) == len(seeds)


def test_without_the_flag_the_trainer_reads_the_rows_that_it_would_without_the_package(write_chat_pool, tmp_path):
    files = f"{write_chat_pool(5, 'a.jsonl')},{write_chat_pool(9, 'b.jsonl', start=100)}"
    argv = arguments("model", files, "--data.prompt_probs", "0.7,0.3", "--logger.wandb.run_name", "fixed")
    plain = run_command(argv)
    launch.install()
    hooked = run_command(argv)
    assert hooked == plain
    assert trainers_rows(hooked).to_list() == trainers_rows(plain).to_list()


def test_the_evaluation_set_is_never_touched(launched, write_chat_pool):
    evaluation = str(write_chat_pool(3, "evaluation.jsonl", start=50))
    done = launched(write_chat_pool(12), "--eval.dataset", evaluation)
    assert (done.args.eval.dataset, done.args.eval.split) == (evaluation, "train")
    assert not {entry[2] for entry in done.asked} & {"50", "51", "52"}


def test_an_unreadable_image_is_quarantined_and_the_run_goes_on(launched, write_chat_pool, tmp_path):
    file = write_chat_pool(12)
    (tmp_path / "pictures" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    done = launched(file)
    quarantine = pq.read_table(done.run / "quarantine.parquet").to_pylist()
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [(3, "unreadable_image")]
    assert len(done.asked) == 22


def test_a_reward_that_raises_on_one_sample_leaves_it_ungraded(launched, write_chat_pool):
    done = launched(write_chat_pool(12), silent=(3,))
    quarantine = pq.read_table(done.run / "quarantine.parquet").to_pylist()
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [(3, "engine_error")]
    assert "no response of the" in quarantine[0]["rap_reason"]
    assert 3 not in trainers_rows(done.args)["source_row"][:]


def test_a_row_that_the_engine_fails_on_is_an_engine_error(launched, write_chat_pool):
    done = launched(write_chat_pool(12), fail=(3,))
    quarantine = pq.read_table(done.run / "quarantine.parquet").to_pylist()
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [(3, "engine_error")]


def test_select_only_ends_before_training(launched, write_chat_pool, capsys):
    with pytest.raises(SystemExit) as stopped:
        launched(write_chat_pool(12), "--rap.select_only")
    assert stopped.value.code == 0
    assert "--rap.select_only ends the program before training" in capsys.readouterr().out


def test_an_empty_selection_names_the_verdict_that_took_most(launched, write_chat_pool):
    line = refused(launched, write_chat_pool(12), blind=True)
    assert line.startswith("the selection is empty: ")
    assert "language_prior" in line


def test_a_dataset_without_images_is_refused_before_any_engine(launched, tmp_path):
    file = tmp_path / "plain.jsonl"
    file.write_text('{"prompt": "What is 1 + 1?", "label": "2"}\n' * 3)
    line = refused(launched, file)
    assert line == "--data.image_key: no column 'images' in the dataset, so no images; columns: prompt, label"
    assert not (tmp_path / "run").exists()
    file.write_text('{"prompt": "What is 1 + 1?", "label": "2", "images": []}\n' * 2)
    assert "none of the 2 rows has an image" in refused(launched, file)


def test_images_of_a_kind_that_openrlhf_cannot_load_are_refused(launched, write_pool):
    file = write_pool(4)
    line = refused(launched, file, "--data.input_key", "problem", "--data.label_key", "answer")
    assert "images as {bytes, path}, which OpenRLHF does not load; cast the column to datasets.Image" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--data.max_images_per_prompt", "0"), "--data.max_images_per_prompt is 0: a text-only run"),
        (("--vllm.num_engines", "0"), "set --vllm.num_engines to at least 1"),
        (("--rap.keep", "7"), "--rap.keep: "),
        (("--rap.run_dir", "runs/a,b"), "OpenRLHF splits dataset paths at ','"),
        (("--data.label_key", "gold"), "gold"),
        (("--data.input_key", "question"), "question"),
    ],
)
def test_what_cannot_work_is_one_line_before_any_engine(launched, write_chat_pool, flags, message):
    assert message in refused(launched, write_chat_pool(3), *flags)


def test_a_run_without_a_reward_needs_a_grader(launched, write_chat_pool):
    def without(args):
        args.reward.remote_url = None
        args.data.label_key = "label"
        return args

    args = run_command(arguments("model", write_chat_pool(3)))
    given = {"data_filter": "rap", "run_dir": None, "rows_dir": None, "grader": None, "plugin": None}
    with pytest.raises(RapError, match=r"--rap\.grader math"):
        Filter(without(args), given)
    Filter(without(args), {**given, "grader": "math"})


def test_a_folder_that_is_no_run_is_left_alone(launched, write_chat_pool, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    assert "not empty and not a run directory of rap" in refused(launched, write_chat_pool(3))


def test_a_changed_reward_file_does_not_mix_its_rewards_with_older_ones(launched, write_chat_pool, reward_file):
    file = write_chat_pool(12)
    launched(file)
    reward_file.write_text(reward_file.read_text() + "\n# stricter\n")
    line = refused(launched, file)
    assert "rewards of another version" in line
    assert "--rap.grader" in line


def test_another_temperature_in_the_same_folder_must_be_wanted(launched, write_chat_pool):
    file = write_chat_pool(12)
    launched(file)
    line = refused(launched, file, "--rap.temperature", "0.5")
    assert "choose another --rap.run_dir, or add --rap.extend" in line
    assert len(launched(file, "--rap.temperature", "0.5", "--rap.extend").asked) == 24


# -- a number of rows that the batches can share -----------------------------------------------------------------------

TWO_RANKS = ("--actor.num_gpus_per_node", "2", "--rollout.n_samples_per_prompt", "3")
TWO_RANKS += ("--train.micro_batch_size", "4", "--rollout.micro_batch_size", "4")
"""3 responses a prompt in micro-batches of 4: only multiples of 8 rows are equal shares of two ranks."""


def test_a_selection_gets_a_number_of_rows_that_its_ranks_can_share_and_says_how(launched, write_chat_pool, capsys):
    file = write_chat_pool(13)
    filled = launched(file, *TWO_RANKS)
    verdicts = pq.read_table(filled.run / "scores.parquet").column("rap_verdict").to_pylist()
    rows = trainers_rows(filled.args)["source_row"][:]
    assert (len(rows), verdicts.count("filled_up")) == (8, 4)
    assert all(verdicts[row] in ("selected", "hard_replacement", "filled_up") for row in rows)
    said = capsys.readouterr().out.replace("\n", " ")
    assert "the 4 selected samples are filled up to 8, a multiple of 8 and at least 3" in said
    assert "rap-plugin: 3 optimizer steps in 1 episode: 1 rollout batches, 24 responses" in said

    repeated = launched(file, *TWO_RANKS, "--rap.size_by", "repeat")
    numbers = trainers_rows(repeated.args)["source_row"][:]
    assert repeated.asked == []
    assert [numbers.count(row) for row in sorted(set(numbers))] == [2, 2, 2, 2]
    assert "4 rows are repeated to 8, a multiple of 8" in capsys.readouterr().out


def test_batches_that_no_number_of_rows_fits_are_refused_with_three_that_do(launched, write_chat_pool):
    line = refused(launched, write_chat_pool(13), *TWO_RANKS, "--rollout.batch_size", "12")
    assert "--rollout.batch_size 12: 12 x 3 responses are no equal share for 2 ranks" in line
    assert line.endswith("batch sizes that fit: 8, 16, 24")
    small = refused(launched, write_chat_pool(3), *TWO_RANKS)
    assert (
        "the pool has 3 rows, and the training needs a multiple of 8 and at least 3 of them, as in 8, 16, 24" in small
    )
    assert "set --rap.size_by to repeat" in small


# -- going on with a training -------------------------------------------------------------------------------------------


def test_a_training_does_not_go_on_with_other_rows_than_its_checkpoint(launched, write_chat_pool, tmp_path):
    file, checkpoints = write_chat_pool(12), tmp_path / "checkpoints"
    flags = ("--ckpt.path", str(checkpoints), "--ckpt.load_enable")
    launched(file, *flags)
    (checkpoints / "_actor").mkdir()
    (checkpoints / "_actor" / "latest").write_text("global_step3")
    launched(file, *flags)
    line = refused(launched, file, *flags, "--rap.lambda_c", "0.2", "--rap.drm", "off")
    assert "--ckpt.load_enable: the checkpoint in" in line
    assert "rows than the" in line
    # Started anew there, the training is another one, and the old checkpoint still belongs to the old rows.
    other = flags[:2]
    launched(file, *other, "--rap.lambda_c", "0.2", "--rap.drm", "off")
    assert "--ckpt.load_enable" in refused(launched, file, *flags, "--rap.lambda_c", "0.2", "--rap.drm", "off")
    launched(file, *flags)
