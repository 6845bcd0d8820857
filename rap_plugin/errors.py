"""The one exception that a user is meant to read."""


class RapError(Exception):
    """A problem that the user can mend: one line saying what is wrong, where, and what to do.

    The command line prints the line and exits with status 1; nothing already stored is lost.
    """


class Interrupted(RapError):
    """Ctrl-C or a termination signal: finished batches are stored, the line says how to go on."""


class EmptySelection(RapError):
    """No sample was chosen; the evidence is kept and the run's files are written."""
