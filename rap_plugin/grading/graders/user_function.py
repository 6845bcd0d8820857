"""A user's own function: `file.py:function`, an OpenRLHF reward file, an EasyR1 one, as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rap_plugin.errors import RapError
from rap_plugin.grading.base import GradeItem, Grader, GradingOptions
from rap_plugin.grading.building import Ask, FunctionGrader, Opinion, any_gold, grader_id
from rap_plugin.grading.reading.answers import find_answer
from rap_plugin.grading.workers.processes import Reply


def split_user_name(name: str) -> tuple[Path, str] | None:
    """(file, function) of "path/file.py:function" or "path/file.py" (function ""); None for other names."""
    path, colon, function = name.rpartition(":")
    if colon and path.endswith(".py") and function.isidentifier():
        return Path(path), function
    return (Path(name), "") if name.endswith(".py") else None


def user_function(file: Path, function: str, options: GradingOptions) -> Grader:
    """A grader that calls a user's function in worker processes, one response at a time, under deadline and memory
    limit.

    The reward is taken as it is; a response is right when it reaches `right_at`. An exception, a NaN or an
    unreadable return value makes that item ungradable, with the reason. Raises RapError for a file that cannot be read.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise RapError(f"grader {file}: {reason}; give file.py:function of a readable file") from error
    identity = grader_id(
        f"{file.name}:{function}" if function else file.name,
        1,
        content=hashlib.sha256(content).hexdigest(),
        kind=options.kind,
        right_at=options.right_at,
        timeout_s=options.timeout_s,
        memory_mb=options.memory_mb,
    )
    worker = {
        "kind": "user",
        "path": str(file.resolve()),
        "function": function,
        "function_kind": options.kind,
    }
    return FunctionGrader(identity, _ask_function, options, any_gold, worker, what=f"grader {file}")


def _ask_function(item: GradeItem, options: GradingOptions) -> Ask:
    extracted = find_answer(item.response).text

    def opinion_of(reply: Reply) -> Opinion:
        reward, formatted = float(reply["reward"]), reply["format"]
        return Opinion(
            "right" if reward >= options.right_at else "wrong",
            extracted,
            reward=reward,
            well_formatted=None if formatted is None else formatted >= 0.5,
        )

    request = {"response": item.response, "gold": item.gold, "question": item.question, "prompt": item.prompt}
    return Ask(request, extracted, opinion_of, late="no reward")
