"""What the page's script is given: the table of counts, the words, and what its command starts from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.posterior.pilot import Payback
from rap_plugin.report import composition, costs, joint
from rap_plugin.report.composition import Division
from rap_plugin.report.joint import Joint
from rap_plugin.report.sensitivity import Outcome
from rap_plugin.report.words import kind_of, verdict_word
from rap_plugin.run_dir.about import read_run, selected_config
from rap_plugin.selectors.base import CHOSEN, VERDICTS, Selection

TEMPLATES = Path(__file__).with_name("templates")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
PARTS = ("rule", "flow", "gallery", "payback", "live")

MOVED = {
    "selection.lambda_c",
    "selection.lambda_a",
    "selection.keep",
    "selection.cde",
    "selection.ace",
    "selection.drm",
    "selection.unmeasured",
    "selection.hard_requires_discrepancy",
    "ace.reduction",
    "ace.heads",
    "ace.window",
}
"""Options that the page moves; its command names the others where `rap select` had them otherwise."""


def page_script() -> str:
    """The page's one script, in a scope of its own."""
    parts = [(TEMPLATES / f"{name}.js").read_text(encoding="utf-8") for name in PARTS]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();"


def verdict_order(selection: Selection) -> list[str]:
    """Every verdict that the page may name, in the order by which a sample's `under` numbers them."""
    return list(dict.fromkeys((*VERDICTS, *selection.decision.counts())))


def verdicts_under(selection: Selection, settings: Sequence[Outcome], place: int) -> str:
    """The verdict under each setting of the sample at this place of the page: one base-36 digit each."""
    order = verdict_order(selection)
    return "".join(DIGITS[order.index(setting.shown[place])] for setting in settings)


def page_data(
    run: Path, selection: Selection, found: Joint | None, divisions: Sequence[Division], payback: Payback | None
) -> str:
    """The script's data as JSON that cannot end its element, whatever a pool holds."""
    names = verdict_order(selection)
    data: dict[str, Any] = {
        "words": {
            name: {"title": verdict_word(name, selection.config.selection.selector).title, "kind": kind_of(name)}
            for name in names
        },
        "order": names,
        "chosen": list(CHOSEN),
        "counts": selection.decision.counts(),
        "run_chosen": int(selection.decision.chosen.sum()),
        "run": run.absolute().name,
        "payback": costs.as_json(payback),
    }
    if found is not None:
        base = selected_config(read_run(run), run)
        data |= {
            "table": joint.as_json(found, selection),
            "divisions": composition.as_json(divisions),
            "base": _base(base),
            "lambda_a": joint.text_of(selection.config.selection.lambda_a),
            "options": joint.moved_options(selection, base, MOVED),
        }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _base(base: RunConfig) -> dict[str, Any]:
    """What `rap decide` starts from: the options of `rap select`."""
    options = base.selection
    return {
        "lambda_a": joint.text_of(options.lambda_a),
        "keep": options.keep,
        "cde": options.cde,
        "ace": options.ace,
        "drm": options.drm,
        "discard": options.unmeasured == "discard",
        "positive": options.hard_requires_discrepancy,
        "reduction": base.ace.reduction,
        "heads": base.ace.heads,
        "window": base.ace.window,
    }
