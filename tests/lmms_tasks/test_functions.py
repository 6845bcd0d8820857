"""What the YAML files of all tasks name, without lmms-eval."""

from __future__ import annotations

import pytest

from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.prepared_data import row_of
from rap_plugin.lmms_tasks.functions import process_results


def test_a_response_that_is_none_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAP_JUDGE", raising=False)
    doc = row_of(BenchmarkItem("1", "Which one is missing?", "None", "maths"), None)
    record = process_results(doc, [None], ("accuracy",))["accuracy"]  # type: ignore[list-item]
    assert (record["status"], record["score"], record["unread"]) == ("unread", 0.0, 1.0)
    assert process_results(doc, ["None"], ("accuracy",))["accuracy"]["score"] == 1.0
