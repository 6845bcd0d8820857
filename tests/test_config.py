"""One YAML file = the flags = `--set`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from rap_plugin.config import field_of, load_config, option_names
from rap_plugin.errors import RapError
from rap_plugin.flags import FLAGS, flag_of


def test_flags_win_over_set_which_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("sampling: {rollouts: 3, seed: 1}\nselection: {lambda_c: 0.1}\n")
    config = load_config(file, {"sampling.rollouts": 7}, ["sampling.seed=2", "sampling.rollouts=6"])
    assert (config.sampling.rollouts, config.sampling.seed, config.selection.lambda_c) == (7, 2, 0.1)


def test_a_file_that_says_the_same_as_the_flags_gives_the_same_configuration(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("selection: {lambda_a: auto, keep: 0.09}\nmodel: {id: some/model}\n")
    flags = {"selection.lambda_a": "auto", "selection.keep": 0.09, "model.id": "some/model"}
    assert load_config(file) == load_config(flags=flags)


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("sampling.rolouts=3", "did you mean sampling.rollouts"),
        ("sampling.rollouts=0", "greater than or equal to 1"),
        ("sampling.rollouts", "expected NAME=VALUE"),
        ("model=7", "model"),
        ("selection.lambda_a=warm", "selection.lambda_a"),
        ("sampling.rollouts=[", "not YAML"),
    ],
)
def test_a_wrong_option_is_one_line_that_says_what_to_do(assignment: str, says: str) -> None:
    with pytest.raises(RapError) as caught:
        load_config(assignments=[assignment])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_configuration_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("- a\n- b\n")
    with pytest.raises(RapError, match="expected sections"):
        load_config(file)


def test_the_released_preset_brings_its_format_reward_unless_told_otherwise() -> None:
    assert load_config(flags={"selection.preset": "released"}).format_weight == 0.1
    assert load_config(flags={"selection.preset": "released", "grading.format_weight": 0.0}).format_weight == 0.0
    assert load_config().format_weight == 0.0


def test_every_flag_names_a_field_that_explains_itself() -> None:
    assert set(FLAGS) <= set(option_names())
    for name in option_names():
        if "." in name:
            assert field_of(name).description, f"{name} has no description"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("selection.lambda_c", float("nan")),
        ("selection.lambda_c", 2),
        ("selection.lambda_c", -5),
        ("selection.lambda_a", float("inf")),
        ("selection.lambda_a", -0.1),
        ("selection.keep", 0),
        ("selection.band", [0.8, 0.2]),
        ("selection.band", [0.2, 1.5]),
        ("selection.limr_threshold", 1.5),
        ("selection.min_graded", 0),
        ("grading.right_at", float("nan")),
        ("sampling.temperature", float("inf")),
    ],
)
def test_a_value_that_no_run_can_have_is_refused_in_one_line(name: str, value: object) -> None:
    with pytest.raises(RapError) as caught:
        load_config(flags={name: value})
    assert "\n" not in str(caught.value)
    assert name in str(caught.value) or flag_of(name) in str(caught.value)


def test_a_preset_brings_the_prompt_that_its_method_trains_with() -> None:
    for preset in ("paper", "released"):
        instruction = load_config(flags={"selection.preset": preset}).prompt.instruction
        assert instruction is not None
        assert "<think></think>" in instruction
        assert "\\boxed{}" in instruction
    assert load_config(flags={"prompt.instruction": ""}).prompt.instruction == ""
    assert load_config(flags={"prompt.instruction": "Be brief."}).prompt.instruction == "Be brief."
    # A host's prompts are its own.
    assert load_config(flags={"prompt.host_recipe": "abc"}).prompt.instruction == ""


def test_a_pools_own_instruction_goes_where_another_one_comes() -> None:
    assert load_config().pool.own_instruction == "remove"
    assert load_config(flags={"prompt.instruction": ""}).pool.own_instruction == "keep"
    flags = {"prompt.instruction": "", "pool.own_instruction": "remove"}
    assert load_config(flags=flags).pool.own_instruction == "remove"


def test_template_options_that_rap_sets_itself_are_refused() -> None:
    options = {"enable_thinking": False}
    assert load_config(flags={"prompt.template_options": options}).prompt.template_options == options
    with pytest.raises(RapError, match="tokenize is set by rap itself"):
        load_config(assignments=["prompt.template_options={tokenize: false}"])


HOSTILE = (
    "[" * 1100, "2020-13-45: 3", "1: 2", "? [a]\n: 3", "sampling: {1: 2}", "sampling: {null: 3}", "sampling: 3", "sampling: {seed: 1e400}",
    "sampling: {seed: .nan}", "sampling: {rollouts: 99999999999999999999999}", "x: !!python/object/apply:os.system [ls]", "&a [*a]",
    "sampling: &a {seed: *a}", "\x00", "---\na: 1\n---\nb: 2", "<<: [1,2]", "selection: {band: {}}", "plugins: [1]", "- 1", "a: !!timestamp 'x'",
    f"sampling: {{seed: {'9' * 5000}}}", "sampling: !!set {a, b}",
    "a: &a [1,1]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)) + "sampling: *i",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_configuration_file_is_one_bounded_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(RapError) as error:
        load_config(path)
    assert len(str(error.value)) < 1000
    assert "\n" not in str(error.value)


def test_an_option_that_a_file_names_twice_is_refused_and_not_the_last_one_taken(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("sampling:\n  rollouts: 2\n  seed: 1\n  rollouts: 3\n")
    with pytest.raises(RapError, match=r"`rollouts` stands twice in one section \(line 4\)"):
        load_config(path)


@pytest.mark.parametrize("name", option_names())
def test_no_value_of_any_option_is_a_traceback(name: str) -> None:
    for value in (
        "9" * 23,
        "-1",
        "x",
        "[1,2]",
        "{a: 1}",
        "1e999",
        ".nan",
        "''",
        "[[[[[[1]]]]]]",
        "!!timestamp x",
    ):
        with contextlib.suppress(RapError):
            load_config(assignments=[f"{name}={value}"])
    for seed in ("sampling.seed", "selection.seed"):
        with pytest.raises(RapError, match="less than"):
            load_config(assignments=[f"{seed}={10**22}"])


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("sampling=3", "option sampling: a section of options is expected (got 3)"),
        ("prompt.template_options=3", "names with values are expected"),
        ("selection.band=0.5", "a list of values is expected"),
        ("selection.band=[0.8, 0.2]", "option selection.band: two accuracies between 0 and 1 are expected"),
        ("sampling.rollouts=many", "option sampling.rollouts: input should be a valid integer (got 'many')"),
        ("=3", "unknown option without a name"),
    ],
)
def test_a_wrong_value_is_answered_in_the_words_of_the_options_and_not_of_the_library(
    assignment: str, says: str
) -> None:
    with pytest.raises(RapError) as error:
        load_config(assignments=[assignment])
    assert says in str(error.value)
    assert "value error" not in str(error.value)
    assert "config" not in str(error.value)
