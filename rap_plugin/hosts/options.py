"""Options of a selection under the names of a host: its own flags or keywords, made from the configuration's fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from rap_plugin.errors import Command, Option, RapError, Spelling, on_command_line

RENAMED = {"ace.enabled": "measure_attention", "selection.seed": "selection_seed"}
"""Options whose last part is taken or says nothing alone."""


def short_names(options: Iterable[str]) -> dict[str, str]:
    """The name of every option without its section: `lambda_c` for `selection.lambda_c`."""
    return {name: RENAMED.get(name, name.rpartition(".")[2]) for name in options}


def spelling_of(names: Mapping[str, str]) -> Spelling:
    """Spells options and commands as `names` has them, the others as the command line does.

    Keys are dotted option names, `out` and `extend`, and the words of commands (`rap select`).
    """

    def spell(part: Option | Command) -> str:
        key = part.name if isinstance(part, Option) else part.words
        return names.get(key) or on_command_line(part)

    return spell


@contextmanager
def spelled(spelling: Spelling) -> Iterator[None]:
    """Errors that leave the block carry a host's names of the options."""
    try:
        yield
    except RapError as error:
        raise error.spelled(spelling) from None
