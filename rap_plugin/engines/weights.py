"""Where a model's files are, and which weights they hold: known without loading them, without torch."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from rap_plugin.engines.checkpoint import count_parameters, require_file, require_sound, shard_names
from rap_plugin.errors import Option, RapError, one_line
from rap_plugin.rollout import ModelIdentity

FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "tokenizer*"]
"""What a model needs from a hub; never pickled weights."""

PROCESSOR_FILES = (
    *("chat_template*", "additional_chat_templates/*", "*.jinja", "*preprocessor_config.json", "processor_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "*.model", "added_tokens.json", "special_tokens_map.json"),
    *("config.json", "generation_config.json", "*.py"),
)
"""What an answer depends on beside weights and question."""


def find_model(name: str, revision: str | None = None, *, code: bool = False) -> Path:
    """The folder of a model: a local one as it is, a hub id fetched into (or found in) the hub's cache.

    Raises RapError where there is neither. `code` fetches the repository's Python files too.
    """
    if not name:
        raise RapError("no model given; name a hub id or a folder with ", Option("model.id"))
    folder = Path(os.path.expanduser(name))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise RapError(
                f"{name}: no config.json in this folder; ",
                Option("model.id"),
                " takes a folder saved by save_pretrained",
            )
        require_sound(name, folder)
        return folder
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or folder.exists():
        raise RapError(
            f"{name}: no such model folder, and not a hub id of the form owner/name; check ", Option("model.id")
        )
    from huggingface_hub import snapshot_download

    patterns = [*FILES, "*.py"] if code else FILES
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:
        reason = one_line(error)
        at = f" at revision {revision}" if revision else ""
        raise RapError(
            f"{name}{at}: no such folder, and not fetched from the hub ({reason}); check ",
            Option("model.id"),
            " and the network",
        ) from None
    require_sound(name, folder)
    return folder


def identify(name: str, folder: Path) -> ModelIdentity:
    """The identity of the weights in `folder`.

    weights_hash is SHA-256 over one line `name sha256` per weight file, in order of name; parameters are
    counted from the files' headers. revision is the commit for a folder of the hub's cache.
    """
    files = weight_files(folder)
    if not files:
        raise RapError(f"{name}: no *.safetensors weights in {folder}; save the model with save_pretrained")
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name} {_file_hash(file)}\n".encode())
    weights_hash = total.hexdigest()
    commit = folder.name if folder.parent.name == "snapshots" else ""
    revision = commit or weights_hash[:12]
    return ModelIdentity(name, revision, weights_hash, sum(map(count_parameters, files)), processor_hash(folder))


def processor_hash(folder: Path) -> str:
    """16 hexadecimal digits over the files beside the weights that decide what the model is given and when it ends.

    The chat template, the configurations of tokeniser, image processor, model and generation, and the repository's code,
    by name; other files (a README, an index of weight files) are left out. Empty where there is none.
    """
    digest = hashlib.blake2b(digest_size=8)
    found = sorted({file for pattern in PROCESSOR_FILES for file in folder.glob(pattern) if file.is_file()})
    for file in found:
        digest.update(f"{file.relative_to(folder).as_posix()} {_file_hash(file)}\n".encode())
    return digest.hexdigest() if found else ""


def weight_files(folder: Path) -> list[Path]:
    """The weight files that loading reads: those of the index where there is one, else all *.safetensors."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return [folder / name for name in shard_names(index)]
    single = folder / "model.safetensors"
    return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))


def _file_hash(file: Path) -> str:
    require_file(file)
    real = file.resolve()
    # The hub's cache names a large file by the SHA-256 of its content: reading 15 GB again would tell nothing new.
    if real.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", real.name):
        return real.name
    try:
        stat = real.stat()
        return _hash_bytes(str(real), stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise RapError(f"{file}: cannot read these weights ({error.strerror}); fetch or save the model again") from None


@lru_cache(maxsize=4096)
def _hash_bytes(path: str, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file; size and time are part of the cache's key only."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
