"""Which file system a path is on, and whether SQLite's write-ahead log is safe there.

The write-ahead log needs memory that all readers and writers share, which processes on two machines cannot
(sqlite.org/wal.html), so that a file on a network file system needs another journal. On what only looks like a file system
(FUSE over an object store, say) not even locks and in-place writes can be relied on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Literal

Kind = Literal["local", "network", "unsure"]

NETWORK = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x517B: "SMB",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x00C36400: "CephFS",
    0x19830326: "BeeGFS",
    0x01021997: "9p",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0xAAD7AAEA: "PanFS",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
    0x20030528: "OrangeFS",
    0x013111A8: "Spectrum Scale",
    0x786F4256: "a VirtualBox folder",
    0xBACBACBC: "a VMware folder",
}
"""`f_type` of statfs(2) -> name: Linux' linux/magic.h, and those that the vendors' modules report."""

FUSE = 0x65735546
"""Anything that a program serves: sshfs, s3fs, gcsfuse, GlusterFS, also ntfs-3g."""


def kind_of(path: Path) -> tuple[Kind, str]:
    """(kind, name) of the file system that holds `path`, or will hold it: its nearest folder that exists.

    `unsure` is FUSE. Where it cannot be told (not on Linux), it is taken as local.
    """
    number = _type_of(path)
    if number == FUSE:
        return "unsure", "FUSE"
    name = NETWORK.get(number)
    return ("network", name) if name else ("local", "")


def _type_of(path: Path) -> int:
    """`f_type` of a path, or of its nearest folder that exists; 0 where it cannot be told."""
    if not sys.platform.startswith("linux"):
        return 0
    statfs = ctypes.CDLL(None, use_errno=True).statfs
    # `struct statfs` begins with the type as a long on every architecture that Python has wheels for; os.statvfs leaves it out.
    buffer = ctypes.create_string_buffer(512)
    there = path.absolute()
    for place in (there, *there.parents):
        if statfs(os.fsencode(place), buffer) == 0:
            return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
        if ctypes.get_errno() not in (errno.ENOENT, errno.ENOTDIR):
            break
    return 0
