"""Errors that name their options for every host, and any exception in one line that a terminal can show."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

from rap_plugin.config import option_names
from rap_plugin.errors import Command, EmptySelection, Option, RapError, on_command_line, one_line, without_secrets
from rap_plugin.flags import FLAGS

PACKAGE = Path(__file__).resolve().parents[1] / "rap_plugin"
OF_ONE_HOST = {
    "cli",
    "demo",
    "evaluation",
    "lmms_tasks",
    "openrlhf_hooks",
    "trl_hooks",
    "verl_hooks",
    "vlmeval_datasets",
}
ERROR = RapError(
    "give ", Option("selection.keep"), " or another ", Option("out"), "; see ", Command("rap select --help")
)


def test_an_error_spells_its_options_as_the_command_line_does() -> None:
    assert str(ERROR) == "give --keep or another --out; see `rap select --help`"
    assert str(RapError(Option("ace.sigma"), " is no number")) == "ace.sigma is no number"


def test_a_host_spells_them_in_its_own_way_and_never_touches_the_rest_of_the_text() -> None:
    error = RapError("row --keep of ", Option("selection.keep"))
    words = {"selection.keep": "keep="}
    assert error.text(lambda part: words[part.name] if isinstance(part, Option) else "?") == "row --keep of keep="
    empty = EmptySelection("raise ", Option("selection.keep")).spelled(lambda part: "--rap.keep")
    assert isinstance(empty, EmptySelection)
    assert str(empty) == "raise --rap.keep"


def test_an_error_within_an_error_keeps_its_options() -> None:
    assert RapError("pool.csv: ", ERROR).parts == ("pool.csv: ", *ERROR.parts)


def test_an_error_comes_whole_through_another_process() -> None:
    again = pickle.loads(pickle.dumps(ERROR))
    assert again.parts == ERROR.parts


def test_only_rooms_of_one_host_write_flags_into_their_errors() -> None:
    flags = re.compile("|".join(f"{flag}(?![a-z-])" for flag in (*FLAGS.values(), "--out", "--extend", "--config")))
    for path in PACKAGE.rglob("*.py"):
        where = path.relative_to(PACKAGE)
        if where.parts[0] in OF_ONE_HOST:
            continue
        for text in texts_of_errors(ast.parse(path.read_text(encoding="utf-8"))):
            assert not flags.search(text), (
                f"{where}: {text!r}: write Option(..) for the flag, so that hosts can spell it"
            )


def test_every_option_that_an_error_names_is_one() -> None:
    known = {*option_names(), "out", "extend", "config", "pool"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Option":
                name = node.args[0]
                assert not isinstance(name, ast.Constant) or name.value in known, f"{path.name}: {name.value}"


def test_every_option_has_a_spelling() -> None:
    assert {on_command_line(Option(name)) for name in FLAGS} == set(FLAGS.values())


def texts_of_errors(tree: ast.AST) -> list[str]:
    """The texts in the calls of RapError and of the kinds of it."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    errors = [call for call in calls if getattr(call.func, "id", "") in ("RapError", "EmptyPool", "EmptySelection")]
    inside = [node for call in errors for node in ast.walk(call)]
    return [node.value for node in inside if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("the file ended in the middle of a row\nTraceback: ..."), "the file ended in the middle of a row"),
        (KeyError("x"), "KeyError: 'x'"),
        (MemoryError(), "MemoryError"),
        (ValueError("\n\n  the reason stands in the third line  \n"), "the reason stands in the third line"),
        (ValueError("a message with \x1b[31mcolour codes"), "a message with ?[31mcolour codes"),
        ("text that somebody else made", "text that somebody else made"),
        (ValueError("\N{RIGHT-TO-LEFT OVERRIDE}" + "reversed text " * 3), "?" + ("reversed text " * 3).strip()),
    ],
)
def test_an_exception_becomes_its_first_line_with_its_kind_where_that_says_little(
    error: BaseException | str, line: str
) -> None:
    assert one_line(error) == line


def test_a_line_is_never_longer_than_asked_for() -> None:
    assert len(one_line(ValueError("x" * 10_000_000), 100)) == 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:swordfish@host:8000/v1 is gone", "http://***@host:8000/v1 is gone"),
        ("postgres://me:sword%20fish@host", "postgres://***@host"),
        ("https://host/a?api_key=swordfish&x=1", "https://host/a?api_key=***&x=1"),
        ("https://host/a?X-Amz-Security-Token=swordfish#b", "https://host/a?X-Amz-Security-Token=***#b"),
        ("write to me@host, or see https://host/@me", "write to me@host, or see https://host/@me"),
        ("https://host/a?monkey=3&page=4", "https://host/a?monkey=3&page=4"),
    ],
)
def test_passwords_and_tokens_of_urls_are_in_no_line(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert "swordfish" not in one_line(ValueError(f"a failure of some length: {text}"))


def test_a_given_key_is_left_out_wherever_it_stands() -> None:
    assert without_secrets("refused key sk-swordfish.", ["sk-swordfish", ""]) == "refused key ***."


def test_an_error_stays_one_line_whatever_a_stranger_calls_a_column() -> None:
    assert str(RapError("columns: a\nb\x1b[31m\u202ec\ud800, ", Option("out"))) == "columns: a?b?[31m?c?, --out"
