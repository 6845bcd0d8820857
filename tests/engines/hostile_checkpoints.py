"""Hostile and broken checkpoints: what is changed in a sound model's folder, and what must be said of it.

A change gets the folder, a copy of the embedded model. The words stand in the one line that opening, loading or the first answer ends with;
None: the model still answers, because the planted thing is not looked at.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[Path], None]

WEIGHTS = "model.safetensors"
PLANTED = "planted"
"""The file that code of a checkpoint would make, in the current folder."""


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return open, (PLANTED, "w")


def _edited(name: str, **values: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**known, **values}), encoding="utf-8")

    return change


def _inner(name: str, part: str, **values: Any) -> Change:
    def change(folder: Path) -> None:
        known = json.loads((folder / name).read_text(encoding="utf-8"))
        known[part] = {**known.get(part, {}), **values}
        (folder / name).write_text(json.dumps(known), encoding="utf-8")

    return change


def _written(name: str, content: str | bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def _both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def _without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _linked(name: str, to: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(to)

    return change


def _pipe(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def _header(header: Any, data: int = 64, size: int | None = None) -> Change:
    """Weights with this header, its length as it is or as claimed, and so many bytes behind it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _written(WEIGHTS, struct.pack("<Q", len(text) if size is None else size) + text + b"\0" * data)


def _tensor(start: int, end: int, shape: list[Any] | None = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape if shape is not None else [4], "data_offsets": [start, end]}


def _large(name: str, size: int) -> Change:
    def change(folder: Path) -> None:
        content = (folder / name).read_text(encoding="utf-8") if (folder / name).exists() else "{}"
        with (folder / name).open("w", encoding="utf-8") as file:
            file.write(content)
            file.truncate(size)  # the rest reads as zeros and takes no room on the disk

    return change


def _grown(name: str, size: int) -> Change:
    return lambda folder: os.truncate(folder / name, size)


def _padded_json(name: str, size: int) -> Change:
    def change(folder: Path) -> None:
        known = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**known, "pad": "x" * size}), encoding="utf-8")

    return change


CODE = "from pathlib import Path\nPath('planted').touch()\nclass Own:\n    pass\n"
DEEP = "[" * 100_000 + "]" * 100_000
ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"

