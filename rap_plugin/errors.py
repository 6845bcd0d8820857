"""The one exception that a user is meant to read, and any other exception in one line."""


class RapError(Exception):
    """A problem that the user can mend: one line saying what is wrong, where, and what to do.

    The command line prints the line and exits with status 1; nothing already stored is lost.
    """


class Interrupted(RapError):
    """Ctrl-C or a termination signal: finished batches are stored, the line says how to go on."""


class EmptySelection(RapError):
    """No sample was chosen; the evidence is kept and the run's files are written."""


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """The first line of an exception's message, at most `limit` characters, without control characters.

    The exception's kind stands before a message that says little alone (20 characters or fewer).
    """
    first = next((line.strip() for line in str(error)[:20_000].splitlines() if line.strip()), "")
    text = "".join(character if character.isprintable() else "?" for character in first)[:limit]
    if isinstance(error, str) or len(text) > 20:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
