"""Random models of many more families, one builder each, with the real processor of each.

They are as small as their configurations allow. `tiny_models` builds them beside its own four.
"""

import importlib
import pkgutil

from .parts import BUILDERS

for _, name, _ in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{name}")  # its builders enter the register

__all__ = ["BUILDERS"]
