"""Network file systems are recognised by what the kernel says of them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rap_plugin.evidence import database, filesystem
from rap_plugin.evidence.filesystem import NETWORK, kind_of
from rap_plugin.evidence.store import EvidenceStore

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="file systems are told apart on Linux")

FUSE_MOUNT = """
import ctypes, os, sys
from pathlib import Path
from rap_plugin.evidence.filesystem import kind_of

device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id=12345,group_id=12345"
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"nothing", sys.argv[1].encode(), b"fuse", 0, options.encode()):
    sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
print(*kind_of(Path(sys.argv[1])), kind_of(Path(sys.argv[1]).parent)[0])
"""


def test_this_machines_own_disk_is_local_and_what_is_not_there_yet_is_where_it_will_be(tmp_path: Path) -> None:
    assert kind_of(tmp_path) == kind_of(tmp_path / "not" / "yet" / "there") == ("local", "")
    assert kind_of(Path("/proc")) == ("local", "")


@pytest.mark.parametrize(("number", "name"), NETWORK.items())
def test_network_file_systems_have_their_names(monkeypatch: pytest.MonkeyPatch, number: int, name: str) -> None:
    monkeypatch.setattr(filesystem, "_type_of", lambda path: number)
    assert kind_of(Path("/any")) == ("network", name)


def test_the_kernel_names_the_type_that_df_prints(tmp_path: Path) -> None:
    said = subprocess.run(["stat", "-f", "-c", "%t", str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert filesystem._type_of(tmp_path) == int(said, 16)


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK) or os.geteuid() != 0, reason="mounting needs root and FUSE")
def test_a_real_fuse_mount_is_recognised(tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", FUSE_MOUNT, str(place)], capture_output=True, text=True, check=False
    )
    if "cannot mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout == "unsure FUSE local\n", done.stderr


def journal_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("PRAGMA journal_mode").fetchone()[0])


def test_evidence_on_a_network_file_system_has_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evidence.sqlite"
    EvidenceStore(path, create=True).close()
    assert journal_of(path) == "wal"
    monkeypatch.setattr(database, "kind_of", lambda path: ("network", "NFS"))
    with closing(EvidenceStore(path)) as store:
        store.set_meta("name", "value")
        assert journal_of(path) == "delete"
        assert not list(tmp_path.glob("*-wal")) + list(tmp_path.glob("*-shm"))
    with closing(EvidenceStore(path, read_only=True)) as store:
        assert store.get_meta("name") == "value"
