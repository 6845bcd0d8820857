"""Options as keywords: every one of them, under one name, with a trainer's arguments as defaults."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from rap_plugin.config import option_names
from rap_plugin.errors import Option, RapError
from rap_plugin.trl_hooks.options import LEFT_OUT, option_keywords, read_options, spelling


def test_every_option_has_a_keyword_of_its_own() -> None:
    keywords = option_keywords()
    assert len(set(keywords.values())) == len(keywords)
    assert set(option_names()) - set(keywords) == {name for name in option_names() if name.startswith(LEFT_OUT)}
    assert all(keyword.isidentifier() for keyword in keywords.values())
    assert keywords["selection.lambda_c"] == "lambda_c"
    assert keywords["selection.seed"] == "selection_seed"
    assert keywords["sampling.seed"] == "seed"


def test_keywords_win_over_the_file_which_wins_over_the_trainers_arguments(tmp_path: Path) -> None:
    file = tmp_path / "rap.yaml"
    file.write_text("sampling: {top_p: 0.8, temperature: 0.6}\n")
    args = SimpleNamespace(temperature=0.9, top_p=0.95, max_completion_length=77)
    config = read_options({"temperature": 0.5, "keep": 0.1}, {"model.id": "m"}, args, file)
    assert (config.sampling.temperature, config.sampling.top_p, config.sampling.max_new_tokens) == (0.5, 0.8, 77)
    assert (config.selection.keep, config.model.id) == (0.1, "m")


def test_an_image_size_that_the_trainer_would_not_see_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rap.yaml"
    file.write_text("model: {max_pixels: 400000}\n")
    with pytest.raises(RapError, match="up to the trainer's processor"):
        read_options({}, {}, path=file)
    assert read_options({"max_pixels": 5}, {}).pool.max_pixels == 5


def test_a_slip_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RapError, match="unknown option rolouts; did you mean rollouts"):
        read_options({"rolouts": 5}, {})


def test_a_value_out_of_range_names_the_keyword() -> None:
    with pytest.raises(RapError, match="option keep: "):
        read_options({"keep": 2}, {})


def test_errors_of_the_pipeline_speak_of_keywords() -> None:
    error = RapError(
        Option("selection.lambda_c"), ", ", Option("out"), ", ", Option("extend"), ", ", Option("ace.enabled")
    )
    assert error.text(spelling()) == "lambda_c, out, extend=True, measure_attention"


def test_the_document_names_every_keyword() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "trl.md").read_text(encoding="utf-8")
    assert [keyword for keyword in option_keywords().values() if f"`{keyword}`" not in text] == []
