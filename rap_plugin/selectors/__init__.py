"""Selectors: rules that make a selection out of scores."""

from rap_plugin.selectors.rap import select_rap
from rap_plugin.selectors.simple import select_band, select_follow, select_gap, select_limr, select_random, select_top

BUILTIN_SELECTORS = {
    "rap": select_rap,
    "random": select_random,
    "band": select_band,
    "limr": select_limr,
    "top": select_top,
    "gap": select_gap,
    "follow": select_follow,
}
"""Name to function, see `rap_plugin.selectors.base.Selector`."""

__all__ = ["BUILTIN_SELECTORS", *(function.__name__ for function in BUILTIN_SELECTORS.values())]
