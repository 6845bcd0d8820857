"""The seam in the driver process: one flag in the parser, two names of the command's own module.

OpenRLHF has no plugin mechanism, and its files stay as they are. Its command builds an argparse parser under
`if __name__ == "__main__"`, calls `train(args)`, and `train` calls `create_vllm_engines`. So `parse_args` is
wrapped once: it adds the flags to that parser alone and, if `--data_filter` was given, wraps `train` and
`create_vllm_engines` in the module that called it. `--rap.contrastive` and `--rap.follow` alone do the same without a selection. Without our flags nothing is wrapped and the arguments are as ever.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from rap_plugin.errors import RapError

KNOWN_BY = frozenset(("--data.prompt_dataset", "--vllm.num_engines", "--reward.remote_url"))
"""Flags that the parser of the PPO command has, and no other one."""

_original: Callable[..., Any] | None = None


def install() -> None:
    """Wraps `ArgumentParser.parse_args` until the PPO command has parsed its arguments; twice is once."""
    global _original
    if _original is None:
        _original = argparse.ArgumentParser.parse_args
        argparse.ArgumentParser.parse_args = _parse_args  # type: ignore[method-assign, assignment]


def uninstall() -> None:
    """Puts `parse_args` back."""
    global _original
    if _original is not None:
        argparse.ArgumentParser.parse_args = _original  # type: ignore[method-assign]
        _original = None


def _parse_args(parser: argparse.ArgumentParser, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
    assert _original is not None
    original = _original
    if not KNOWN_BY.issubset(parser._option_string_actions):
        return original(parser, args, namespace)
    uninstall()
    from rap_plugin.openrlhf_hooks.flags import add_flags
    from rap_plugin.plugins import get_plugins

    add_flags(parser, get_plugins().registry().things["selectors"])
    parsed = original(parser, args, namespace)
    with errors_in_one_line():
        given = take_flags(parsed)
        if given is not None:
            wrap_command(sys._getframe(1).f_globals, given)
    return parsed


def take_flags(parsed: argparse.Namespace) -> dict[str, Any] | None:
    """The values of our flags by name; None, and the namespace as if we were not there, where none asks for anything.

    Raises RapError for an unknown selector, and for `--rap.*` flags of a filter without a filter.
    """
    from rap_plugin.openrlhf_hooks.flags import OF_ATTENTION, OF_TRAINING, PREFIX, given_flags, psi_flags
    from rap_plugin.plugins import get_plugins, load_plugin_files

    values = vars(parsed)
    ours = {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX)}
    selector = values["data_filter"]
    if selector is not None:
        load_plugin_files(ours["plugin"] or [])
        get_plugins().registry().get("selectors", selector)
        # One draw of it would be no following: the training draws for every batch.
        return {**ours, "data_filter": selector, "follow": ours["follow"] or selector == "follow"}
    given = given_flags(values)
    psi = psi_flags() if any(ours[name] is not None for name in OF_ATTENTION) else []
    of_training = [f"--{PREFIX}{name}" for name in (*OF_TRAINING, *psi)]
    if extra := [flag for flag in given if flag not in of_training]:
        raise RapError(f"{extra[0]} needs --data_filter NAME; leave it out to train on the whole dataset")
    if given:
        return {**ours, "data_filter": None}
    for name in [name for name in values if name == "data_filter" or name.startswith(PREFIX)]:
        delattr(parsed, name)
    return None


def wrap_command(command: dict[str, Any], given: dict[str, Any]) -> None:
    """Wraps `train` and `create_vllm_engines` in `command`, the globals of the running PPO command."""
    from rap_plugin.openrlhf_hooks import contract

    contract.require(command)
    train, create_engines = command["train"], command["create_vllm_engines"]

    @functools.wraps(train)
    def filtered_train(args: SimpleNamespace) -> Any:
        from rap_plugin.openrlhf_hooks import additions, measuring
        from rap_plugin.openrlhf_hooks.filter import Filter, start_actors

        with errors_in_one_line():
            added = additions.require_additions(args, given)
            chosen = Filter(args, given) if given["data_filter"] is not None else None
            if chosen and given["dry_run"]:
                print("\n".join(f"rap-plugin: {line}" for line in chosen.plan()), flush=True)
                return None

            @functools.wraps(create_engines)
            def filtered_engines(*arguments: Any, **options: Any) -> Any:
                start = functools.partial(create_engines, *arguments, **options)
                reading = added.follow is not None and added.follow.options.renew_attention > 0
                if reading:
                    start = functools.partial(start_actors, start, measure=True)
                engines = chosen.run(start) if chosen else start()
                if reading:
                    measuring.require_measurable(engines, args)
                metrics = additions.metrics_for(args, chosen.metrics) if chosen else {}
                whole = replace(added, metrics=metrics)
                if chosen and whole.follow:
                    following = additions.from_evidence(whole.follow, args, chosen.run_dir, chosen.numbers)
                    whole = replace(whole, follow=following)
                if whole != additions.Additions():
                    # Imports OpenRLHF's trainers; without an addition they stay as they are.
                    from rap_plugin.openrlhf_hooks import trainer

                    trainer.install(command, args, whole)
                return engines

            command["create_vllm_engines"] = filtered_engines
            return train(args)

    command["train"] = filtered_train


class errors_in_one_line:
    """Turns a RapError into its one line on stderr and exit status 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RapError):
            from rap_plugin.openrlhf_hooks.flags import spelling

            sys.stdout.flush()
            print(f"rap-plugin: {error.text(spelling())}", file=sys.stderr, flush=True)
            raise SystemExit(1)
