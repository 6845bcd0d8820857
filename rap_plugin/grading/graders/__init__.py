"""Graders by name."""

from __future__ import annotations

from collections.abc import Mapping

from rap_plugin.errors import RapError
from rap_plugin.grading.base import Grader, GraderFactory, GradingOptions
from rap_plugin.grading.graders.auto import auto
from rap_plugin.grading.graders.choice import choice
from rap_plugin.grading.graders.engine_reward import engine
from rap_plugin.grading.graders.math import math
from rap_plugin.grading.graders.text import text
from rap_plugin.grading.graders.user_function import split_user_name, user_function

BUILTIN_GRADERS: dict[str, GraderFactory] = {
    "math": math,
    "choice": choice,
    "text": text,
    "auto": auto,
    "engine": engine,
}


def open_grader(name: str, *, options: GradingOptions, registry: Mapping[str, GraderFactory] | None = None) -> Grader:
    """The grader of that name: a registered one, or the function in "path/file.py:function".

    Raises RapError for unknown names, with the known ones, and for files that cannot be read.
    """
    known = BUILTIN_GRADERS if registry is None else registry
    if name in known:
        return known[name](options)
    user = split_user_name(name)
    if user is None:
        raise RapError(f"no grader {name!r}: use one of {', '.join(sorted(known))}, or path/file.py:function")
    return user_function(*user, options)
