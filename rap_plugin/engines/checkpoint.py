"""Can this folder be a model? Looked at before a library parses anything of it: kinds and sizes of files, headers, a few numbers.

Checkpoints come from strangers. What is refused here would otherwise be read without an end, fill the memory, or name files elsewhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line

MAX_HEADER = 100_000_000
"""Bytes of a safetensors header, as safetensors itself has it."""

MAX_BYTES = {"tokenizer.json": 256 << 20, "vocab*": 64 << 20, "merges.txt": 64 << 20, "*.model": 64 << 20}
"""By name: the largest file that is read; the largest that models have is a tenth of it."""

MAX_OTHER = 32 << 20
MAX_TEMPLATE = 1 << 20
READ = ("*.json", "*.jinja", "additional_chat_templates/*", "vocab*", "merges.txt", "*.model", "*.safetensors")

MAX_LAYERS = 10_000
LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer", "depth", "encoder_layers", "decoder_layers")
MAX_EDGE, MAX_PIXELS = 65_536, 1 << 28
EDGES, PIXELS = ("height", "width"), ("min_pixels", "shortest_edge", "longest_edge")
"""An image processor makes every image at least so large."""

DTYPE_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "C64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
}


def require_sound(name: str, folder: Path) -> None:
    """Raises RapError for a folder that no model's can be; what libraries refuse by themselves, in time, is left to them."""
    for file in sorted({file for pattern in READ for file in folder.glob(pattern)}):
        require_file(file)
        known = [most for pattern, most in MAX_BYTES.items() if file.match(pattern)]
        most = MAX_TEMPLATE if file.suffix == ".jinja" else known[0] if known else MAX_OTHER
        size = file.stat().st_size
        if size > most and file.suffix != ".safetensors":
            raise RapError(f"{name}: {file.name} has {size:,} bytes, more than {most:,}; that is no model's")
    if (folder / "adapter_config.json").exists():
        raise RapError(
            f"{name}: adapter_config.json makes this an adapter over another model, whose weights would be loaded; merge it "
            "into its model (merge_and_unload) and save that"
        )
    _require_ends(name, folder / "generation_config.json")
    for key, value in _numbers(folder / "config.json"):
        if key in LAYERS and value > MAX_LAYERS:
            raise RapError(f"{name}: config.json has {key}={value:g}, more than {MAX_LAYERS:,}; that is no model's")
    for file in (folder / "preprocessor_config.json", folder / "processor_config.json"):
        for key, value in _numbers(file):
            limit = MAX_EDGE if key in EDGES else MAX_PIXELS if key in PIXELS else math.inf
            if value > limit:
                raise RapError(
                    f"{name}: {file.name} has {key}={value:g}, more than {limit:,}; no image is made so large"
                )


def _require_ends(name: str, file: Path) -> None:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        ends = known.get("eos_token_id")
    except (OSError, ValueError, RecursionError, AttributeError):
        return
    if not all(type(end) is int for end in (ends if isinstance(ends, list) else [] if ends is None else [ends])):
        raise RapError(
            f"{name}: {file.name} has eos_token_id={ends!r:.80}; that is the number of a token, or a list of them"
        )


def require_file(file: Path) -> None:
    """Raises RapError for what is not a file with an end: a pipe, a device, a folder, a link to nothing."""
    if not file.exists():
        why = "no file behind this link; fetch or save the model again" if file.is_symlink() else "no such file"
        raise RapError(f"{file}: cannot read it: {why}")
    if not file.is_file():
        raise RapError(f"{file}: no regular file; fetch or save the model again")


def shard_names(index: Path) -> list[str]:
    """The weight files that an index names. Raises RapError where it names anything but files beside itself."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if bad := [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]:
            raise ValueError(f"{bad[0]!r:.80} is no *.safetensors file beside it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RapError(f"{index}: not an index of weights ({one_line(error)}); fetch or save the model again") from None
    return sorted(names)


def count_parameters(file: Path) -> int:
    """Numbers in a safetensors file, from its header alone. Raises RapError for a header that does not describe the file."""
    require_file(file)
    try:
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            held = file.stat().st_size - 8 - size
            if size > MAX_HEADER or held < 0:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(size))
        header.pop("__metadata__", None)
        _require_placed(header, held)
        return sum(math.prod(entry["shape"]) for entry in header.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RapError(f"{file}: not a safetensors file ({one_line(error)}); fetch or save the model again") from None


def _require_placed(header: dict[str, Any], held: int) -> None:
    """The tensors fill the bytes behind the header, one after the other. Raises ValueError."""
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"])):
        first, last = entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (first, last, *entry["shape"])):
            raise ValueError(f"{name:.80}: a shape or an offset is no whole number")
        size = DTYPE_BYTES.get(entry["dtype"])
        if first != end or last < first or (size is not None and last - first != size * math.prod(entry["shape"])):
            raise ValueError(f"{name:.80}: its offsets do not fit its shape or its neighbours")
        end = last
    if end != held:
        raise ValueError(f"it describes {end:,} bytes and holds {held:,}")


def _numbers(file: Path) -> Iterator[tuple[str, float]]:
    """Every number of a JSON file with its key, at any depth; nothing of a file that is no JSON."""
    try:
        waiting: list[Any] = [json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, RecursionError):
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from ((key, value) for key, value in node.items() if isinstance(value, (int, float)))
        parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        waiting += [part for part in parts if isinstance(part, (dict, list))]
