"""`rap r3 ask`: the reasoning on the terminal and a page that needs nothing beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.vlm_r3.pages import trace_page
from rap_plugin.vlm_r3.trace import Look, Trace
from tests.vlm_r3 import looker as script

SETS = [
    f"--set={one}"
    for one in ("r3.instruction=''", "r3.min_crop_pixels=784", "r3.max_crop_pixels=3136", "sampling.max_new_tokens=160")
]


def test_the_answer_is_printed_with_its_looks_and_the_page_shows_them(looker: Path, tmp_path: Path) -> None:
    script.picture(2).save(tmp_path / "a.png")
    page = tmp_path / "looks.html"
    done = CliRunner().invoke(
        cli,
        [
            "r3",
            "ask",
            str(tmp_path / "a.png"),
            "c?",
            "--model",
            str(looker),
            "--device",
            "cpu",
            "--html",
            str(page),
            *SETS,
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert script.said(2)[0] in done.output
    assert "[looks at (8, 0, 49, 31) of image 1, 56 x 28]" in done.output
    assert "answer: C" in done.output
    text = page.read_text()
    assert re.findall(r"<text [^>]*>(\d+)</text>", text) == ["1", "2"]
    assert len(re.findall(r'<img src="data:image/png;base64,', text)) == 3
    assert "default-src 'none'" in text


def test_nothing_that_a_model_says_becomes_markup() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    look = Look(0, evil, 0, (1, 1, 9, 9), (28, 28), "")
    bad = Look(1, evil, problem=evil)
    trace = Trace((evil, evil, evil), ("", "", ""), (look, bad), "answer", 3)
    text = trace_page(trace, evil, [script.picture(0)], evil)
    assert "<script" not in text
    assert "onerror=alert(1)>" not in text
    assert text.count("&lt;script&gt;") >= 5


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_a_file_that_is_no_image_is_one_line(looker: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    done = CliRunner().invoke(cli, ["r3", "ask", str(tmp_path / "a.png"), "c?", "--model", str(looker)])
    assert isinstance(done.exception, RapError)
    assert "a.png" in str(done.exception)
