"""examples/openrlhf: the launch script in OpenRLHF's own parser, the data in OpenRLHF's own dataset class."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from PIL import Image

from rap_plugin.cli.path import PATHS
from rap_plugin.openrlhf_hooks import contract, launch
from rap_plugin.openrlhf_hooks.batches import fitting_rows
from rap_plugin.openrlhf_hooks.filter import Filter, _check_images
from rap_plugin.openrlhf_hooks.launch import wrap_command

from .command import run_command
from .test_dataset import args_of, trainers_rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "openrlhf"
MODELS = ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "OpenGVLab/InternVL3-2B-hf")
INSTRUCTION = "First think inside <think></think>, then put the final answer in \\boxed{}."


@pytest.fixture
def command_of(tmp_path):
    """`command_of(*flags, **variables)`: what launch.sh would start, from a `python` that says how it was called."""
    recorder = tmp_path / "bin" / "python"
    recorder.parent.mkdir()
    recorder.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    recorder.chmod(0o755)
    search = f"{recorder.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def get(*flags, **variables):
        done = subprocess.run(
            ["bash", EXAMPLES / "launch.sh", *flags],
            env={"PATH": search, "HOME": str(tmp_path), **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    return get


@pytest.fixture
def parsed(command_of, monkeypatch):
    """`parsed(*flags, **variables)`: the arguments that OpenRLHF's parser, with our flags in it, makes of launch.sh."""
    monkeypatch.setattr(contract, "require", lambda command: None)
    monkeypatch.setattr(launch, "wrap_command", lambda command, given: None)

    def get(*flags, **variables):
        module, *argv = command_of(*flags, **variables)[1:]
        assert module == "openrlhf.cli.train_ppo_ray"
        launch.install()
        return run_command(argv)

    yield get
    launch.uninstall()


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("estimator", ["group_norm", "rloo"])
@pytest.mark.parametrize("data", ["geometry3k", "mm-eureka"])
@pytest.mark.parametrize("model", MODELS)
def test_the_published_values_arrive(parsed, model, data, estimator, mode):
    file = f"data/{data}/train.jsonl"
    args = parsed(MODEL=model, DATA=file, ESTIMATOR=estimator, MODE=mode)
    assert (args.actor.model_name_or_path, args.data.prompt_dataset) == (model, file)
    assert args.algo.advantage.estimator == estimator
    assert args.actor.adam.lr == 1e-6
    assert (args.rollout.n_samples_per_prompt, args.rollout.batch_size, args.train.batch_size) == (5, 512, 128)
    assert (args.algo.kl.use_loss, args.algo.kl.estimator, args.algo.kl.init_coef) == (True, "k3", 0.01)
    assert (args.data.max_len - args.rollout.max_new_tokens, args.rollout.max_new_tokens) == (2048, 2048)
    assert (args.rollout.temperature, args.rollout.top_p) == (1.0, 1.0)
    assert args.reward.remote_url == [str(PATHS["openrlhf-reward"])]
    assert args.data_filter == "rap"
    contract.require_arguments(args)


def test_the_models_have_the_gpus_that_there_are(parsed):
    sync = parsed(GPUS="4")
    assert (sync.actor.num_gpus_per_node, sync.ref.num_gpus_per_node, sync.vllm.num_engines) == (4, 4, 4)
    assert sync.train.colocate_all
    assert sync.vllm.enable_sleep
    other = parsed(GPUS="8", MODE="async")
    assert (other.actor.num_gpus_per_node, other.ref.num_gpus_per_node, other.vllm.num_engines) == (4, 4, 4)
    assert other.train.async_enable
    assert not other.vllm.enable_sleep


def test_more_nodes_have_more_engines_and_ranks(parsed):
    more = parsed(NODES="4")
    assert (more.actor.num_nodes, more.ref.num_nodes, more.vllm.num_engines) == (4, 4, 32)
    assert more.actor.num_gpus_per_node == 8
    assert fitting_rows(more).multiple == 128
    assert parsed(NODES="2", MODE="async").vllm.num_engines == 8


