"""run.json keeps what is needed to run again, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.rollout import ModelIdentity
from rap_plugin.run_dir.about import config_of, describe, read_run


def test_no_password_and_no_key_is_written_to_run_json(tmp_path: Path) -> None:
    options = {
        "base_url": "http://me:swordfish@host:8000/v1?token=swordfish",
        "api_key": "swordfish",
        "max_tokens": 7,
        "pad_token": "<pad>",
    }
    config = load_config(flags={"model.id": "m", "model.options": options, "pool.path": "a.jsonl"})
    describe(tmp_path, config, ModelIdentity("m", "r"), {"path": "a.jsonl"})
    assert "swordfish" not in (tmp_path / "run.json").read_text()
    kept = config_of(read_run(tmp_path), tmp_path).model.options
    assert kept == {
        "base_url": "http://***@host:8000/v1?token=***",
        "api_key": "***",
        "max_tokens": 7,
        "pad_token": "<pad>",
    }


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("model", {"name": "m", "revision": "r", "parameters": "many"}, "model.parameters is no number"),
        ("versions", [1], "an object is expected, not \\[1\\]"),
    ],
)
def test_what_the_report_shows_has_its_form(part: str, value: object, said: str, tmp_path: Path) -> None:
    describe(tmp_path, load_config(), ModelIdentity("m", "r"), {"path": "a.jsonl"})
    about = {**read_run(tmp_path), part: value}
    (tmp_path / "run.json").write_text(json.dumps(about))
    with pytest.raises(RapError, match=said):
        read_run(tmp_path)


def test_an_option_of_a_later_version_is_named_in_plain_words(tmp_path: Path) -> None:
    config = load_config().model_dump(mode="json")
    config["sampling"]["future"] = 3
    with pytest.raises(RapError) as error:
        config_of({"config": config}, tmp_path)
    assert "of another version (sampling.future: there is no such option); use the rap" in str(error.value)
