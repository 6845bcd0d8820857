"""A run directory that was damaged: every command says so in one line, and none takes what is left for the whole."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rap_plugin.cli import main
from tests.fabricate import finished

Damage = Callable[[Path], None]


def told(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Another run.json."""

    def damage(run: Path) -> None:
        about = json.loads((run / "run.json").read_text())
        change(about)
        (run / "run.json").write_text(json.dumps(about))

    return damage


def written(name: str, content: bytes) -> Damage:
    return lambda run: (run / name).write_bytes(content) and None


def cut(name: str, share: float) -> Damage:
    return lambda run: os.truncate(run / name, int((run / name).stat().st_size * share))


def overwritten(name: str, at: float, size: int = 4096) -> Damage:
    def damage(run: Path) -> None:
        with (run / name).open("r+b") as file:
            file.seek(int((run / name).stat().st_size * at))
            file.write(random.Random(at).randbytes(size))

    return damage


def a_folder(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def gone(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def sql(*statements: str) -> Damage:
    def damage(run: Path) -> None:
        store = sqlite3.connect(run / "evidence.sqlite")
        for statement in statements:
            store.execute(statement)
        store.commit()
        store.close()

    return damage


def without_column(name: str, column: str) -> Damage:
    return lambda run: pq.write_table(pq.read_table(run / name).drop_columns([column]), run / name)


RUN_JSON: dict[str, Damage] = {
    "null": written("run.json", b"null"),
    "list": written("run.json", b"[]"),
    "number": written("run.json", b"3"),
    "nested deeply": written("run.json", b"[" * 100_000),
    "not UTF-8": written("run.json", b"\xff\xfe{}"),
    "a folder": a_folder("run.json"),
    "no configuration": told(lambda about: about.update(config=None)),
    "configuration of a list": told(lambda about: about.update(config=[])),
    "unknown section": told(lambda about: about["config"].update(nope=1)),
    "unknown option": told(lambda about: about["config"]["sampling"].update(nope=1)),
    "no model": told(lambda about: about.update(model=None)),
    "empty model": told(lambda about: about.update(model={})),
    "model of a list": told(lambda about: about.update(model=[1])),
    "model of other types": told(lambda about: about["model"].update(revision=[1])),
    "pool of a list": told(lambda about: about.update(pool=[1])),
    "pool of numbers": told(lambda about: about.update(pool={"path": 3, "path_from_run": 4})),
    "decided before, of a list": told(lambda about: about.update(before_decide=[1])),
    "plugin that is gone": told(lambda about: about["config"].update(plugins=["/nope.py"])),
}
EVIDENCE: dict[str, Damage] = {
    "gone": gone("evidence.sqlite"),
    "a folder": a_folder("evidence.sqlite"),
    "half": cut("evidence.sqlite", 0.5),
    "its end cut": cut("evidence.sqlite", 0.97),
    **{
        f"page at {at}": overwritten("evidence.sqlite", at)
        for at in (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    },
    **{
        f"no {table}": sql("DROP VIEW evidence", f"DROP TABLE {table}") for table in ("responses", "rollouts", "probes")
    },
    **{f"no {table}": sql(f"DROP TABLE {table}") for table in ("samples", "pool", "meta", "ledger")},
    "no responses left": sql("DELETE FROM responses"),
    "a response gone": sql("DELETE FROM responses WHERE sample = 1 AND rollout = 0"),
    "samples gone": sql("DELETE FROM samples WHERE sample = 3"),
    "settings no JSON": sql("UPDATE probes SET settings = '{{'"),
    "status of no kind": sql("UPDATE rollouts SET status = 'zzz'"),
    "verdict of no kind": sql("UPDATE rollouts SET verdict = 'zzz'"),
    "psi of letters": sql("UPDATE rollouts SET psi_window_max_10 = 'abc'"),
    "tokens of letters": sql("UPDATE rollouts SET tokens = 'abc'"),
    "images of letters": sql("UPDATE samples SET images = 'x'"),
    "negative rollouts": sql("UPDATE rollouts SET rollout = rollout - 70"),
    "an id of bytes": sql("UPDATE samples SET id = x'ff' WHERE sample = 1"),
    "questions of bytes": sql("UPDATE samples SET question = x'ff'"),
    "responses of bytes": sql("UPDATE responses SET text = x'ff00'"),
    "a response that is no UTF-8": sql("UPDATE responses SET text = CAST(x'ff00' AS TEXT) WHERE sample = 1"),
    "a question that is no UTF-8": sql("UPDATE samples SET question = CAST(x'fffe' AS TEXT) WHERE sample = 1"),
    "a later version": sql("PRAGMA user_version = 99"),
    "no version": sql("PRAGMA user_version = 0"),
    "a column of another name": sql("DROP VIEW evidence", "ALTER TABLE rollouts RENAME COLUMN verdict TO other"),
}
TABLES: dict[str, Damage] = {
    "scores gone": gone("scores.parquet"),
    "scores a folder": a_folder("scores.parquet"),
    "scores cut": cut("scores.parquet", 0.6),
    "scores overwritten": overwritten("scores.parquet", 0.3, 300),
    "scores of text": written("scores.parquet", b"hello"),
    "scores without verdicts": without_column("scores.parquet", "rap_verdict"),
    "selected gone": gone("selected.parquet"),
    "selected cut": cut("selected.parquet", 0.6),
    "selected overwritten": overwritten("selected.parquet", 0.2, 3000),
    "selected, its footer": overwritten("selected.parquet", 0.97, 60),
    "selected without ids": without_column("selected.parquet", "rap_id"),
    "quarantine gone": gone("quarantine.parquet"),
    "card a folder": a_folder("README.md"),
}
HARMLESS: dict[str, Damage] = {
    "a key that a later rap adds": told(lambda about: (about.update(nope=1), about["model"].update(nope=1))),
    "no place of the pool as seen from the run": told(lambda about: about["pool"].pop("path_from_run")),
    "no place of the pool": told(lambda about: about.update(pool=None)),
    "cost gone": gone("cost.json"),
    "a card of bytes": written("README.md", b"\xff\xfe\xff"),
}


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    """A run beside its pool, in a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    finished(folder, samples=24)
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "here")
    return next(path.parent for path in (tmp_path / "here").rglob("run.json"))


def rap(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Status and standard error; an exception that is no line for users comes through."""
    capsys.readouterr()
    try:
        main([str(argument) for argument in arguments])
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, capsys.readouterr().err


def one_line(status: int, said: str) -> None:
    assert status == 1
    lines = said.splitlines()
    assert len(lines) == 1, said
    assert lines[0].startswith("rap: ")
    assert len(lines[0]) < 600


@pytest.mark.parametrize(
    "damage",
    [pytest.param(damage, id=f"{what}: {name}") for what, some in (("run.json", RUN_JSON), ("evidence", EVIDENCE), ("file", TABLES)) for name, damage in some.items()],
)  # fmt: skip
def test_verify_finds_every_damage(damage: Damage, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(run)
    one_line(*rap(capsys, "verify", run))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_damage_passes(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    HARMLESS[name](run)
    assert rap(capsys, "verify", run) == (0, "")


SOME = [
    *(pytest.param(damage, id=f"run.json: {name}") for name, damage in RUN_JSON.items()),
    *(pytest.param(EVIDENCE[name], id=f"evidence: {name}") for name in ("page at 0.05", "page at 0.4", "no responses", "settings no JSON", "psi of letters", "images of letters", "an id of bytes", "responses of bytes", "a column of another name")),
]  # fmt: skip


@pytest.mark.parametrize("damage", SOME)
def test_no_other_command_shows_a_traceback(
    damage: Damage, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run)
    export = ("export", run, "--to", "jsonl", "--out", tmp_path / "export")
    for command in (("decide", run, "--no-report"), ("report", run), ("compare", run, "--draws", "2"), export):
        status, said = rap(capsys, *command)
        if status:
            one_line(status, said)


def test_a_table_that_is_gone_is_not_made_again_empty(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    EVIDENCE["no responses"](run)
    for command in ("verify", "decide"):
        status, said = rap(capsys, command, run)
        one_line(status, said)
        assert "without the table responses" in said


def test_verify_says_what_is_lost(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    EVIDENCE["a response gone"](run)
    _, said = rap(capsys, "verify", run)
    assert "rollouts have lost their responses" in said


READS = """
import os, sys
from rap_plugin.cli import main

def every(commands):
    for command in commands:
        try:
            main([command, sys.argv[1], "--draws", "2"] if command == "compare" else [command, sys.argv[1]])
        except SystemExit as ended:
            print("status", command, ended.code, flush=True)

every(sys.argv[2:])  # as root: afterwards everything is imported, which another user may not read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("now another user", flush=True)
print("now another user", file=sys.stderr, flush=True)
every(sys.argv[2:])
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="becomes another user, which needs root")
def test_a_run_that_cannot_be_written_can_be_read(whole: Path) -> None:
    here = next(path.parent for path in whole.rglob("run.json"))
    for path in (here, *here.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = subprocess.run(
        [sys.executable, "-c", READS, str(here), "verify", "compare", "decide", "report"],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    for path in (here, *here.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    said, errors = (text.partition("now another user")[2] for text in (done.stdout, done.stderr))
    assert "verdicts and all scores follow from the evidence" in said, done.stderr
    assert "samples selected" in said
    assert [line for line in said.splitlines() if line.startswith("status")] == [
        "status decide 1",
        "status report 1",
    ]
    lines = [line for line in errors.splitlines() if line.startswith("rap: ")]
    assert len(lines) == 2
    assert all("cannot" in line for line in lines)
    assert "Traceback" not in done.stderr