def test_a_slurm_allocation_becomes_one_ray_and_one_launch(tmp_path):
    log, bin = tmp_path / "log", tmp_path / "bin"
    bin.mkdir()
    for name, text in {
        "scontrol": "echo node1; echo node2; echo node3",
        "getent": "echo '10.0.0.1 STREAM node1'",
        "srun": f'echo "srun $*" >> {log}',
        "python": f'echo "python $1 $2 at $RAY_ADDRESS" >> {log}; [ "$1" != -m ] || printf "%s\\n" "$@" >> {log}',
    }.items():
        (bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin / name).chmod(0o755)
    slurm = {"SLURM_JOB_NUM_NODES": "3", "SLURM_JOB_NODELIST": "node[1-3]", "SLURM_JOB_NAME": "mine"}
    environment = {"PATH": f"{bin}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    environment |= {**slurm, "SHARED": "/shared", "SLURM_SUBMIT_DIR": str(EXAMPLES), "HEAD_START": "0"}
    subprocess.run(["bash", EXAMPLES / "slurm.sh", "--rap.keep", "0.1"], env=environment, check=True, cwd=tmp_path)
    lines = log.read_text().splitlines()
    head = next(line for line in lines if "--head" in line)
    assert "--nodes=1 --ntasks=1 --nodelist=node1 ray start --head --node-ip-address=10.0.0.1 --port=6379" in head
    others = next(line for line in lines if "--exclude" in line)
    assert "--nodes=2 --ntasks=2 --exclude=node1 ray start --address=10.0.0.1:6379 --num-gpus=8" in others
    assert "python - 3 at 10.0.0.1:6379" in lines
    words = lines[lines.index("-m") :]
    given = dict(pairwise(words))
    assert given["-m"] == "openrlhf.cli.train_ppo_ray"
    assert (given["--vllm.num_engines"], given["--actor.num_nodes"]) == ("24", "3")
    assert given["--ckpt.path"] == "/shared/runs/mine/checkpoints"
    assert (given["--rap.evidence"], given["--rap.keep"]) == ("local", "0.1")


def test_without_a_filter_nothing_of_ours_is_in_the_arguments(command_of, parsed):
    assert "--data_filter" not in command_of(FILTER="")
    args = parsed(FILTER="")
    assert not hasattr(args, "data_filter")
    assert not hasattr(args, "rap")


def test_flags_behind_the_script_win(parsed):
    args = parsed("--train.batch_size", "640", "--rap.lambda_c", "0.4", FILTER="band")
    assert args.train.batch_size == 640
    assert vars(args.rap)["lambda_c"] == "0.4"
    assert args.data_filter == "band"


def test_it_trains_for_episodes_keeps_checkpoints_and_logs(parsed):
    args = parsed(EVAL="data/test.jsonl")
    assert (args.train.num_episodes, args.ckpt.save_steps, args.ckpt.max_num) == (10, 5, 3)
    assert args.ckpt.load_enable
    assert args.logger.tensorboard_dir.startswith("runs/")
    assert (args.eval.dataset, args.eval.steps) == ("data/test.jsonl", 5)
    assert parsed(FILTER="").train.num_episodes == 1
    assert parsed(FILTER="", EPISODES="3").train.num_episodes == 3


@pytest.mark.parametrize(
    ("rows", "scoring", "selection", "training", "whole"),
    [
        (2_101, "21,010", "197 rows (9.39%", "80 optimizer steps in 10 episodes: 10 rollout batches, 11,200", "820"),
        (54_931, "549,310", "5,159 rows (9.39%", "2,020 optimizer steps in 10 episodes: 110 rollout", "21,450"),
    ],
    ids=["geometry3k", "MM-Eureka"],
)
def test_a_dry_run_prints_what_a_published_pool_comes_to(
    parsed, tmp_path, capsys, rows, scoring, selection, training, whole
):
    file = tmp_path / "train.jsonl"
    line = json.dumps({"prompt": [{"role": "user", "content": "<image>?"}], "label": "2", "images": ["a.png"]})
    file.write_text((line + "\n") * rows)
    args = parsed(DATA=str(file), OUT=str(tmp_path / "out"))
    given = vars(args.rap) | {"data_filter": "rap", "dry_run": True}
    plan = Filter(args, given).plan()
    assert f"= {scoring} responses" in plan[0]
    assert f"selection: {selection}" in plan[1]
    assert "(a multiple of 32 and at least 26)" in plan[1]
    assert f"training on them: {training}" in plan[2]
    assert plan[3].startswith(f"training on every row: {whole} optimizer steps")
    following = Filter(args, {**given, "follow": True}).plan()
    assert following[0] == plan[0]
    assert following[1].startswith(f"following {rows:,} rows: ")
    command = {"train": lambda args: pytest.fail("training starts"), "create_vllm_engines": None}
    wrap_command(command, given)
    assert command["train"](args) is None
    assert capsys.readouterr().out.splitlines() == [f"rap-plugin: {line}" for line in plan]
    assert not (tmp_path / "out").exists()


def test_an_unknown_mode_is_one_line(command_of):
    with pytest.raises(subprocess.CalledProcessError) as raised:
        command_of(MODE="both")
    assert raised.value.stderr == "launch.sh: MODE is sync or async, not both\n"


# -- data -----------------------------------------------------------------------------------------------------------


def picture(number):
    buffer = io.BytesIO()
    Image.new("RGB", (28, 20), (number, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def geometry3k(folder):
    """Parquet as `hiyouga/geometry3k` is served, all six columns, with one truncated picture."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    struct = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pictures = [picture(1), picture(2)[:40], picture(3)]
    table = pa.table(
        {
            "images": pa.array([[{"bytes": data, "path": None}] for data in pictures], struct),
            "problem": ["<image>Find x.", "<image>Find y.", "<image>Find $m\\angle 1$."],
            "answer": ["3", "4", "2 \\sqrt { 221 }"],
            "id": [0, 1, 2],
            "choices": [["3", "4"]] * 3,
            "ground_truth": ["A", "B", "A"],
        }
    )
    pq.write_table(table, folder / "train.parquet")
    return folder / "train.parquet", ["<image>Find x.", "<image>Find $m\\angle 1$."], ["3", "2 \\sqrt { 221 }"]


def mmk12(folder):
    """Parquet as `FanqingM/MMK12` is served: one picture a row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "id": ["a", "b"],
            "image": pa.array([{"bytes": picture(number), "path": None} for number in (1, 2)], struct),
            "question": ["As shown in the figure, find $x$.", "<image>Find y."],
            "answer": ["$\\frac{1}{2}$", "B"],
            "subject": ["math", "math"],
        }
    )
    pq.write_table(table, folder / "mmk12.parquet")
    questions = ["<image>As shown in the figure, find $x$.", "<image>Find y."]
    return folder / "mmk12.parquet", questions, ["$\\frac{1}{2}$", "B"]


def mm_eureka(folder):
    """JSON lines as in `FanqingM/MM-Eureka-Dataset`: its instruction in front of the question, relative pictures."""
    (folder / "K12").mkdir()
    own = "Your answer must be wrapped in $...$ and stand in <answer> </answer>, i.e. <answer> $2$ </answer>.\nQuestion:\n"
    lines = []
    for number in (1, 2):
        (folder / "K12" / f"{number}.png").write_bytes(picture(number))
        content = own + f"Find x. Question: why {number}?" if number == 1 else "Find y."
        turns = [{"role": "system", "content": "Solve."}, {"role": "user", "content": content}]
        lines.append({"id": str(number), "conversations": turns, "answer": "3", "image_urls": [f"K12/{number}.png"]})
    (folder / "dataset.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "dataset.jsonl", ["<image>Find x. Question: why 1?", "<image>Find y."], ["3", "3"]


@pytest.mark.parametrize("make", [geometry3k, mmk12, mm_eureka])
def test_prepared_rows_are_what_openrlhfs_dataset_reads(make, tmp_path, processor):
    from openrlhf.datasets import PromptDataset
    from openrlhf.utils.vlm_utils import process_prompt_with_images

    pool, questions, labels = make(tmp_path)
    out = tmp_path / "out"
    script = [sys.executable, str(EXAMPLES / "prepare_data.py"), str(pool), str(out)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{len(questions)} rows in {out / 'train.jsonl'}, at most 1 images a row\n")
    assert ("1 rows left out: unreadable_image" in done.stdout) == (make is geometry3k)
    args = args_of(out / "train.jsonl")
    rows = trainers_rows(args)
    _check_images(rows, "images")
    assert [row["prompt"][0]["content"] for row in rows] == [f"{question} {INSTRUCTION}" for question in questions]
    names = {"input_key": "prompt", "label_key": "label", "image_key": "images", "apply_chat_template": True}
    strategy = SimpleNamespace(
        args=SimpleNamespace(data=SimpleNamespace(**vars(args.data), **names)), is_rank_0=lambda: False
    )
    dataset = PromptDataset(rows, processor, strategy)
    for number, label in enumerate(labels):
        _, prompt, found, images = dataset[number]
        assert found == label
        assert prompt.count("<|image_pad|>") == 1
        assert prompt.endswith(f"{INSTRUCTION}<|im_end|>\n<|im_start|>assistant\n")
        tokens, tensors, pictures = process_prompt_with_images(processor, prompt, images)
        assert len(pictures) == 1
        assert "pixel_values" in tensors
        assert tokens


def test_a_pool_that_is_not_there_is_one_line(tmp_path):
    script = [
        sys.executable,
        str(EXAMPLES / "prepare_data.py"),
        str(tmp_path / "nothing.parquet"),
        str(tmp_path / "out"),
    ]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("prepare_data: ")
    assert len(done.stderr.splitlines()) == 1
