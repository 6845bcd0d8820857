"""The flag in OpenRLHF's own parser: there when given, without a trace when not."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from rap_plugin.config import option_names
from rap_plugin.errors import RapError
from rap_plugin.openrlhf_hooks import contract, flags, launch, measuring

from .command import arguments, run_command


@pytest.fixture(autouse=True)
def parser_as_it_was():
    plain = argparse.ArgumentParser.parse_args
    yield
    launch.uninstall()
    assert argparse.ArgumentParser.parse_args is plain


def with_hook(argv, train=None):
    launch.install()
    return run_command(argv, train)


def with_filter(monkeypatch, argv):
    """The arguments that `train` gets, without looking at the rest of the installed OpenRLHF."""
    monkeypatch.setattr(contract, "require", lambda command: None)
    monkeypatch.setattr(launch, "wrap_command", lambda command, given: None)
    return with_hook(argv)


def error_line(capsys, argv, code=1):
    with pytest.raises(SystemExit) as stopped:
        with_hook(argv)
    assert stopped.value.code == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_without_the_flag_the_parsed_arguments_are_the_same(tmp_path):
    argv = arguments("model", "train.jsonl", "--train.async_enable", "--logger.wandb.run_name", "fixed")
    assert with_hook(argv) == run_command(argv)


def test_without_the_flag_nothing_of_the_command_is_wrapped(monkeypatch):
    wrapped = []
    monkeypatch.setattr(launch, "wrap_command", lambda *args: wrapped.append(args))
    with_hook(arguments("model", "train.jsonl"))
    assert wrapped == []


def test_help_is_the_same_with_one_group_more(capsys):
    def help_text(run):
        with pytest.raises(SystemExit):
            run(["--help"])
        text = capsys.readouterr().out
        return text[text.index("\noptions:") :]

    plain, ours = help_text(run_command), help_text(with_hook)
    assert ours.startswith(plain.rstrip("\n"))
    assert ours[len(plain.rstrip("\n")) :].lstrip().startswith("data filter (rap-plugin):\n")


def test_help_lists_every_selection_option(capsys):
    with pytest.raises(SystemExit):
        with_hook(["--help"])
    text = capsys.readouterr().out
    shown = flags.option_flags()
    for name in option_names():
        if name.split(".")[0] in ("sampling", "grading", "ace", "selection") and name != "selection.selector":
            assert f"--{shown[name]} " in text
    for name in ("data_filter", "rap.run_dir", "rap.select_only", "rap.extend", "rap.plugin", "rap.blind"):
        assert f"--{name} " in text
    assert "band, follow, gap, limr, random, rap, top" in " ".join(text.split())


def test_flags_have_names_of_their_own():
    names = list(flags.option_flags().values())
    assert len(set(names)) == len(names)
    assert {"rap.rollouts", "rap.lambda_c", "rap.lambda_a", "rap.preset", "rap.keep"} <= set(names)


def test_the_values_reach_the_configuration(monkeypatch):
    argv = ["--data_filter", "band", "--rap.lambda_a", "auto", "--rap.drm", "off", "--rap.band", "0.1", "0.5"]
    args = with_filter(monkeypatch, arguments("model", "train.jsonl", *argv, "--rap.seed", "7", "--rap.rollouts", "3"))
    assert args.data_filter == "band"
    config = flags.read_config(args.data_filter, vars(args.rap), {"sampling.top_p": 0.9, "sampling.seed": 1})
    assert config.selection.selector == "band"
    assert config.selection.lambda_a == "auto"
    assert config.selection.drm is False
    assert config.selection.band == (0.1, 0.5)
    assert (config.sampling.seed, config.sampling.rollouts, config.sampling.top_p) == (7, 3, 0.9)


def test_a_value_that_does_not_fit_is_one_line_with_the_flag():
    with pytest.raises(RapError, match=r"--rap\.keep: .*less than or equal to 1.*got 3"):
        flags.read_config("rap", {"keep": "3"}, {})


def test_an_unknown_filter_lists_the_known_ones(capsys):
    line = error_line(capsys, arguments("model", "train.jsonl", "--data_filter", "rapp"))
    assert line.startswith("rap-plugin: unknown selector 'rapp'; known: band, follow, gap, limr, random, rap, top")


@pytest.mark.parametrize(("more", "follows"), [(["--data_filter", "follow"], True), (["--data_filter", "rap"], False)])
def test_the_selector_of_following_follows(more, follows):
    parser = argparse.ArgumentParser()
    flags.add_flags(parser, {})
    assert launch.take_flags(parser.parse_args(more))["follow"] is follows


def test_a_flag_of_the_filter_without_the_filter_is_an_error(capsys):
    line = error_line(capsys, arguments("model", "train.jsonl", "--rap.rollouts", "3"))
    assert line == "rap-plugin: --rap.rollouts needs --data_filter NAME; leave it out to train on the whole dataset"


FOLLOWING = ["--rap.follow", "--reward.remote_url", "reward.py"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--rap.contrastive", "k4"], "rap-plugin: contrastive form 'k4'; there are k3, forward_kl, nll"),
        (["--rap.follow_explore", "0.5"], "rap-plugin: --rap.follow_explore needs --rap.follow"),
        (
            ["--rap.follow"],
            "rap-plugin: --rap.follow follows the scores of --reward.remote_url or --train.agent_func_path; a reward "
            "model's come too late",
        ),
        (
            ["--rap.follow", "--rap.follow_groups", "kind", "--reward.remote_url", "reward.py"],
            "rap-plugin: --rap.follow_groups kind: the dataset has no such column; columns: ",
        ),
        ([*FOLLOWING, "--rap.follow_right_at", "nan"], "rap-plugin: --rap.follow_right_at nan: give the score"),
        ([*FOLLOWING, "--rap.follow_strength", "inf"], "rap-plugin: following with strength=inf: give a number"),
        (["--rap.window", "5", "--rap.follow"], "rap-plugin: --rap.window needs --data_filter NAME"),
        (
            [*FOLLOWING, "--rap.follow_renew_attention", "0.1", "--rap.window", "7"],
            "rap-plugin: option --rap.window: ",
        ),
        (
            [*FOLLOWING, "--rap.follow_attention_weight", "0.5"],
            "rap-plugin: --rap.follow_attention_weight weighs nothing: give --rap.follow_renew_attention",
        ),
        (
            [*FOLLOWING, "--rap.follow_renew_attention", "0.5", "--rap.lambda_a", "auto"],
            "rap-plugin: lambda_a 'auto' is a quantile of a whole pool; a training needs a number",
        ),
        (
            ["--rap.follow", "--rap.follow_renew_attention", "0.1", "--train.agent_func_path", "agent.py"],
            "rap-plugin: --rap.follow_renew_attention: attention over several turns of --train.agent_func_path has no meaning",
        ),
        (
            [
                *FOLLOWING,
                "--rap.follow_renew_attention",
                "0.1",
                "--train.async_enable",
                "--train.partial_rollout_enable",
            ],
            "rap-plugin: --rap.follow_renew_attention: responses of --train.partial_rollout_enable are of more than one model",
        ),
        (["--rap.contrastive_key", "other"], "rap-plugin: --rap.contrastive_key needs --rap.contrastive FORM"),
        (
            ["--rap.contrastive", "k3", "--train.dynamic_batch_enable"],
            "rap-plugin: --rap.contrastive counts the chosen tokens of an optimizer step by micro-batches of "
            "--train.micro_batch_size; leave out --train.dynamic_batch_enable",
        ),
        (
            ["--rap.contrastive", "k3"],
            "rap-plugin: --rap.contrastive: no column 'contrastive_prompt' in --data.prompt_dataset; columns: ",
        ),
    ],
)
def test_what_cannot_be_added_to_a_training_is_one_line(capsys, write_chat_pool, argv, said):
    def train(args):
        raise AssertionError("must not start")

    pool = write_chat_pool(2)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        with_hook(arguments("model", pool, *argv), train)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rap-plugin: ")]
    assert len(lines) == 1
    assert lines[0].startswith(said)


def test_the_contrastive_loss_needs_no_filter_and_puts_our_classes_in_place(monkeypatch, write_chat_pool):
    from openrlhf.trainer import ppo_trainer

    from rap_plugin.openrlhf_hooks.contrastive_actor import ContrastivePolicyActor
    from rap_plugin.openrlhf_hooks.trainer import RapTrainer

    pool = write_chat_pool(2, contrastive_prompt=[{"role": "user", "content": "<image>Look."}])
    args = with_filter(monkeypatch, arguments("model", pool, "--rap.contrastive", "nll"))
    monkeypatch.undo()
    monkeypatch.setattr(ppo_trainer, "PPOTrainer", ppo_trainer.PPOTrainer)  # put back at the end
    seen = []
    command = {"create_vllm_engines": lambda: ["engine"]}
    command["train"] = lambda args: seen.append(command["create_vllm_engines"]())
    launch.wrap_command(command, {**vars(args.rap), "data_filter": None})
    command["train"](args)
    assert seen == [["engine"]]
    assert command["PolicyModelActor"].__ray_metadata__.modified_class.__ray_actor_class__ is ContrastivePolicyActor
    assert (ppo_trainer.PPOTrainer.kind, ppo_trainer.PPOTrainer.additions.other_key) == (
        RapTrainer,
        "contrastive_prompt",
    )
    assert args.rap_contrastive == {"form": "nll", "coefficient": 0.01, "sampled_by": "teacher"}


@pytest.mark.parametrize(
    ("more", "kind"), [([], "RolloutRayActor"), (["--rap.follow_renew_attention", "0.1"], "MeasuringRolloutActor")]
)
def test_a_training_that_measures_gets_actors_that_can_show_their_attention(monkeypatch, write_chat_pool, more, kind):
    from openrlhf.trainer import ppo_trainer

    actor = f"{contract.ENGINES}:RolloutRayActor"
    args = with_filter(monkeypatch, arguments("model", write_chat_pool(4), *FOLLOWING, *more))
    monkeypatch.undo()
    monkeypatch.setattr(ppo_trainer, "PPOTrainer", ppo_trainer.PPOTrainer)  # put back at the end
    tried, seen, before = [], [], contract.named(actor)
    monkeypatch.setattr(measuring, "require_measurable", lambda engines, args: tried.append(engines))
    command = {"create_vllm_engines": lambda: [contract.plain_class(actor).__name__]}
    command["train"] = lambda args: seen.append(command["create_vllm_engines"]())
    launch.wrap_command(command, {**vars(args.rap), "data_filter": None})
    command["train"](args)
    assert seen == [[kind]]
    assert tried == ([[kind]] if more else [])
    assert contract.named(actor) is before


def test_a_users_selector_is_known_by_its_file(monkeypatch, tmp_path):
    from rap_plugin.plugins import get_plugins

    file = tmp_path / "mine.py"
    file.write_text(
        "from rap_plugin import hookimpl\n\n\n@hookimpl\ndef rap_register_selectors(register):\n    register('mine', print)\n"
    )
    argv = ["--data_filter", "mine", "--rap.plugin", str(file)]
    try:
        assert with_filter(monkeypatch, arguments("model", "train.jsonl", *argv)).data_filter == "mine"
    finally:
        get_plugins().unregister(get_plugins().manager.get_plugin(str(file)))


def test_other_parsers_are_left_alone():
    launch.install()
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--data.prompt_dataset")
    assert vars(parser.parse_args([])) == {"data.prompt_dataset": None}
    assert argparse.ArgumentParser.parse_args is launch._parse_args


def test_the_explicit_launcher_says_what_is_missing():
    code = (
        "import importlib.util as util, sys; real = util.find_spec;"
        "util.find_spec = lambda name, *rest: None if name == 'openrlhf' else real(name, *rest);"
        "from rap_plugin.openrlhf_hooks.train_ppo_ray import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "rap-plugin: OpenRLHF is not installed; install it with: pip install openrlhf\n"
