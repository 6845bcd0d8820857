"""Writes docs/configuration.md from the configuration's fields; a test fails when it is out of date.

python scripts/write_option_docs.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

from rap_plugin.config import RunConfig, field_of, option_names
from rap_plugin.flags import FLAGS

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
INTRODUCTION = """# Configuration

One YAML file is the same as the flags: `rap select --config run.yaml`. Sections and names are those below. What is
given later wins: defaults, then the file, then `--set NAME=VALUE`, then a flag. An unknown name is an error.

```yaml
pool: {path: pool.parquet}
model: {id: Qwen/Qwen2.5-VL-7B-Instruct}
sampling: {rollouts: 5, max_new_tokens: 2048}
selection: {preset: paper, lambda_a: auto}
```

`run.json` of every run holds its whole configuration under `config`; saved as YAML it runs again.

"""


def render() -> str:
    """The document's text."""
    lines = [INTRODUCTION]
    section = ""
    for name in option_names():
        head, _, _ = name.partition(".")
        if "." not in name:
            continue
        if head != section:
            section = head
            lines.append(
                f"## {section}\n\n| option | flag | values | default | what |\n| --- | --- | --- | --- | --- |\n"
            )
        info = field_of(name)
        given = info.get_default(call_default_factory=True)
        default = "" if given in (None, "", {}) else f"`{given}`"
        flag = f"`{FLAGS[name]}`" if name in FLAGS else ""
        lines.append(f"| `{name}` | {flag} | {values(info.annotation)} | {default} | {info.description} |\n")
        if name == [other for other in option_names() if other.startswith(section + ".")][-1]:
            lines.append("\n")
    plugins = RunConfig.model_fields["plugins"].description
    lines.append(f"## plugins\n\n`plugins` (flag `--plugin`, may be repeated): {plugins}.\n")
    return "".join(lines)


def values(annotation: Any) -> str:
    """What an option takes, in words."""
    if annotation is type(None):
        return ""
    if get_origin(annotation) is None:
        return {bool: "true / false", int: "number", float: "number", str: "text"}.get(annotation, str(annotation))
    if str(get_origin(annotation)) in ("<class 'dict'>", "<class 'tuple'>", "<class 'list'>"):
        return "YAML"
    parts = get_args(annotation)
    if str(get_origin(annotation)) == "typing.Literal":
        return ", ".join(f"`{part}`" for part in parts)
    inner = [
        values(part)
        for part in parts
        if part is not type(None) and not hasattr(part, "gt") and not hasattr(part, "metadata")
    ]
    return " or ".join(dict.fromkeys(text for text in inner if text))


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(render(), encoding="utf-8")
    print(DOCUMENT)
