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


def test_a_terminal_gets_the_words_as_they_come_and_the_same_text_in_the_end(looker: Path, tmp_path: Path) -> None:
    import os
    import pty
    import sys

    script.picture(2).save(tmp_path / "a.png")
    ask = ["r3", "ask", str(tmp_path / "a.png"), "c?", "--model", str(looker), "--device", "cpu"]
    ask += ["--html", str(tmp_path / "looks.html"), *SETS]
    piped = CliRunner().invoke(cli, ask, catch_exceptions=False).output
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "rap_plugin.cli", *ask])
    chunks = []
    try:
        while chunk := os.read(terminal, 4096):
            chunks.append(chunk)
    except OSError:  # how Linux tells the end of a terminal
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    shown = re.sub(r"\x1b\[\d+m", "", b"".join(chunks).decode()).replace("\r\n", "\n")
    assert piped[: piped.index("answer:")] in shown
    # The answer's 22 characters come in more than a few goes.
    assert sum(b"looks at" not in chunk and len(chunk) < 8 for chunk in chunks) > 8


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


@pytest.mark.parametrize("place", ["gone/looks.html", "."])
def test_a_page_that_cannot_be_written_is_one_line_before_a_model_is_loaded(place: str, tmp_path: Path) -> None:
    script.picture(2).save(tmp_path / "a.png")
    arguments = [str(tmp_path / "a.png"), "c?", "--model", "no/such-model", "--html", str(tmp_path / place)]
    done = CliRunner().invoke(cli, ["r3", "ask", *arguments])
    assert isinstance(done.exception, RapError)
    assert "cannot be written" in str(done.exception)
