"""Formats: one file each, from the most specific to the plainest."""

from __future__ import annotations

from rap_plugin.samples.formats.base import ColumnChoice, Format, RowProblem
from rap_plugin.samples.formats.chat import CHAT
from rap_plugin.samples.formats.easyr1 import EASYR1
from rap_plugin.samples.formats.geometry3k import GEOMETRY3K
from rap_plugin.samples.formats.logicvista import LOGICVISTA
from rap_plugin.samples.formats.mm_eureka import MM_EUREKA
from rap_plugin.samples.formats.mulberry import MULBERRY
from rap_plugin.samples.formats.pgps9k import PGPS9K
from rap_plugin.samples.formats.plain import PLAIN
from rap_plugin.samples.formats.rap_pool import RAP_POOL
from rap_plugin.samples.formats.verl import VERL
from rap_plugin.samples.formats.vlm_r3 import VLM_R3

BUILTIN_FORMATS: dict[str, Format] = {
    format.name: format
    for format in (VERL, RAP_POOL, GEOMETRY3K, EASYR1, PGPS9K, LOGICVISTA, VLM_R3, MM_EUREKA, MULBERRY, CHAT, PLAIN)
}
"""The formats that come with the package, in the order of their detection: most specific first, plain last."""

__all__ = ["BUILTIN_FORMATS", "ColumnChoice", "Format", "RowProblem"]
