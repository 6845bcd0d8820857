"""A grading worker: reads one JSON request a line, writes one JSON reply a line.

    python -m rap_plugin.grading.workers.worker

The first line configures it: {"kind": "math" | "user", "memory_mb": .., "most_s": .., ...}. It then answers
{"ready": true} or {"error": ".."}, and after that each request in turn, each with its {"n": ..}. A reply
{"failed": reason} means that this item cannot be graded. The parent enforces the deadline by killing the
process; the alarm set here only ends a worker whose parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any

Handler = Callable[[Mapping[str, Any]], dict[str, Any]]


def _private_pipes() -> tuple[IO[str], IO[str]]:
    """The protocol's own copies of stdin and stdout; what user code prints or reads goes nowhere."""
    requests = os.fdopen(os.dup(0), "r", encoding="ascii")
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)
    return requests, replies


def _limit_memory(memory_mb: int) -> None:
    """Cap the address space at what the imports took plus `memory_mb`. A limit on the whole would depend on
    which build of which library the user's file imports."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as statm:
            used = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
    except (ImportError, OSError, ValueError):
        # Systems without /proc or RLIMIT_AS keep the deadline as their only bound.
        return


def _load(config: Mapping[str, Any]) -> Handler:
    if config["kind"] == "user":
        from rap_plugin.grading.workers.user_functions import load_user_function

        return load_user_function(config["path"], config["function"], config["function_kind"])
    from rap_plugin.grading.workers.symbolic import compare

    # The first parse builds the parser's tables, which must not count against the first item.
    compare({"gold": "x+1", "said": r"\frac{1}{2}", "rtol": 0.0})
    return compare


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error)[:300]}{place}"


def _answer(handler: Handler, request: Mapping[str, Any], memory_mb: int) -> dict[str, Any]:
    try:
        return handler(request)
    except MemoryError:
        return {"failed": f"more than {memory_mb} MB of memory", "kind": "memory"}
    except RecursionError:
        return {"failed": "nested too deeply", "kind": "depth"}
    except (Exception, SystemExit) as error:
        return {"failed": _where(error), "kind": "error"}


def _backstop(seconds: float) -> None:
    # The default action of SIGALRM ends the process even inside one long C call.
    with contextlib.suppress(ValueError, AttributeError):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main() -> int:
    """Serve until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    requests, replies = _private_pipes()

    def send(reply: Mapping[str, Any]) -> None:
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

    config = json.loads(requests.readline() or "null")
    if config is None:
        return 0
    memory_mb, most_s = int(config["memory_mb"]), float(config["most_s"])
    try:
        handler = _load(config)
    except (Exception, SystemExit) as error:
        send({"error": _where(error)})
        return 1
    _limit_memory(memory_mb)
    send({"ready": True})
    for line in requests:
        request = json.loads(line)
        _backstop(most_s + 10)
        reply = _answer(handler, request, memory_mb)
        _backstop(0)
        try:
            send({**reply, "n": request["n"]})
        except BrokenPipeError:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
