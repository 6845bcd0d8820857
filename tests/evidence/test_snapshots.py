"""Evidence on the local disk with snapshots elsewhere: what a killed process leaves, and what goes on from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rap_plugin.config import StorageConfig
from rap_plugin.errors import RapError
from rap_plugin.evidence import filesystem, snapshots
from rap_plugin.evidence.snapshots import keeps_working_copy, live_file, working_store
from rap_plugin.evidence.store import EvidenceStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "evidence.sqlite"


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., StorageConfig]:
    def make(machine: str = "here", **options: object) -> StorageConfig:
        return StorageConfig(evidence="local", local_dir=str(tmp_path / machine), **options)  # type: ignore[arg-type]

    return make


def facts(file: Path) -> dict[str, str | None]:
    with closing(EvidenceStore(file)) as store:
        return {name: store.get_meta(name) for name in "abc"}


def test_the_run_directory_holds_everything_at_the_end_and_the_local_copy_is_gone(
    file: Path, config: Callable[..., StorageConfig], tmp_path: Path
) -> None:
    said: list[str] = []
    with working_store(file, config(), said.append) as store:
        store.set_meta("a", "1")
        assert facts(file)["a"] is None, "no snapshot was due yet"
        assert live_file(file) == store.path != file
        with closing(EvidenceStore(live_file(file), read_only=True)) as reader:
            assert reader.get_meta("a") == "1"
    assert live_file(file) == file
    assert facts(file)["a"] == "1"
    assert list((tmp_path / "here").iterdir()) == []
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert "every 60 s; what comes after the last one is lost if this command is killed hard" in said[-1]


def test_snapshots_are_taken_in_the_course_of_the_work(file: Path, config: Callable[..., StorageConfig]) -> None:
    with working_store(file, config(snapshot_s=0), print) as store:
        for number in range(3):
            store.set_meta("a", str(number))
            store._due = 0.0  # type: ignore[attr-defined]  # as if the wait since the last one were over
            store.set_meta("b", str(number))
            assert facts(file)["b"] == str(number)


def killed(file: Path, config: StorageConfig, then: str) -> None:
    """A process that works on the evidence and ends by kill -9."""
    code = (
        "import json, os, signal, sys\n"
        "from pathlib import Path\n"
        "from rap_plugin.config import StorageConfig\n"
        "from rap_plugin.evidence.snapshots import working_store\n"
        "with working_store(Path(sys.argv[1]), StorageConfig(**json.loads(sys.argv[2])), print) as store:\n"
        f"    {then}\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file), json.dumps(config.model_dump())], check=False)
    assert done.returncode == -signal.SIGKILL


def test_after_kill_nine_another_machine_goes_on_from_the_last_snapshot_and_this_one_from_all_of_it(
    file: Path, config: Callable[..., StorageConfig]
) -> None:
    killed(file, config("first"), 'store.set_meta("a", "1"); store.snapshot(); store.set_meta("b", "2")')
    assert facts(file) == {"a": "1", "b": None, "c": None}
    with working_store(file, config("first"), print) as store:
        assert store.get_meta("b") == "2", "the machine that was killed has what came after the snapshot"
    killed(file, config("first"), 'store.set_meta("c", "of the first")')
    with working_store(file, config("second"), print) as store:
        assert store.get_meta("c") is None
        store.set_meta("c", "of the second")
    with working_store(file, config("first"), print) as store:
        assert store.get_meta("c") == "of the second", "what was left on the first machine is older than the snapshot"


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_snapshots_go_to_any_url_that_fsspec_knows_and_a_lost_run_directory_comes_back(
    file: Path, config: Callable[..., StorageConfig], tmp_path: Path, protocol: str
) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    url = f"memory://bucket-{os.getpid()}/run" if protocol == "memory" else f"file://{tmp_path}/bucket/run"
    with working_store(file, config(snapshots=url), print) as store:
        store.set_meta("a", "1")
    assert facts(file)["a"] == "1"
    file.unlink()
    with working_store(file, config("elsewhere", snapshots=url), print) as store:
        assert store.get_meta("a") == "1"


def test_a_journal_of_a_command_that_was_killed_in_place_is_read_too(
    file: Path, config: Callable[..., StorageConfig]
) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from rap_plugin.evidence.store import EvidenceStore\n"
        "store = EvidenceStore(Path(sys.argv[1]), create=True); store.set_meta('a', '1')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert file.with_name("evidence.sqlite-wal").stat().st_size
    with working_store(file, config(), print) as store:
        assert store.get_meta("a") == "1"


def test_a_place_that_cannot_be_written_is_one_line_before_anything_is_sampled(
    file: Path, config: Callable[..., StorageConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots.FolderPlace, "put", full)
    found = pytest.raises(RapError, match=r"no snapshot of the evidence can be written .*No space left")
    with found as raised, working_store(file, config(), print):
        pytest.fail("the work starts")
    assert "\n" not in str(raised.value)


def test_a_snapshot_that_fails_while_sampling_is_told_and_the_work_goes_on(
    file: Path, config: Callable[..., StorageConfig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put = snapshots.FolderPlace.put
    with working_store(file, config(), print) as store:
        monkeypatch.setattr(snapshots.FolderPlace, "put", lambda self, file: 1 / 0)
        store._due = 0.0  # type: ignore[attr-defined]
        store.set_meta("a", "1")
        assert f"no snapshot of the evidence in {file}" in caplog.text
        monkeypatch.setattr(snapshots.FolderPlace, "put", put)
    assert facts(file)["a"] == "1"


def test_an_unknown_url_and_a_foreign_folder_are_one_line_each(
    file: Path, config: Callable[..., StorageConfig], tmp_path: Path
) -> None:
    unknown = pytest.raises(RapError, match=r"storage\.snapshots nowhere://bucket: .*install what fsspec needs")
    with unknown, working_store(file, config(snapshots="nowhere://bucket"), print):
        pytest.fail("the work starts")
    with working_store(file, config(), print) as store:
        folder = store.path.parent
    folder.mkdir()
    folder.chmod(0o777)
    foreign = pytest.raises(RapError, match="is not this user's own; choose another")
    with foreign, working_store(file, config(), print):
        pytest.fail("the work starts")


def test_a_working_copy_is_kept_where_the_run_is_on_fuse_or_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not keeps_working_copy(tmp_path, StorageConfig())
    assert keeps_working_copy(tmp_path, StorageConfig(evidence="local"))
    assert keeps_working_copy(tmp_path, StorageConfig(snapshots="s3://bucket"))
    monkeypatch.setattr(filesystem, "_type_of", lambda path: filesystem.FUSE)
    assert keeps_working_copy(tmp_path, StorageConfig())
    assert not keeps_working_copy(tmp_path, StorageConfig(evidence="direct"))
