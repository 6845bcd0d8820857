"""A user's own reward function, called as the framework it was written for calls it. Runs in workers only."""

from __future__ import annotations

import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

DEFAULT_FUNCTIONS = ("reward_func", "compute_score", "grade")
"""Names looked for when only a file is given: OpenRLHF's, EasyR1's, and a plain one."""


def load_user_function(path: str, function: str, kind: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Import a file and wrap its function as a request handler.

    Raises whatever the file raises, and LookupError when the function is not there.
    """
    file = Path(path)
    # The file's own folder, so that it can import its neighbours as it does when run.
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(f"rap_user_grader_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise LookupError(f"{file.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    names = (function,) if function else DEFAULT_FUNCTIONS
    found = next((getattr(module, name) for name in names if callable(getattr(module, name, None))), None)
    if found is None:
        raise LookupError(f"{file.name} has no function {' or '.join(names)}")
    return make_handler(found, kind, reward_type=getattr(module, "REWARD_TYPE", None))


def _required_names(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]


def detect_kind(function: Callable[..., Any]) -> str:
    """Which framework a function was written for, by its parameters and its name."""
    names = _required_names(function)
    if names[:3] == ["queries", "prompts", "labels"] or function.__name__ == "reward_func":
        return "openrlhf"
    easy = {"reward_inputs", "reward_input", "predict", "predict_str", "predicts"}
    if easy & set(names[:1]) or function.__name__ == "compute_score":
        return "easyr1"
    return "plain"


def make_handler(
    function: Callable[..., Any], kind: str, reward_type: str | None = None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A handler that calls `function` for one item: request {response, gold, question, prompt} -> reply
    {reward, accuracy, format}, the last two None unless the function says them."""
    kind = detect_kind(function) if kind == "auto" else kind
    if kind == "openrlhf":
        call = _openrlhf(function)
    elif kind == "easyr1":
        call = _easyr1(function, reward_type)
    else:
        call = _plain(function)

    def handle(request: Mapping[str, Any]) -> dict[str, Any]:
        return read_reward(call(request))

    return handle


def _openrlhf(function: Callable[..., Any]) -> Callable[[Mapping[str, Any]], Any]:
    def call(request: Mapping[str, Any]) -> Any:
        prompt = request["prompt"] or request["question"]
        return function([prompt + request["response"]], [prompt], [request["gold"]])

    return call


def _easyr1(function: Callable[..., Any], reward_type: str | None) -> Callable[[Mapping[str, Any]], Any]:
    names = _required_names(function)
    if len(names) >= 2:
        batched = names[0] in ("predicts", "responses")

        def call_pair(request: Mapping[str, Any]) -> Any:
            pair = request["response"], request["gold"]
            return function([pair[0]], [pair[1]]) if batched else function(*pair)

        return call_pair
    single = reward_type == "sequential" or (reward_type is None and names[:1] == ["reward_input"])

    def call(request: Mapping[str, Any]) -> Any:
        reward_input = {
            "response": request["response"],
            # Token counts are not known to a grader: white-space words are the nearest thing.
            "response_length": len(request["response"].split()),
            "ground_truth": request["gold"],
        }
        return function(reward_input if single else [reward_input])

    return call


def _plain(function: Callable[..., Any]) -> Callable[[Mapping[str, Any]], Any]:
    wanted = max(2, len(_required_names(function)))

    def call(request: Mapping[str, Any]) -> Any:
        return function(*(request["response"], request["gold"], request["question"])[:wanted])

    return call


def _one_number(value: Any, what: str) -> float:
    """A float from a number, a bool, a tensor, an array, or a list holding exactly one of these."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    while isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 1:
            raise ValueError(f"the function returned {len(value)} {what}s for one response")
        value = value[0]
        if hasattr(value, "tolist"):
            value = value.tolist()
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"the function returned {type(value).__name__} as {what}, not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"the function returned {number} as {what}")
    return number


def read_reward(result: Any) -> dict[str, Any]:
    """{reward, accuracy, format} from what any of the frameworks' functions return: a number, a tensor, a
    list of one, OpenRLHF's {rewards, scores, extra_logs} or EasyR1's {overall, accuracy, format}.

    Raises ValueError or TypeError for everything else, NaN and infinities included.
    """
    while isinstance(result, Sequence) and not isinstance(result, str) and len(result) == 1:
        result = result[0]
    if not isinstance(result, Mapping):
        return {"reward": _one_number(result, "reward"), "accuracy": None, "format": None}
    key = next((k for k in ("overall", "rewards", "reward", "score", "scores") if k in result), None)
    if key is None:
        raise ValueError(f"the function returned a dict without overall, rewards or score: {sorted(map(str, result))}")
    optional = {
        name: _one_number(result[name], name) if result.get(name) is not None else None
        for name in ("accuracy", "format")
    }
    return {"reward": _one_number(result[key], key), **optional}
