"""Another thing in the place of a name of OpenRLHF, for as long as a block runs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(place: str, thing: Any) -> Iterator[None]:
    """`module:NAME` is `thing` inside the block."""
    module, _, name = place.partition(":")
    home = importlib.import_module(module)
    before = getattr(home, name)
    setattr(home, name, thing)
    try:
        yield
    finally:
        setattr(home, name, before)
