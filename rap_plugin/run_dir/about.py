"""`run.json`: what a run was made with, enough to run it again."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rap_plugin.config import RunConfig, in_plain_words
from rap_plugin.errors import Command, RapError, one_line, without_secrets
from rap_plugin.evidence.schema import SCHEMA_VERSION
from rap_plugin.rollout import ModelIdentity
from rap_plugin.run_dir.files import RUN, write_json

SECRET = re.compile(r"api_?key|secret|password|(?:auth|access|bearer)_?token|^token$", re.IGNORECASE)
"""Names of options (an engine's, a plugin's) whose values are written nowhere."""

DECIDED = {"grading", "ace", "selection"}
"""Sections that `rap decide` can change."""


def read_run(run: Path) -> dict[str, Any]:
    """`run.json`, checked for being one of ours."""
    try:
        about: dict[str, Any] = json.loads((run / RUN).read_text(encoding="utf-8"))
        _require_shape(about)
    except FileNotFoundError:
        raise RapError(
            f"{run}: no run directory of rap (there is no {RUN}); make one with ", Command("rap select")
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RapError(
            f"{run / RUN}: cannot be read ({one_line(error, 120)}); bring the file back from a copy, or run ",
            Command("rap select"),
            " as before into a new folder",
        ) from None
    return about


def _require_shape(about: Any) -> None:
    """Raises TypeError or KeyError for what no rap wrote; names that a later one may add are left alone."""
    model = about["model"]
    some = (about.get(name) or {} for name in ("pool", "before_decide", "versions"))
    for part in (about, about["config"], model, *some):
        if not isinstance(part, Mapping):
            raise TypeError(f"an object is expected, not {part!r:.40}")
    for name in ("name", "revision", *(name for name in ("weights_hash", "dtype") if model.get(name) is not None)):
        if not isinstance(model[name], str):
            raise TypeError(f"model.{name} is no text")
    if not isinstance(model.get("parameters") or 0, int):
        raise TypeError("model.parameters is no number")
    for name, value in (about.get("pool") or {}).items():
        if not isinstance(value, str):
            raise TypeError(f"pool.{name} is no text")


def config_of(about: Mapping[str, Any], run: Path) -> RunConfig:
    """The configuration that a run was made with."""
    try:
        return RunConfig.model_validate(about["config"])
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{'.'.join(map(str, first['loc']))}: {in_plain_words(first)}"
        raise RapError(
            f"{run / RUN}: its configuration is of another version ({one_line(where, 160)}); use the rap that wrote it"
        ) from None


def identity_of(about: Mapping[str, Any]) -> ModelIdentity:
    """The model that a run was sampled with, as far as the rap that wrote it knew."""
    known = {field.name for field in fields(ModelIdentity)}
    return ModelIdentity(**{name: value for name, value in about["model"].items() if name in known})


def selected_config(about: Mapping[str, Any], run: Path) -> RunConfig:
    """The configuration that `rap select` had, whatever was decided since."""
    config = config_of(about, run)
    before = config_of({"config": {**about["config"], **(about.get("before_decide") or {})}}, run)
    return config.model_copy(update={section: getattr(before, section) for section in DECIDED})


def describe(
    run: Path, config: RunConfig, identity: ModelIdentity, place: Mapping[str, str], *, before: RunConfig | None = None
) -> None:
    """Writes `run.json`: enough to run it again.

    `place` says where the pool lies (`run_dir.pool.place_of`); `before` is the configuration of `rap select` where
    `rap decide` has changed it.
    """
    decided = {"before_decide": before.model_dump(mode="json", include=DECIDED)} if before else {}
    write_json(
        run / RUN,
        {
            "rap_plugin": _version("rap-plugin"),
            "schema_version": SCHEMA_VERSION,
            "model": asdict(identity),
            "config": _shown(config.model_dump(mode="json")),
            **decided,
            "pool": dict(place),
            "versions": {
                "python": platform.python_version(),
                **{
                    name: found
                    for name in ("torch", "transformers", "vllm", "numpy", "pyarrow", "math-verify")
                    if (found := _version(name))
                },
            },
            "command": "rap select --config run.yaml (the section `config` above, as YAML)",
        },
    )


def _shown(value: Any, name: str = "") -> Any:
    """A configuration as it may be kept: without passwords in URLs and without the values of options that are secret."""
    if isinstance(value, Mapping):
        return {key: _shown(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner, name) for inner in value]
    if not isinstance(value, str):
        return value
    return "***" if value and SECRET.search(name) else without_secrets(value)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
