"""From a YAML file, `--set` and flags to one configuration; unknown and impossible values in one line."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rap_plugin.config.sections import RunConfig
from rap_plugin.errors import Command, Option, RapError, one_line

UNREADABLE = (yaml.YAMLError, ValueError, RecursionError, OverflowError, AttributeError)
"""What the YAML reader raises for a text: its own errors, dates that there are not, nesting without end."""

_SHORT = reprlib.Repr()
"""For values in an error's text: YAML can name one thing a million times."""
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 200, 200, 60


def load_config(
    path: str | Path | None = None,
    flags: Mapping[str, Any] | None = None,
    assignments: Iterable[str] = (),
    base: RunConfig | None = None,
) -> RunConfig:
    """Builds the configuration: `base` (or the defaults) < YAML file < `--set a.b=c` < flags.

    `flags` maps dotted names to values; None means "not given".
    """
    tree: dict[str, Any] = base.model_dump() if base else {}
    in_file: dict[str, Any] = {} if path is None else read_yaml(Path(path))
    _merge(tree, in_file)
    assigned: dict[str, Any] = {}
    for name, value in _read_assignments(assignments):
        for target in (tree, assigned):
            _assign(target, name, value)
    for name, value in (flags or {}).items():
        if value is not None:
            _assign(tree, name, value)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, path, in_file, assigned) from None


def given_options(
    path: str | Path | None = None, flags: Mapping[str, Any] | None = None, assignments: Iterable[str] = ()
) -> set[str]:
    """The dotted names of the options that a call of `load_config` is given."""
    tree: dict[str, Any] = {} if path is None else read_yaml(Path(path))
    given_flags = [(name, value) for name, value in (flags or {}).items() if value is not None]
    for name, value in (*_read_assignments(assignments), *given_flags):
        _assign(tree, name, value)
    return {name for name in option_names() if _is_set(tree, name.split("."))}


def _is_set(tree: Any, where: Iterable[str]) -> bool:
    for name in where:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return True


def _read_assignments(assignments: Iterable[str]) -> list[tuple[str, Any]]:
    """`NAME=VALUE` as dotted names with their values."""
    found = []
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise RapError(f"--set {assignment}: expected NAME=VALUE, for example --set sampling.rollouts=8")
        try:
            value = yaml.safe_load(text)
        except UNREADABLE as error:
            raise RapError(f"--set {name}: the value is not YAML ({one_line(error)})") from None
        found.append((name.strip(), value))
    return found


def option_names(model: type[BaseModel] = RunConfig, prefix: str = "") -> list[str]:
    """All options as dotted names, in the order of their definition."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        # In Python 3.10 dict[str, Any] is a type as well, and issubclass refuses it.
        if get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel):
            names += option_names(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def field_of(name: str) -> FieldInfo:
    """The configuration's field behind a dotted name."""
    section, field = name.split(".")
    kind = RunConfig.model_fields[section].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    return kind.model_fields[field]


def read_yaml(path: Path, sections: str = "`sampling:`") -> dict[str, Any]:
    """The sections of a YAML file; {} for an empty one. Raises RapError, one line, for all that is none, however deep."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        twice = _repeated_key(text)
    except OSError as error:
        raise RapError(f"{path}: cannot read the configuration ({error.strerror}); check ", Option("config")) from None
    except UNREADABLE as error:
        raise RapError(f"{path}: not a YAML file ({one_line(error)})") from None
    if twice is not None:
        raise RapError(f"{path}: {twice}; say it once")
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RapError(f"{path}: expected sections such as {sections} at the top, found {type(content).__name__}")
    return content


def _repeated_key(text: str) -> str | None:
    """The first key that a mapping holds twice, with its line; YAML would take the last one without a word."""
    seen: set[int] = set()
    waiting = [yaml.compose(text, Loader=yaml.SafeLoader)]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue  # an alias leads back to a node
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in names:
                    return f"`{key.value}` stands twice in one section (line {key.start_mark.line + 1})"
                names.add(key.value if isinstance(key, yaml.ScalarNode) else "")
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return None


def _merge(tree: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping) and isinstance(tree.get(name), dict):
            _merge(tree[name], value)
        else:
            tree[name] = value


def _assign(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, last = name.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            raise RapError(f"{name}: `{section}` is a value, not a section; see ", Command("rap select --help"))
        tree = below
    tree[last] = value


def _explain(
    error: ValidationError, path: str | Path | None, in_file: Mapping[str, Any], assigned: Mapping[str, Any]
) -> RapError:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if not str(part).startswith(("float", "literal", "constrained"))]
    name = ".".join(where)
    from_file = path is not None and _has(in_file, where, first["input"])
    # A YAML file and --set have dotted names, whatever flags or keywords the host has.
    dotted = from_file or _has(assigned, where, first["input"])
    origin = f"{path}: " if from_file else ""
    if first["type"] == "extra_forbidden":
        near = _nearest(name)
        hint = f"; did you mean {near}?" if near else ""
        shown = name if name.strip(".") else "without a name"
        return RapError(f"{origin}unknown option {shown}{hint} (", Command("rap select --help"), " lists all)")
    return RapError(
        origin,
        "option ",
        name if dotted else Option(name),
        f": {in_plain_words(first)} (got {_SHORT.repr(first['input'])})",
    )


_PLAIN = {
    "model_type": "a section of options is expected",
    "dict_type": "names with values are expected, as in {name: value}",
    "tuple_type": "a list of values is expected, as in [0.2, 0.8]",
    "list_type": "a list is expected, as in [one, other]",
    "float_parsing": "input should be a valid number",
    "int_parsing": "input should be a valid integer",
    "bool_parsing": "true or false is expected",
    "bool_type": "true or false is expected",
    "extra_forbidden": "there is no such option",
}
"""What pydantic says in words of its own, by the kind of its error."""


def in_plain_words(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, of one of pydantic's errors."""
    text = _PLAIN.get(str(problem["type"])) or str(problem["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _has(tree: Any, where: Iterable[str], value: Any) -> bool:
    """Whether a value stands at that place of a tree."""
    for name in where:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return bool(tree == value)


def _nearest(name: str) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(name, option_names(), n=1, cutoff=0.5)
    return found[0] if found else None
