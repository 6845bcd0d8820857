"""The one exception that a user is meant to read, and any other exception in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from rap_plugin.flags import flag_of


@dataclass(frozen=True)
class Option:
    """An option inside an error's text: its dotted name (`selection.lambda_c`), or `out`, `extend` of a command."""

    name: str


@dataclass(frozen=True)
class Command:
    """A command inside an error's text, as in `rap select`, where hosts have another one."""

    words: str


Problem = TypeVar("Problem", bound="RapError")

Spelling = Callable[[Option | Command], str]
"""What a host calls an option or a command."""


def on_command_line(name: Option | Command) -> str:
    """The spelling of `rap` itself: `--lambda-c`, `rap select` in backticks."""
    return flag_of(name.name) if isinstance(name, Option) else f"`{name.words}`"


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks a line, moves a terminal's cursor, or turns the direction of writing."""


class RapError(Exception):
    """A problem that the user can mend: one line saying what is wrong, where, and what to do.

    The line is made of texts and of the `Option`s and `Command`s that it names; `str` spells these as the command line
    does, `spelled` as a host does. Another RapError as a part stands for its own parts. The command line prints the
    line and exits with status 1; nothing already stored is lost.
    """

    def __init__(self, *parts: str | Option | Command | RapError) -> None:
        flat: list[str | Option | Command] = []
        for part in parts:
            flat.extend(part.parts if isinstance(part, RapError) else (part,))
        self.parts: tuple[str | Option | Command, ...] = tuple(flat)
        super().__init__(*self.parts)

    def __str__(self) -> str:
        return self.text(on_command_line)

    def text(self, spelling: Spelling) -> str:
        """The line with its options in a host's spelling."""
        line = "".join(part if isinstance(part, str) else spelling(part) for part in self.parts)
        return _CONTROL.sub("?", line)  # names of columns and options come from strangers

    def spelled(self: Problem, spelling: Spelling) -> Problem:
        """The same error with a host's spelling for good: for hosts whose users catch it themselves."""
        return type(self)(self.text(spelling))


class Interrupted(RapError):
    """Ctrl-C or a termination signal: finished batches are stored, the line says how to go on."""


class EmptyPool(RapError):
    """A pool without rows."""


class EmptySelection(RapError):
    """No sample was chosen; the evidence is kept and the run's files are written."""

    selection: object = None
    """What was decided, for whoever wants to show it; None where nothing was."""


class NoFittingSize(RapError):
    """No number of the samples at hand is one that the training can run on."""


_PASSWORD = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,20}://)[^/\s@?#\"']{1,500}@")
_TOKEN = re.compile(
    r"(?P<name>[?&](?:[\w.-]{0,60}[-_.])?(?:api_?key|key|token|secret|password|signature|credential)=)[^&#\s\"']+",
    re.IGNORECASE,
)


def without_secrets(text: str, keys: Iterable[str] = ()) -> str:
    """The text without passwords in URLs, tokens in their queries, and the given keys, each as ***."""
    for key in keys:
        if len(key) >= 4:
            text = text.replace(key, "***")
    if "://" not in text:
        return text
    return _TOKEN.sub(r"\g<name>***", _PASSWORD.sub(r"\g<scheme>***@", text))


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """The first line of an exception's message, at most `limit` characters, without control characters.

    The exception's kind stands before a message that says little alone (20 characters or fewer). Passwords and tokens in
    URLs are left out.
    """
    first = next((line.strip() for line in str(error)[:20_000].splitlines() if line.strip()), "")
    text = "".join(character if character.isprintable() else "?" for character in without_secrets(first))[:limit]
    if isinstance(error, str) or len(text) > 20:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
