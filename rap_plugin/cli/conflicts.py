"""Known conflicts of an environment, each with the command that mends it."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

GIB = 1 << 30
LEAST_DISK = 10 * GIB
"""A 7B model in bfloat16 takes 15 GB; below this not even a small one and its evidence fit."""
LEAST_SHARED = GIB
"""Shared memory that vLLM's processes and Ray's object store want."""
LEAST_FILES = 4096
"""Open files: Ray and data loaders of many workers hold thousands."""
EXTRAS = ("hf", "datasets", "vllm", "ray", "trl", "openai")


@dataclass(frozen=True)
class Conflict:
    """Something that will go wrong, and what mends it."""

    about: str
    says: str
    mend: str


def find_conflicts() -> list[Conflict]:
    """All that apply here. A check that cannot be made says nothing."""
    found: list[Conflict] = []
    for check in CHECKS:
        found += check()
    return found


def grading() -> Iterator[Conflict]:
    """Whether mathematical answers can be compared."""
    antlr = installed("antlr4-python3-runtime")
    try:
        from math_verify import parse, verify

        if not verify(parse(r"\boxed{\frac{1}{2}}"), parse(r"\boxed{0.5}")):
            yield Conflict(
                "grading", "math-verify says that 1/2 is not 0.5", "pip install --force-reinstall math-verify"
            )
    except Exception as error:
        if antlr is not None and antlr.startswith("4.7"):
            yield Conflict(
                "grading",
                f"math-verify cannot be imported under antlr4-python3-runtime {antlr}, which latex2sympy2 (of lmms-eval) pins",
                "pip install --no-deps antlr4-python3-runtime==4.9.3",
            )
        else:
            yield Conflict(
                "grading",
                f"math-verify cannot be used ({type(error).__name__}: {error})",
                "pip install --force-reinstall math-verify",
            )


def lmms_eval() -> Iterator[Conflict]:
    """lmms_eval/evaluator.py imports filelock._api, which version 4 does not have."""
    host, filelock = installed("lmms-eval"), installed("filelock")
    if host is not None and filelock is not None and int(filelock.split(".")[0]) >= 4:
        yield Conflict("lmms-eval", f"{host} does not start with filelock {filelock}", "pip install 'filelock<4'")


def versions() -> Iterator[Conflict]:
    """Installed packages that are older than what the extras ask for; those that are absent are no conflict."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires("rap-plugin") or ()]
    except PackageNotFoundError:
        return
    seen: set[str] = set()
    for requirement in wanted:
        extra = next((name for name in EXTRAS if requirement.marker and f'"{name}"' in str(requirement.marker)), None)
        if requirement.name == "rap-plugin" or (requirement.marker and extra is None):
            continue
        found = installed(requirement.name)
        if requirement.name in seen:
            continue
        if found is not None and not requirement.specifier.contains(found, prereleases=True):
            seen.add(requirement.name)
            text = f"{requirement.name}{requirement.specifier}"
            yield Conflict(requirement.name, f"{found} is installed, {text} is needed", f"pip install '{text}'")


def cuda() -> Iterator[Conflict]:
    """A card that torch does not use."""
    if installed("torch") is None or not Path("/dev/nvidia0").exists():
        return
    import torch

    if torch.version.cuda is None:
        yield Conflict(
            "cuda",
            f"there is a card, but torch {torch.__version__} is a build for CPUs",
            "pip install --force-reinstall torch",
        )
    elif not torch.cuda.is_available():
        yield Conflict(
            "cuda",
            f"there is a card, but torch's CUDA {torch.version.cuda} cannot use it (an older driver?)",
            "nvidia-smi  # its CUDA version must not be lower; else a torch built for it, pytorch.org/get-started",
        )


def torchvision() -> Iterator[Conflict]:
    """A torchvision of another torch: its operators are not registered, and image processors fail at import."""
    if installed("torchvision") is None or installed("torch") is None:
        return
    try:
        import torch

        import_module("torchvision")
        _ = torch.ops.torchvision.nms
    except Exception as error:
        yield Conflict(
            "torchvision",
            f"{installed('torchvision')} does not fit torch {installed('torch')} ({str(error).splitlines()[0]:.80})",
            "pip install --force-reinstall torch torchvision",
        )


def disk() -> Iterator[Conflict]:
    """Room for a model and for evidence."""
    free = shutil.disk_usage(".").free
    if free < LEAST_DISK:
        yield Conflict(
            "disk",
            f"{free / GIB:.1f} GiB are free here",
            "rap select .. --out /a/larger/disk  # and HF_HOME for models",
        )


def shared_memory() -> Iterator[Conflict]:
    """What containers get is 64 MiB."""
    shared = Path("/dev/shm")
    if shared.is_dir() and (size := shutil.disk_usage(shared).total) < LEAST_SHARED:
        yield Conflict(
            "shared memory",
            f"/dev/shm has {size / 2**20:.0f} MiB; vLLM and Ray want more",
            "docker run --shm-size=8g ..",
        )


def open_files() -> Iterator[Conflict]:
    """The limit that a shell sets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_FILES:
        most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
        yield Conflict("open files", f"a process may open {soft}; Ray needs thousands", f"ulimit -n {most}")


CHECKS: tuple[Callable[[], Iterator[Conflict]], ...] = (
    grading,
    lmms_eval,
    versions,
    cuda,
    torchvision,
    disk,
    shared_memory,
    open_files,
)


def installed(name: str) -> str | None:
    """A package's version, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
