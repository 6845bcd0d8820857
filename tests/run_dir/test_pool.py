"""A run finds its pool again when either moves, and is never silently a run of another pool or of no evidence."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin import RapError, decide_run, load_config, select_run
from rap_plugin.cli import cli
from rap_plugin.exports import export_run
from rap_plugin.pipeline.verify import verify_run
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.samples import pool as pool_module
from tests.conftest import png
from tests.pipeline.test_select import make_config, verdicts

FILES = ("scores.parquet", "selected.parquet", "quarantine.parquet")
READERS = ("decide", "report", "verify")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pool.parquet and a finished run over it, made with a relative path: the one that tests copy."""
    folder = tmp_path_factory.mktemp("made")
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "problem": [f"<image>What is number {i}?" for i in range(30)],
            "answer": [str(i) for i in range(30)],
            "images": pa.array([[{"bytes": png(i), "path": None}] for i in range(30)], pa.list_(struct)),
        }
    )
    pq.write_table(table, folder / "pool.parquet")
    before = Path.cwd()
    os.chdir(folder)
    try:
        select_run(make_config(Path("pool.parquet"), sampling__rollouts=3), "run", quiet=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A copy of it, whose old place is gone as well: `run.json` names a folder that is not there."""
    shutil.copytree(template, tmp_path / "moved")
    about = json.loads((tmp_path / "moved" / "run" / "run.json").read_text())
    about["pool"]["path"] = "/gone/pool.parquet"
    (tmp_path / "moved" / "run" / "run.json").write_text(json.dumps(about))
    return tmp_path / "moved"


def rap(*arguments: object) -> Any:
    return CliRunner().invoke(cli, [str(part) for part in arguments], catch_exceptions=True)


def decided(run: Path, **options: Any) -> Any:
    return decide_run(run, config_of(read_run(run), run), **options)


def test_a_run_made_with_a_relative_path_is_decided_verified_and_reported_from_another_folder(template: Path) -> None:
    run = template / "run"
    before = (run / "selected.parquet").read_bytes()
    assert Path.cwd() != template
    for command in READERS:
        assert rap(command, run).exit_code == 0, command
    assert (run / "selected.parquet").read_bytes() == before
    assert export_run(run, "jsonl", template / "export").rows > 0


def test_a_run_and_its_pool_move_together(folder: Path) -> None:
    decided(folder / "run")
    assert verify_run(folder / "run")
    assert Path(read_run(folder / "run")["pool"]["path"]) == folder / "pool.parquet"


def test_a_pool_that_moved_alone_is_given_once_and_then_known(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.parquet"
    (folder / "pool.parquet").rename(other)
    for command in ("decide", "report"):
        result = rap(command, folder / "run")
        assert "its pool is neither where it was (/gone/pool.parquet) nor beside the run" in str(result.exception)
        assert "--pool" in str(result.exception)
    assert rap("decide", folder / "run", "--pool", other).exit_code == 0
    assert rap("report", folder / "run").exit_code == 0


def test_a_pool_that_was_copied_to_another_time_is_known_by_its_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "HASHED_BYTES", 0)  # as for files above 8 MB
    decided(folder / "run")
    os.utime(folder / "pool.parquet", (1, 1))
    before = verdicts(folder / "run")
    decided(folder / "run")
    assert verdicts(folder / "run") == before


def reorder(table: pa.Table) -> pa.Table:
    return table.take([*range(1, len(table)), 0])


def edit(table: pa.Table) -> pa.Table:
    answers = table["answer"].to_pylist()
    return table.set_column(1, "answer", [[*answers[:7], "77", *answers[8:]]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (reorder, r"row 0 is not the sample that was probed"),
        (edit, r"row 7 is not the sample that was probed"),
        (lambda table: table.slice(0, 20), r"20 rows where the run read 30"),
    ],
    ids=["reordered", "edited", "cut"],
)
def test_a_changed_pool_is_refused_by_every_reader_and_by_select_and_nothing_is_overwritten(
    folder: Path, change: Any, message: str
) -> None:
    run = folder / "run"
    pq.write_table(change(pq.read_table(folder / "pool.parquet")), folder / "pool.parquet")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix in (".parquet", ".json", ".html")}
    with pytest.raises(RapError, match=message) as caught:
        decided(run)
    assert "\n" not in str(caught.value)
    assert "or read this one with `rap select`" in str(caught.value)
    with pytest.raises(RapError, match=message):
        verify_run(run)
    assert message.replace("\\", "") in str(rap("report", run).exception)
    config = config_of(read_run(run), run)
    there = load_config(flags={"pool.path": str(folder / "pool.parquet")}, base=config)
    with pytest.raises(RapError, match="holds a run with"):
        select_run(there, run, quiet=True)
    assert {name: (run / name).read_bytes() for name in before} == before


def test_select_refuses_a_pool_that_lost_a_sample_and_takes_it_with_extend(tmp_path: Path, write_pool) -> None:
    pool = write_pool(12)
    config = make_config(pool, sampling__rollouts=2)
    select_run(config, tmp_path / "run", quiet=True)
    before = {name: (tmp_path / "run" / name).read_bytes() for name in FILES}
    pq.write_table(edit(pq.read_table(pool)), pool)
    with pytest.raises(
        RapError, match=r"1 of 12 samples of this run are gone from the pool or changed in it.*--extend"
    ):
        select_run(config, tmp_path / "run", quiet=True)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in FILES} == before
    assert select_run(config, tmp_path / "run", extend=True, quiet=True).sampled == 4


def test_select_goes_on_with_a_pool_that_has_grown_or_changed_its_order(tmp_path: Path, write_pool) -> None:
    config = make_config(write_pool(12), sampling__rollouts=2)
    select_run(config, tmp_path / "run", quiet=True)
    write_pool(14, order=[*range(1, 14), 0])
    assert select_run(config, tmp_path / "run", quiet=True).sampled == 2 * 4
    assert verify_run(tmp_path / "run")


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_a_run_without_its_evidence_is_an_error_for_every_command_and_loses_nothing(
    folder: Path, content: bytes | None
) -> None:
    run = folder / "run"
    evidence = run / "evidence.sqlite"
    evidence.unlink()
    if content is not None:
        evidence.write_bytes(content)
    before = {name: (run / name).read_bytes() for name in FILES}
    for command in (*READERS, "compare"):
        assert "there is no evidence in this run" in str(rap(command, run).exception), command
    config = config_of(read_run(run), run)
    there = load_config(flags={"pool.path": str(folder / "pool.parquet")}, base=config)
    with pytest.raises(RapError, match="there is no evidence in this run"):
        select_run(there, run, quiet=True)
    assert {name: (run / name).read_bytes() for name in FILES} == before
    assert (evidence.read_bytes() if evidence.exists() else None) == content


def test_a_store_that_holds_nothing_is_an_error_too(folder: Path) -> None:
    from rap_plugin.evidence.store import EvidenceStore

    (folder / "run" / "evidence.sqlite").unlink()
    EvidenceStore(folder / "run" / "evidence.sqlite", create=True).close()
    before = (folder / "run" / "scores.parquet").read_bytes()
    with pytest.raises(RapError, match="holds no evidence"):
        decided(folder / "run")
    assert (folder / "run" / "scores.parquet").read_bytes() == before


def test_a_run_directory_that_is_removed_while_sampling_ends_with_what_happened(tmp_path: Path, write_pool) -> None:
    from rap_plugin import hookimpl
    from rap_plugin.plugins import get_plugins

    class Remover:
        @hookimpl
        def rap_sample_probed(self, sample: Any, rollouts: Any) -> None:
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    remover = Remover()
    get_plugins().register(remover, "remover")
    try:
        with pytest.raises(RapError, match="removed or moved while rap worked there, and what it held is lost"):
            select_run(make_config(write_pool(24)), tmp_path / "run", quiet=True)
    finally:
        get_plugins().unregister(remover)


@pytest.fixture
def path_run(tmp_path: Path) -> Path:
    """A run over a pool that names image files, selected with all of its rows' images in place."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    rows = []
    for i in range(12):
        (tmp_path / "data" / "images" / f"{i}.png").write_bytes(png(i))
        rows.append({"problem": f"<image>What is number {i}?", "answer": str(i), "images": [f"images/{i}.png"]})
    pool = tmp_path / "data" / "pool.jsonl"
    pool.write_text("\n".join(map(json.dumps, rows)))
    config = make_config(pool, sampling__rollouts=2, selection__selector="random", selection__keep=0.5)
    return select_run(config, tmp_path / "run", quiet=True).run


def test_an_export_of_image_paths_says_what_is_missing_and_how_to_give_it(path_run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "other")
    with pytest.raises(RapError, match=r"no such file.*its pool is neither where it was .* with --pool"):
        export_run(path_run, "jsonl")
    exported = export_run(path_run, "jsonl", pool=str(tmp_path / "other" / "pool.jsonl"))
    assert exported.rows == 6
    assert len(list((exported.path.parent / "images").iterdir())) == 6


def test_the_report_and_the_card_name_no_folder_of_this_machine(path_run: Path, tmp_path: Path) -> None:
    for name in ("report.html", "README.md"):
        text = (path_run / name).read_text()
        assert "pool.jsonl" in text
        assert str(tmp_path) not in text, name
        assert str(Path(__file__).parents[2]) not in text, name


def test_the_card_promises_images_only_where_the_rows_hold_them(path_run: Path, template: Path) -> None:
    assert "byte for byte" not in (path_run / "README.md").read_text()
    assert "`rap export` writes the selection" in (path_run / "README.md").read_text()
    assert "byte for byte" in (template / "run" / "README.md").read_text()
