"""No path of the package runs code that came as data: its syntax trees are walked, and each rule is tried on a planted violation.

What may do more than others is listed by file, with the reason. A new entry needs one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rap_plugin"

FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.full_load",
    "yaml.unsafe_load", "sympify", "parse_expr", "sympy.sympify", "sympy.parse_expr", "sympy.S", "numpy.fromfile",
    "pd.read_pickle", "pandas.read_pickle",
}  # fmt: skip
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle", "code"}
FORBIDDEN_NAMES = {
    "sympify": "evaluates its text as Python",
    "parse_expr": "evaluates its text as Python",
    "ExprExtractionConfig": "math-verify hands such text to parse_expr, which evaluates it",
}

PROCESSES = {
    "grading/workers/processes.py": "starts this package's own worker, with a list of arguments",
    "engines/chat_template.py": "tries a chat template in a process of its own, with a list of arguments",
}
NETWORK = {
    "samples/fetch.py": "URLs of a pool, when --allow-urls is given",
    "evaluation/judge.py": "the judge's address that the user gives",
}
RUNS_A_FILE = {
    "plugins.py": "the plugin file that the user names",
    "grading/workers/user_functions.py": "the reward function that the user names, in a worker",
    "samples/facts.py": "the function that writes facts, which the user names",
    "vlmeval_datasets/run.py": "VLMEvalKit's own program",
    "openrlhf_hooks/train_ppo_ray.py": "OpenRLHF's own program, by a constant name",
}


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def violations(source: str, path: str) -> Iterator[str]:
    """Each forbidden thing in the text of one file of the package."""
    for node in ast.walk(ast.parse(source)):
        line = f"{path}:{getattr(node, 'lineno', 0)}"
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
            yield from (
                f"{line}: {alias.name} {FORBIDDEN_NAMES[alias.name]}"
                for alias in node.names
                if alias.name in FORBIDDEN_NAMES
            )
        for module in modules:
            if module.split(".")[0] in FORBIDDEN_IMPORTS:
                yield f"{line}: imports {module}"
            if module.split(".")[0] == "subprocess" and path not in PROCESSES:
                yield f"{line}: starts processes"
            if (module.split(".")[0] in ("requests", "aiohttp") or module == "urllib.request") and path not in NETWORK:
                yield f"{line}: opens addresses"
            if module.split(".")[0] == "runpy" and path not in RUNS_A_FILE:
                yield f"{line}: runs a module"
        if isinstance(node, ast.Call):
            yield from (f"{line}: {found}" for found in in_call(node, path))


def in_call(node: ast.Call, path: str) -> Iterator[str]:
    name = name_of(node.func)
    given = {keyword.arg: keyword.value for keyword in node.keywords}

    def is_constant(option: str, value: object) -> bool:
        there = given.get(option)
        return isinstance(there, ast.Constant) and there.value is value

    if name in FORBIDDEN_CALLS:
        yield f"calls {name}"
    if name == "torch.load" and not is_constant("weights_only", True):
        yield "torch.load without weights_only=True"
    if name in ("np.load", "numpy.load") and not is_constant("allow_pickle", False):
        yield f"{name} without allow_pickle=False"
    if is_constant("allow_pickle", True):
        yield "allow_pickle=True"
    if is_constant("trust_remote_code", True):
        yield "trust_remote_code=True, not from the configuration"
    if is_constant("shell", True):
        yield "shell=True"
    if name.endswith("spec_from_file_location") and path not in RUNS_A_FILE:
        yield "runs a file"


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def test_nothing_in_the_package_runs_what_came_as_data() -> None:
    found = [
        line
        for path in files()
        for line in violations(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix())
    ]
    assert found == []


def test_what_may_do_more_is_there_and_does_it() -> None:
    words = {"subprocess": PROCESSES, "urllib.request": NETWORK, "run": RUNS_A_FILE}
    for word, allowed in words.items():
        for name in allowed:
            if word == "run":
                text = (PACKAGE / name).read_text(encoding="utf-8")
                assert "runpy" in text or "spec_from_file_location" in text
            else:
                assert word in (PACKAGE / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize(
    "planted",
    [
        "eval(text)",
        "exec(text)",
        "compile(text, 'x', 'eval')",
        "import pickle",
        "from pickle import loads",
        "import cloudpickle.something",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "os.system(text)",
        "import subprocess",
        "subprocess.run(text, shell=True)",
        "import requests",
        "from urllib.request import urlopen",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(where, trust_remote_code=True)",
        "from sympy import sympify",
        "from sympy.parsing.sympy_parser import parse_expr",
        "from math_verify.parser import ExprExtractionConfig",
        "import runpy",
        "importlib.util.spec_from_file_location('x', path)",
    ],
)
def test_a_planted_violation_is_found(planted: str) -> None:
    assert list(violations(planted, "samples/planted.py"))


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('touch FILE')",
        "\\boxed{__import__('os').system('touch FILE')}",
        "$$\\operatorname{eval}(open('FILE', 'w'))$$",
        "\\boxed{\\text{exec(\"open('FILE','w')\")}}",
        "().__class__.__bases__[0].__subclasses__()",
        "lambda: open('FILE', 'w')",
        "\\input{|touch FILE}",
    ],
)
def test_mathematics_that_is_python_creates_no_file(hostile: str, tmp_path: Path) -> None:
    from rap_plugin.grading.workers.symbolic import read_formula

    target = tmp_path / "created"
    read_formula(hostile.replace("FILE", str(target)))
    assert not target.exists()
