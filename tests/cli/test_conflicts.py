"""`rap doctor`: every known conflict is found where it is, with the command that mends it."""

from __future__ import annotations

import importlib.metadata
import json
import resource
import shutil
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli, conflicts


def only(found: Any) -> conflicts.Conflict:
    (conflict,) = list(found)
    assert isinstance(conflict, conflicts.Conflict)
    return conflict


def test_the_antlr_that_lmms_eval_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(conflicts, "version", lambda name: "4.7.2" if name.startswith("antlr4") else real(name))
    monkeypatch.setitem(sys.modules, "math_verify", None)  # what an import under antlr 4.7.2 comes to: it fails
    conflict = only(conflicts.grading())
    assert "antlr4-python3-runtime 4.7.2" in conflict.says
    assert conflict.mend == "pip install --no-deps antlr4-python3-runtime==4.9.3"


def test_the_filelock_under_which_lmms_eval_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"lmms-eval": "0.7.3", "filelock": "4.3.1"}
    monkeypatch.setattr(conflicts, "version", versions.__getitem__)
    assert only(conflicts.lmms_eval()).mend == "pip install 'filelock<4'"
    versions["filelock"] = "3.32.7"
    assert not list(conflicts.lmms_eval())


def test_a_host_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(conflicts, "version", lambda name: "4.40.0" if name == "transformers" else real(name))
    conflict = only(conflicts.versions())
    assert conflict.about == "transformers"
    assert conflict.mend.startswith("pip install 'transformers>=")


def test_a_torchvision_without_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert only(conflicts.torchvision()).mend == "pip install --force-reinstall torch torchvision"


def test_little_disk_shared_memory_and_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3 << 30, total=64 << 20))
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 524288))
    assert "3.0 GiB" in only(conflicts.disk()).says
    assert "--shm-size" in only(conflicts.shared_memory()).mend
    assert only(conflicts.open_files()).mend == "ulimit -n 65536"


def test_a_program_gets_the_same_as_json() -> None:
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    facts = json.loads(result.stdout)
    assert facts["packages"]["torch"]["tested"]
    assert all(set(conflict) == {"about", "says", "mend"} for conflict in facts["conflicts"])
