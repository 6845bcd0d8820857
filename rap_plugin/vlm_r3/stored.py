"""What looking is worth, for `rap report`: read from a run's faithfulness.json, shown by the template of its own page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rap_plugin.errors import Command, RapError, one_line
from rap_plugin.evidence.traces import newest_probe
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import read_run
from rap_plugin.vlm_r3.faithfulness import Faithfulness
from rap_plugin.vlm_r3.measures import Share, share_text
from rap_plugin.vlm_r3.pages import looking_page, looking_part
from rap_plugin.vlm_r3.study import JSON, look_tables, looks_of_run, tables_of, verdict


def find_faithfulness(run: Path, named: Path | None) -> Path | None:
    """Where the results for a report of `run` are: the file or run that was `named`, else the run's own; None for none."""
    place = named or run
    path = place / JSON if place.is_dir() else place
    return path if named is not None or path.exists() else None


def faithfulness_part(path: Path) -> str:
    """The part "Does looking matter?" of a report, as HTML. Raises RapError where the file holds no such results."""
    model, found = read_faithfulness(path)
    return looking_part(
        verdict(found), tables_of(found), f"crops asked for by {model}; measured by rap r3 faithfulness"
    )


def read_faithfulness(path: Path) -> tuple[str, Faithfulness]:
    """The model's name, and the results. Raises RapError for what `rap r3 faithfulness` did not write."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        model, found = str(told["model"]), Faithfulness.from_dict(told)
        tables_of(found)  # whether its looks can be shown
        return model, found
    except FileNotFoundError:
        raise RapError(
            f"{path}: nothing is known there of what looking is worth; measure it with ", Command("rap r3 faithfulness")
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise RapError(
            f"{path}: cannot be read ({one_line(error, 120)}); write it anew with ", Command("rap r3 faithfulness")
        ) from None


def is_region_run(run: Path) -> bool:
    """Whether a run has answers of the region loop and was never decided: how it looked is all there is to report."""
    if (run / files.SCORES).exists() or not (run / files.EVIDENCE).exists():
        return False
    with files.open_store(run) as store:
        return newest_probe(store, "crops", "own") is not None


def write_region_report(run: Path, results: Path | None) -> None:
    """Writes `report.html` of such a run: how it looked and, where `results` are given, whether looking matters."""
    about, looks = read_run(run), looks_of_run(run)
    accuracy = Share.from_dict(looks["accuracy"])
    by_looks = {name: Share.from_dict(part) for name, part in looks["accuracy_by_crops"].items()}
    told, tables = "Whether looking matters was not measured: rap r3 faithfulness does.", look_tables(looks, by_looks)
    if results is not None:
        _, found = read_faithfulness(results)
        told, tables = verdict(found), tables_of(found)
    if "measures" in (official := looks.get("official", {})):
        tables.insert(0, _official_table(official))
    about_line = f"model {about['model']['name']}, pool {about['config']['pool']['path']}"
    page = looking_page(f"Looking again: {share_text(accuracy)} right", told, tables, about_line)
    with files.replacing(run / files.REPORT) as draft:
        draft.write_bytes(page.encode("utf-8", "replace"))


def _official_table(official: dict[str, Any]) -> dict[str, Any]:
    """A benchmark's own measures."""
    rows = [[name, "-" if value is None else f"{100 * value:.1f} %"] for name, value in official["measures"].items()]
    note = f"{official['rows']:,} of {official['of']:,} rows; headline: {official['headline']}"
    return {"title": f"{official['title']}, by its own rules", "note": note, "head": ["measure", "value"], "rows": rows}
