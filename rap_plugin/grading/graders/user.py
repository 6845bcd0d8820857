"""A user's own function: `file.py:function`, an OpenRLHF reward file, an EasyR1 one, as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rap_plugin.errors import RapError
from rap_plugin.grading.base import Grade, GradeItem, GradingOptions, grader_id
from rap_plugin.grading.reading.answers import find_answer, well_formatted
from rap_plugin.grading.workers.processes import Reply, WorkerPool


def split_user_name(name: str) -> tuple[Path, str] | None:
    """(file, function) of "path/file.py:function" or "path/file.py" (function ""); None for other names."""
    path, colon, function = name.rpartition(":")
    if colon and path.endswith(".py") and function.isidentifier():
        return Path(path), function
    return (Path(name), "") if name.endswith(".py") else None


class UserGrader:
    """Calls a user's function in worker processes, one response at a time, under deadline and memory limit.

    The reward is taken as it is; a response is right when it reaches `right_at`. An exception, a NaN or an
    unreadable return value makes that item ungradable, with the reason.
    """

    def __init__(self, file: Path, function: str, options: GradingOptions) -> None:
        try:
            content = file.read_bytes()
        except OSError as error:
            reason = error.strerror or error
            raise RapError(f"grader {file}: {reason}; give file.py:function of a readable file") from error
        self._options = options
        self.id = grader_id(
            f"{file.name}:{function}" if function else file.name,
            1,
            content=hashlib.sha256(content).hexdigest(),
            kind=options.kind,
            right_at=options.right_at,
            timeout_s=options.timeout_s,
            memory_mb=options.memory_mb,
        )
        self._pool = WorkerPool(
            {
                "kind": "user",
                "path": str(file.resolve()),
                "function": function,
                "function_kind": options.kind,
            },
            workers=options.workers,
            timeout_s=options.timeout_s,
            memory_mb=options.memory_mb,
            what=f"grader {file}",
        )

    def check_gold(self, gold: str, question: str = "") -> str | None:
        # Only the function knows what it accepts, an empty gold included.
        return None

    def grade(self, items: Sequence[GradeItem]) -> list[Grade]:
        requests = [{"response": i.response, "gold": i.gold, "question": i.question, "prompt": i.prompt} for i in items]
        replies = self._pool.map(requests)
        return [self._grade(item, reply) for item, reply in zip(items, replies, strict=True)]

    def _grade(self, item: GradeItem, reply: Reply) -> Grade:
        extracted = find_answer(item.response).text[:2000]
        formatted = well_formatted(item.response)
        if "timeout" in reply:
            return Grade("timeout", None, formatted, extracted, f"no reward within {reply['timeout']:g} s")
        if "failed" in reply:
            return Grade("ungradable", None, formatted, extracted, str(reply["failed"]))
        reward = float(reply["reward"])
        if reply["format"] is not None:
            formatted = reply["format"] >= 0.5
        return Grade("right" if reward >= self._options.right_at else "wrong", reward, formatted, extracted)

    def close(self) -> None:
        self._pool.close()
