"""A checkpoint's chat template is a program: whether it ends is tried once, in a process that can be killed, before it runs here.

Transformers renders templates in jinja2's sandbox, which keeps them from files and classes but not from running for ever or from filling
the memory. What is refused: a template that takes longer or more than any model's, that writes too much, or that leaves the sandbox.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache

from rap_plugin.errors import RapError

CPU_S, WALL_S, MEMORY = 5, 60, 1 << 30
MAX_TEXT = 1_000_000
"""Characters that a template may write around one short question."""

# The parent's import path as it is: the current folder may hold a stray json.py.
_BOOTSTRAP = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "runpy.run_module('rap_plugin.engines.chat_template', run_name='__main__')"
)


def require_ending(name: str, template: str | Mapping[str, str]) -> None:
    """Raises RapError for a chat template, or one of several by name, that does not end in time or leaves the sandbox."""
    for text in [template] if isinstance(template, str) else template.values():
        if problem := _problem(text):
            raise RapError(
                f"{name}: its chat template {problem}; do not use this checkpoint, or mend chat_template.jinja"
            )


@lru_cache(maxsize=256)
def _problem(text: str) -> str:
    """What is wrong with a template, empty where nothing is."""
    command = [sys.executable, "-c", _BOOTSTRAP, json.dumps(sys.path)]
    try:
        done = subprocess.run(
            command, input=text.encode("utf-8", "replace"), capture_output=True, timeout=WALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "does not end"
    return done.stdout.decode("utf-8", "replace")[:200] if done.returncode == 0 else "does not end, or fills the memory"


def _try(text: str) -> str:
    from jinja2 import nodes
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """Transformers' own tag around what the assistant says."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def complain(message: str) -> None:
        raise ValueError(message)

    world = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    world.globals |= {"raise_exception": complain, "strftime_now": lambda _: "2026-01-01"}
    world.filters["tojson"] = lambda value, **_: json.dumps(value)
    image, words = {"type": "image"}, {"type": "text", "text": "Which is larger?"}
    for content in ([image, words], [words], "Which is larger?"):
        messages = [{"role": "system", "content": content}] * (content != [image, words]) + [
            {"role": "user", "content": content}
        ]
        try:
            written = world.from_string(text).generate(messages=messages, add_generation_prompt=True, tools=None)
            if sum(len(part) for part in written) > MAX_TEXT:
                return f"writes more than {MAX_TEXT:,} characters around one question"
        except SecurityError:
            return "tries to leave its sandbox"
        except (MemoryError, OverflowError):
            return "fills the memory"
        except Exception:
            continue
    return ""


if __name__ == "__main__":
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stdout.write(_try(sys.stdin.buffer.read().decode()))