CHECKPOINTS: dict[str, tuple[Change, str | None]] = {
    # weights
    "pickled weights alone": (_both(_without_weights, _written("pytorch_model.bin", pickle.dumps(_Runs()))), "no *.safetensors weights"),
    "pickled weights beside sound ones": (_written("pytorch_model.bin", pickle.dumps(_Runs())), None),
    "a pickle called safetensors": (_written(WEIGHTS, pickle.dumps(_Runs())), "not a safetensors file"),
    "weights of no bytes": (_written(WEIGHTS, b""), "not a safetensors file"),
    "a header that claims 2^63 bytes": (_header({}, size=2**63), "not a safetensors file"),
    "a header longer than any model's": (_both(_header({}, size=200_000_000), _grown(WEIGHTS, 300 << 20)), "not a safetensors file"),
    "a header that is no JSON": (_header(b"{" * 50), "not a safetensors file"),
    "a header nested too deep": (_header(b'{"a":' + DEEP.encode() + b"}"), "not a safetensors file"),
    "a header that is a list": (_header([1, 2]), "not a safetensors file"),
    "a tensor without a shape": (_header({"a": {"dtype": "F32", "data_offsets": [0, 16]}}), "not a safetensors file"),
    "a tensor of a negative shape": (_header({"a": _tensor(0, 16, [-4])}), "not a safetensors file"),
    "a tensor of a shape of words": (_header({"a": _tensor(0, 16, ["4"])}), "not a safetensors file"),
    "a tensor of 10^60 numbers": (_header({"a": _tensor(0, 16, [10**30, 10**30])}), "not a safetensors file"),
    "a tensor of an unknown type": (_header({"a": _tensor(0, 16, dtype="OBJECT")}), "not a safetensors file"),
    "offsets beyond the file": (_header({"a": _tensor(0, 2**50, [2**48])}), "not a safetensors file"),
    "negative offsets": (_header({"a": _tensor(-16, 0)}), "not a safetensors file"),
    "offsets the wrong way round": (_header({"a": _tensor(16, 0)}), "not a safetensors file"),
    "overlapping tensors": (_header({"a": _tensor(0, 16), "b": _tensor(8, 24)}), "not a safetensors file"),
    "another size than the shape's": (_header({"a": _tensor(0, 32)}), "not a safetensors file"),
    "bytes that belong to no tensor": (_header({"a": _tensor(0, 16)}, data=1000), "not a safetensors file"),
    "sound weights of another model": (_header({"a": _tensor(0, 16)}, data=16), "the weights cannot be loaded"),
    "weights that are a link out of the folder": (_linked(WEIGHTS, "/etc/hostname"), "not a safetensors file"),
    "weights that are a link to nothing": (_linked(WEIGHTS, "gone.safetensors"), "no file behind this link"),
    "weights that are a link to themselves": (_linked(WEIGHTS, WEIGHTS), "no file behind this link"),
    "weights that never end": (_linked(WEIGHTS, "/dev/zero"), "no regular file"),
    "weights that are a pipe": (_pipe(WEIGHTS), "no regular file"),
    "an index that is no JSON": (_written("model.safetensors.index.json", "{"), "index"),
    "an index without a map": (_written("model.safetensors.index.json", "{}"), "index"),
    "an index nested too deep": (_written("model.safetensors.index.json", DEEP), "index"),
    "an index of files outside": (_edited("model.safetensors.index.json", weight_map={"a": "../../outside.safetensors"}), "index"),
    "an index of an absolute path": (_edited("model.safetensors.index.json", weight_map={"a": "/etc/passwd"}), "index"),
    "an index of numbers": (_edited("model.safetensors.index.json", weight_map={"a": 7}), "index"),
    "an index of a file that is missing": (_edited("model.safetensors.index.json", weight_map={"a": "b.safetensors"}), "cannot read"),
    "an adapter of pickled weights": (_both(_edited("adapter_config.json", peft_type="LORA", base_model_name_or_path="evil/base", target_modules=["q_proj"]), _written("adapter_model.bin", pickle.dumps(_Runs()))), "adapter"),
    # code
    "a configuration with code": (_both(_edited("config.json", auto_map={"AutoConfig": "own.Own"}, model_type="own"), _written("own.py", CODE)), "config.json cannot be used"),
    "a configuration with code of another repository": (_edited("config.json", auto_map={"AutoConfig": "evil/repo--own.Own"}, model_type="own"), "config.json cannot be used"),
    "a network with code": (_both(_edited("config.json", auto_map={"AutoModelForImageTextToText": "own.Own"}), _written("own.py", CODE)), None),
    "a processor with code": (_both(_edited("processor_config.json", auto_map={"AutoProcessor": "own.Own"}, processor_class="Own"), _written("own.py", CODE)), "processor cannot be loaded"),
    "a tokeniser with code": (_both(_edited("tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]}, tokenizer_class="Own"), _written("own.py", CODE)), None),
    "an image processor with code": (_both(_edited("preprocessor_config.json", auto_map={"AutoImageProcessor": "own.Own"}), _written("own.py", CODE)), None),
    "its own generation": (_both(lambda folder: (folder / "custom_generate").mkdir(), _written("custom_generate/generate.py", CODE), _edited("generation_config.json", custom_generate="custom_generate")), None),
    # configurations
    "a configuration of 100 MB": (_padded_json("config.json", 100_000_000), "config.json has 100"),
    "a configuration that is no JSON": (_written("config.json", "{"), "config.json cannot be used"),
    "a configuration nested too deep": (_written("config.json", DEEP), "config.json cannot be used"),
    "a configuration that is a list": (_written("config.json", "[]"), "config.json cannot be used"),
    "a configuration of zeros": (_large("config.json", 1 << 20), "config.json cannot be used"),
    "a configuration that never ends": (_linked("config.json", "/dev/zero"), "no"),
    "a configuration that is a pipe": (_pipe("config.json"), "no"),
    "a billion layers": (_inner("config.json", "text_config", num_hidden_layers=10**9), "num_hidden_layers"),
    "a billion layers to see with": (_inner("config.json", "vision_config", depth=10**9, num_hidden_layers=10**9), "10,000"),
    "a vocabulary of 10^15": (_inner("config.json", "text_config", vocab_size=10**15), "cannot be loaded"),
    "a hidden size of words": (_inner("config.json", "text_config", hidden_size="many"), "cannot be"),
    "negative heads": (_inner("config.json", "text_config", num_attention_heads=-2), "cannot be"),
    "an unknown model": (_edited("config.json", model_type="no_such"), "config.json cannot be used"),
    "a language model": (_edited("config.json", model_type="llama"), "not a vision-language model"),
    # tokeniser and processor
    "a tokeniser of 300 MB": (_large("tokenizer.json", 300 << 20), "tokenizer.json has 3"),
    "a tokeniser nested too deep": (_written("tokenizer.json", '{"model":' + DEEP + "}"), "processor cannot be loaded"),
    "a tokeniser that is no JSON": (_written("tokenizer.json", "{"), "processor cannot be loaded"),
    "a tokeniser of nothing": (_written("tokenizer.json", "{}"), "processor cannot be loaded"),
    "a picture of 10^6 x 10^6": (_edited("preprocessor_config.json", size={"height": 10**6, "width": 10**6}, min_pixels=10**12, max_pixels=10**12), "preprocessor_config.json"),
    "a processor nested too deep": (_written("preprocessor_config.json", DEEP), None),
    # chat templates
    "a template that loops for ever": (_written("chat_template.jinja", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"), "chat template"),
    "a template that writes for ever": (_written("chat_template.jinja", "{% for a in range(99999) %}{{ 'x' * 1000000 }}{% endfor %}"), "chat template"),
    "a template of one large string": (_written("chat_template.jinja", "{{ 'x' * 10000000000 }}"), "chat template"),
    "a template of one large power": (_written("chat_template.jinja", "{{ 10 ** (10 ** 10) }}"), "chat template"),
    "a template that looks for classes": (_written("chat_template.jinja", ESCAPE), "chat template"),
    "a template that formats its way out": (_written("chat_template.jinja", "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}"), "chat template"),
    "a template that opens a file": (_written("chat_template.jinja", "{{ cycler.__init__.__globals__.os.popen('touch planted') }}"), "chat template"),
    "a template that includes a file": (_written("chat_template.jinja", "{% include '/etc/passwd' %}"), "the processor failed"),
    "a template that is none": (_written("chat_template.jinja", "{% for %}"), "the processor failed"),
    "a template of 10 MB": (_large("chat_template.jinja", 10 << 20), "chat_template.jinja has 10"),
    # generation
    "an end that is a word": (_edited("generation_config.json", eos_token_id="end"), "eos_token_id"),
    "an end that is negative": (_edited("generation_config.json", eos_token_id=-5), None),
    "a million ends": (_edited("generation_config.json", eos_token_id=list(range(10**6))), None),
    "no number as temperature": (_edited("generation_config.json", temperature="hot", top_p=-3, num_beams=10**9, max_new_tokens=-1), "max_new_tokens"),
    "a generation that is a list": (_written("generation_config.json", "[]"), "cannot be loaded"),
    "a generation nested too deep": (_written("generation_config.json", DEEP), "cannot be loaded"),
}  # fmt: skip
