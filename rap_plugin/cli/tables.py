"""A table on a terminal of any width."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

WIDEST = 1000
"""Columns: more than any table here has."""


def print_table(table: Table) -> None:
    """Prints all of it: on a narrow terminal a line goes on in the next one, and no number is cut."""
    from rich.console import Console

    Console(highlight=False, width=WIDEST).print(table)
