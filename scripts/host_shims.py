"""Test environment only: stand-ins for compiled parts that cannot run without CUDA.

- `torchvision`'s wheel registers its operators from a CUDA library; three schemas are enough for every
  pure-Python transform, and a `.pth` line declares them before the first import.
- OpenRLHF imports `flash_attn` at module level; the stand-in has the imported names and raises when called.

The package never uses either.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

TORCHVISION = '''"""Declares the torchvision operators that a CPU machine lacks, when torchvision is imported."""
import importlib.abc
import sys


class _DeclareFirst(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            global library
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define(
                "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, "
                "int pooled_width, int sampling_ratio, bool aligned) -> Tensor"
            )
        return None


sys.meta_path.insert(0, _DeclareFirst())
'''

FLASH_ATTN = {
    "__init__.py": '__version__ = "0.0.0+stand.in"\n',
    "bert_padding.py": "from einops import rearrange\n\n\n"
    + "\n\n".join(
        f'def {name}(*args, **kwargs):\n    raise RuntimeError("flash_attn is a stand-in here: {name} needs CUDA")\n'
        for name in ("index_first_axis", "pad_input", "unpad_input")
    ),
    "utils/__init__.py": "",
    "utils/distributed.py": 'def all_gather(*args, **kwargs):\n    raise RuntimeError("flash_attn is a stand-in here: all_gather needs CUDA")\n',
}


def main() -> None:
    site = Path(sysconfig.get_paths()["purelib"])
    (site / "_declare_torchvision_operators.py").write_text(TORCHVISION)
    (site / "_declare_torchvision_operators.pth").write_text("import _declare_torchvision_operators\n")
    for name, text in FLASH_ATTN.items():
        path = site / "flash_attn" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
