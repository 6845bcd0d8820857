"""`rap r3 faithfulness` and `rap r3 looks`: from a run to its numbers, and to the pages that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.errors import Command, RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.traces import newest_probe
from rap_plugin.plugins import get_plugins, load_plugin_files
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.run_dir.pool import open_pool_of
from rap_plugin.vlm_r3.coordinates import Region
from rap_plugin.vlm_r3.evidence_boxes import known_boxes
from rap_plugin.vlm_r3.faithfulness import Faithfulness, measure_faithfulness
from rap_plugin.vlm_r3.interventions import INTERVENTIONS
from rap_plugin.vlm_r3.measures import Share, accuracy_by_looks, looks_of, share_text
from rap_plugin.vlm_r3.official import official_measures
from rap_plugin.vlm_r3.pages import looking_page
from rap_plugin.vlm_r3.rows import GradedRow, accuracy, graded_rows
from rap_plugin.vlm_r3.run import run_pool
from rap_plugin.vlm_r3.settings import Crops

JSON, PAGE = "faithfulness.json", "faithfulness.html"
TITLE = "Does looking matter?"
WORDS = {
    "blank": "grey crops",
    "swapped": "crops of another problem's image",
    "random": "other places of the same image, same size",
    "none": "no crops",
}
CHUNK = 256


def study_run(
    run: str | Path,
    crops: Sequence[Crops] = INTERVENTIONS,
    *,
    pool: str | None = None,
    quiet: bool = False,
) -> Faithfulness:
    """Answers what is missing with other crops, then measures; writes faithfulness.json and faithfulness.html.

    Raises RapError for a run without region rows.
    """
    run = Path(run)
    about = read_run(run)
    config = config_of(about, run)
    if pool is not None:
        config = config.model_copy(update={"pool": config.pool.model_copy(update={"path": pool})})
    with files.open_store(run) as store:
        _own_probe(store, run)
    run_pool(config, run, crops=("own", *crops), quiet=quiet)
    with files.open_store(run) as store:
        own, others = _arms(store, run, crops)
        boxes = _boxes(run, about, config, store, pool)
    found = measure_faithfulness(own, others, boxes)
    files.write_json(run / JSON, {"model": about["model"]["name"], **found.as_dict()})
    title = f"model {about['model']['name']}, pool {config.pool.path}, {len(own):,} answers"
    with files.replacing(run / PAGE) as draft:
        draft.write_text(looking_page(TITLE, verdict(found), tables_of(found), title), encoding="utf-8")
    return found


def looks_of_run(run: str | Path) -> dict[str, Any]:
    """Accuracy, crops per answer, share of valid boxes, accuracy against the number of crops; needs no engine.

    `official` holds the benchmark's own measures where the pool is a prepared part of one.
    """
    run = Path(run)
    about = read_run(run)
    with files.open_store(run) as store:
        rows = graded_rows(store, _own_probe(store, run))
        official = official_measures(run, about, store, rows)
    return {
        "accuracy": Share(*accuracy(list(rows.values()))).as_dict(),
        **looks_of([row.trace for row in rows.values()]),
        "accuracy_by_crops": {name: share.as_dict() for name, share in accuracy_by_looks(rows).items()},
        **({} if official is None else {"official": official}),
    }


def verdict(found: Faithfulness) -> str:
    """One sentence on whether the crops matter."""
    blank = next((one for one in found.contrasts if one.crops == "blank"), None)
    if blank is None or blank.loss is None or blank.loss_interval is None:
        return "No answers with blank crops: whether looking matters is not known."
    low, high = (100 * value for value in blank.loss_interval)
    size = f"{100 * blank.loss:.1f} points of accuracy ({low:.1f} to {high:.1f})"
    if low > 0:
        return f"The crops matter: with grey ones in their place the model loses {size}."
    if high < 0:
        return f"The crops do harm: with grey ones in their place the model gains; the difference is {size}."
    return f"It is not shown that the crops matter: with grey ones in their place the difference is {size}."


def tables_of(found: Faithfulness) -> list[dict[str, Any]]:
    """The tables of the page and of the terminal: title, note, head, rows of texts."""
    contrasts = [["its own", share_text(found.own), "", "", ""]]
    for one in found.contrasts:
        loss = "-" if one.loss is None or one.loss_interval is None else _points(one.loss, one.loss_interval)
        there = "-" if one.loss_where_looked is None else f"{100 * one.loss_where_looked:+.1f}"
        contrasts.append([WORDS[one.crops], share_text(one.accuracy), loss, there, share_text(one.changed)])
    tables = [
        {
            "title": "Accuracy with other crops in place of its own",
            "note": "loss: accuracy with own crops minus accuracy with these, over the same problems; 95 % intervals, paired",
            "head": [
                "crops",
                "accuracy",
                "loss, points",
                "loss where it looked",
                "answers that change where it looked",
            ],
            "rows": contrasts,
        },
        *look_tables(found.looks, found.by_looks),
    ]
    if found.shown is not None and found.with_evidence is not None and found.without_evidence is not None:
        rows = [
            ["share of the evidence that its regions hold, mean", f"{100 * found.shown:.1f} %"],
            ["accuracy where they hold half of it or more", share_text(found.with_evidence)],
            ["accuracy where they hold less", share_text(found.without_evidence)],
        ]
        tables.insert(
            1, {"title": "Does it look at the evidence?", "note": "", "head": ["what", "value"], "rows": rows}
        )
    return tables


def look_tables(looks: Mapping[str, Any], by_looks: Mapping[str, Share]) -> list[dict[str, Any]]:
    """How a run looked, as tables of the same kind."""
    return [
        {
            "title": "Accuracy by number of crops",
            "note": "not causal: harder problems may get more looks",
            "head": ["crops shown", "accuracy"],
            "rows": [[name, share_text(share)] for name, share in by_looks.items()],
        },
        {"title": "Looks", "note": "", "head": ["what", "how many"], "rows": _look_rows(looks)},
    ]


def _points(loss: float, interval: tuple[float, float]) -> str:
    return f"{100 * loss:+.1f} ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"


def _look_rows(looks: Mapping[str, Any]) -> list[list[str]]:
    valid, looked = looks["valid_boxes"], looks["answers_that_look"]
    return [
        ["crops per answer", f"{looks['crops_per_answer'] or 0:.2f}"],
        ["answers that ask for a region", share_text(Share(looked["count"], looked["of"]))],
        ["boxes that are valid", share_text(Share(valid["count"], valid["of"]))],
        *[[f"no crop: {problem}", f"{count:,}"] for problem, count in looks["problems"].items()],
        *[[f"ended by: {name}", f"{count:,}"] for name, count in looks["ended"].items()],
    ]


def _own_probe(store: EvidenceStore, run: Path) -> int:
    probe = _probe_of(store, "own")
    if probe is None:
        raise RapError(f"{run}: holds no answers of the region loop; make a run with ", Command("rap r3 run"))
    return probe


def _probe_of(store: EvidenceStore, crops: Crops) -> int | None:
    """The newest probe whose rows were shown these crops."""
    return newest_probe(store, "crops", crops)


def _arms(store: EvidenceStore, run: Path, crops: Sequence[Crops]) -> tuple[dict[tuple[int, int], GradedRow], Any]:
    own = graded_rows(store, _own_probe(store, run))
    others = {}
    for kind in crops:
        probe = _probe_of(store, kind)
        if probe is not None:
            others[kind] = graded_rows(store, probe)
    return own, others


def _boxes(
    run: Path, about: Mapping[str, Any], config: RunConfig, store: EvidenceStore, given: str | None
) -> dict[int, tuple[Region, ...]]:
    """The known evidence of every sample, by its number."""
    load_plugin_files(config.plugins)
    pool = open_pool_of(run, about, store, get_plugins().registry().things["formats"], given)
    found = {}
    samples = store.samples()
    for start in range(0, len(samples), CHUNK):
        some = samples[start : start + CHUNK]
        for sample, row in zip(some, pool.rows([sample.row for sample in some]), strict=True):
            boxes = known_boxes(row, config.r3.boxes)
            if boxes:
                found[sample.sample] = boxes
    return found
