"""The command line `rap`: one file per command, each loaded when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import click

from rap_plugin.errors import RapError

COMMANDS = {
    "select": ("rap_plugin.cli.select", "Choose the samples of a pool that are worth training on."),
    "plan": ("rap_plugin.cli.plan", "What each way to choose training rows would cost."),
    "decide": ("rap_plugin.cli.decide", "Decide again over a run's evidence: new thresholds, no engine."),
    "report": ("rap_plugin.cli.report", "Write a run's report again."),
    "view": ("rap_plugin.cli.view", "Look at every sample of a run, or of two side by side."),
    "compare": ("rap_plugin.cli.compare", "Compare selections: overlap, flows, stability."),
    "export": ("rap_plugin.cli.export", "Write a selection the way a trainer reads it."),
    "import": ("rap_plugin.cli.import_", "Make a run from the rollout dumps of other tools."),
    "data": ("rap_plugin.cli.data", "Prepare benchmarks for lmms-eval and VLMEvalKit."),
    "modality-gap": ("rap_plugin.cli.modality_gap", "Text against image: data, training recipes, the gap."),
    "eval": ("rap_plugin.cli.eval", "Compare results of lmms-eval and VLMEvalKit."),
    "r3": ("rap_plugin.cli.r3", "Models that look again at regions of an image."),
    "verify": ("rap_plugin.cli.verify", "Check that a run's files follow from its evidence."),
    "demo": ("rap_plugin.cli.demo", "Run the whole job on the embedded model and pool."),
    "doctor": ("rap_plugin.cli.doctor", "Say what works in this environment and what does not."),
    "plugins": ("rap_plugin.cli.plugins", "List plugins and what they register."),
    "path": ("rap_plugin.cli.path", "Print where a shipped file is."),
}
"""Name to (module, one line for the overview). A module is imported only when its command runs."""


class Commands(click.Group):
    """Loads the built-in commands one by one and the plugins' commands only when a name is not built in."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(set(super().list_commands(ctx)) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            command: click.Command = importlib.import_module(COMMANDS[name][0]).command
            return command
        load_plugin_commands()
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelt command is answered with the nearest ones: click knows the plugins' alone."""
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            near = get_close_matches(name, self.list_commands(ctx))
            ctx.fail(f"No such command '{name}'." + (f" Did you mean {' or '.join(map(repr, near))}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        load_plugin_commands()
        with formatter.section("Commands"):
            rows = [(name, text) for name, (_, text) in COMMANDS.items()]
            rows += [(name, command.get_short_help_str(70)) for name, command in sorted(self.commands.items())]
            formatter.write_dl(rows)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="rap-plugin", prog_name="rap")
def cli() -> None:
    """Find the few percent of a multimodal RL pool that are worth training on."""


_with_plugins = False


def load_plugin_commands() -> None:
    """Lets plugins add their commands, once."""
    global _with_plugins
    if _with_plugins:
        return
    _with_plugins = True
    from rap_plugin.plugins import get_plugins

    plugins = get_plugins()
    for implementation in plugins.manager.hook.rap_register_commands.get_hookimpls():
        try:
            implementation.function(*(cli for _ in implementation.argnames))
        except Exception as error:
            plugins.fail(implementation.plugin_name, error)


def main(arguments: list[str] | None = None) -> Any:
    """The entry point: a RapError is one line and status 1; Ctrl-C, SIGTERM and SIGHUP say how to go on, status
    130, 143 and 129."""
    stopped = _heed_termination()
    _print_whatever_is_said()
    # Said by torch where a host brings the old package; it is nothing that a user of rap can use.
    warnings.filterwarnings("ignore", "The pynvml package is deprecated", FutureWarning)
    try:
        return cli.main(args=arguments, prog_name="rap", standalone_mode=False)
    except RapError as error:
        click.echo(f"rap: {error}", err=True)
        sys.exit(1)
    except UnicodeEncodeError as error:
        if not any("\ud800" <= character <= "\udfff" for character in error.object):
            raise
        shown = _line_around(error).encode("ascii", "backslashreplace").decode()
        click.echo(
            f"rap: {shown}: a name that is no text in {sys.getfilesystemencoding()}, which not every library can open; "
            "rename it, or set LC_ALL=C.UTF-8 where names are UTF-8",
            err=True,
        )
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.stdout = open(os.devnull, "w")  # what is left in the old one cannot be written  # noqa: SIM115
        where = f"{error.filename}: " if error.filename else ""
        click.echo(
            f"rap: {where}no space is left; free some: what is stored is kept, and the same command goes on", err=True
        )
        sys.exit(1)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        with suppress(OSError):  # the terminal may be gone
            click.echo("rap: stopped; finished batches are stored, the same command goes on from there", err=True)
        sys.exit(128 + (stopped[0] if stopped else signal.SIGINT))


def _line_around(error: UnicodeEncodeError) -> str:
    """The line of a text that has the character in it, or the part of it around that."""
    before, after = error.object[: error.start].rpartition("\n")[2], error.object[error.start :].partition("\n")[0]
    return (before[-100:] + after[:100]).strip()


def _print_whatever_is_said() -> None:
    """A terminal that cannot show a character gets a question mark, and no command ends for it."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", "") == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _heed_termination() -> list[int]:
    """Makes a termination signal end the command as Ctrl-C does; returns where the signal is noted.

    A process that was forked from this one ends as it would have.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return noted
    here = os.getpid()

    def stop(number: int, _: object) -> None:
        if os.getpid() != here:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        noted.append(number)
        if number != signal.SIGTERM:  # a terminal that closes may say so twice, and would break into the tidying up
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, stop)
    return noted
