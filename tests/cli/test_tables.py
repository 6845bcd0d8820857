"""Tables on a terminal of any width."""

from __future__ import annotations

import pytest
from rich.table import Table

from rap_plugin.cli.tables import print_table


def test_no_number_is_cut_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = Table(box=None)
    for name in ("mode", "rollouts", "cost"):
        table.add_column(name)
    table.add_row("whole pool, zero-variance filter", "12,800", "0.142 (0.138 to 0.148)")
    print_table(table)
    said = capsys.readouterr().out
    assert "zero-variance filter" in said
    assert "0.142 (0.138 to 0.148)" in said
