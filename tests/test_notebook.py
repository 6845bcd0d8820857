"""The example notebook: every cell runs, from top to bottom, on the embedded model."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the embedded model needs the extra hf")
pytest.importorskip("pandas", reason="the notebook looks at scores with pandas")
pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "notebook" / "selection.ipynb"


def test_every_cell_of_the_notebook_runs_and_shows_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    shown = []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), known)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), known))
    run = known["run"]
    assert run._repr_html_().count("<img") >= 4  # type: ignore[attr-defined]
    assert any(type(value).__name__ == "Dataset" and len(value) > 0 for value in shown)
    assert (tmp_path / "notebook-run" / "export-trl").is_dir()
