"""The page: everything that the template shows, gathered and counted."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rap_plugin.evidence.pool_texts import last_worked
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.plugins import get_plugins
from rap_plugin.posterior.pilot import USED_UP, pay_back
from rap_plugin.report import charts
from rap_plugin.report.composition import OTHERS, Division, divide, moved_most, place_of
from rap_plugin.report.costs import GROUP, LEARNING, PROMPTS, break_even, stage_costs
from rap_plugin.report.examples import EVERY_PICTURE, PageLimits, find_examples, shorten
from rap_plugin.report.flow import build_flow, gradients
from rap_plugin.report.gallery import SAMPLES, choose_shown, places
from rap_plugin.report.joint import build_joint, why_not, with_variants
from rap_plugin.report.known import ARM_WORDS, known_rows
from rap_plugin.report.places import without_folders
from rap_plugin.report.responses import CutShares, cut_by_verdict, cut_shares
from rap_plugin.report.script import page_data, page_script, verdicts_under
from rap_plugin.report.sensitivity import measure_sensitivity
from rap_plugin.report.words import kind_of, status_word, verdict_word
from rap_plugin.run_dir import files, tables
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Quarantined
from rap_plugin.selectors.base import CHOSEN, VERDICTS, Selection
from rap_plugin.selectors.curtailed import stopped

TEMPLATES = Path(__file__).with_name("templates")
REASONS = 5
"""Reasons shown per quarantine status."""
CROSSED = "role"
"""A column of the pool that the verdicts are set against where there is one."""
CROSS_VALUES = 12
CROSS_ROWS = 1024
"""Rows read at a time: a column of a pool comes with its images."""


@dataclass(frozen=True)
class VerdictRow:
    """One line of the verdict table."""

    name: str
    kind: str
    title: str
    meaning: str
    count: int
    share: float
    chosen: bool
    cut: CutShares


@dataclass(frozen=True)
class QuarantineGroup:
    """The rows of one quarantine status."""

    status: str
    title: str
    meaning: str
    count: int
    rows: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class CrossTable:
    """Verdicts against the values of one column of the pool."""

    column: str
    words: tuple[str, ...]
    """The verdicts."""
    verdicts: tuple[tuple[str, str], ...]
    """(colour class, title)"""
    rows: tuple[tuple[str, tuple[int, ...], int, float], ...]
    """(value, counts in the order of the verdicts, sum, share selected)"""


def render_page(
    run: Path,
    selection: Selection,
    pool: Pool,
    store: EvidenceStore,
    samples: int = SAMPLES,
    looking: str = "",
    *,
    every_picture: bool = False,
) -> str:
    """The report as one HTML text, with no reference to anything outside it; `samples` of the pool are shown.

    Their pictures are there up to `ALL_THUMBNAILS` characters and two of a sample, or, with `every_picture`, all of them.

    `looking` is ready HTML: whether looking matters to a model of the region loop, where that was measured.

    Its one script and one style sheet are allowed by their hashes, so that an injected one would do nothing.
    """
    style, script = stylesheet(), page_script()
    formats = get_plugins().registry().things["formats"]
    reason = why_not(selection)
    if not reason:
        selection = with_variants(store, selection)
    joint = None if reason else build_joint(selection)
    wanted, certainty = choose_shown(store, selection, joint, samples)
    chance = None if certainty is None else certainty.chance
    cost = tables.cost_of(store)
    payback = pay_back(selection, cost)
    where = places(joint, wanted)
    divisions = divide(store, selection, pool, joint)
    sensitivity = measure_sensitivity(store, selection, wanted)
    flow = build_flow(selection)
    verdicts = verdict_rows(selection, every=joint is not None)
    chosen = int(selection.decision.chosen.sum())
    total = len(selection.table) + len(selection.quarantine)
    limits = EVERY_PICTURE if every_picture else PageLimits()
    examples = find_examples(store, selection, pool, formats, wanted, limits, chance)
    text: str = (
        environment()
        .get_template("report.html.j2")
        .render(
            style=style,
            style_hash=content_hash(style),
            script=script,
            script_hash=content_hash(script),
            data=page_data(run, selection, joint, divisions, payback),
            live=joint is not None,
            looking=looking,
            why_not=reason,
            joint_variants=[
                f"{found.variant.reduction}, {found.variant.heads} over heads, w {found.variant.window}"
                for found in (joint.variants if joint else ())
            ],
            some_unmeasured=bool(np.isnan(selection.scores["log_psi"]).any()),
            all_unmeasured=bool(np.isnan(selection.scores["log_psi"]).all()),
            confident=selection.config.selection.hard_requires_confidence,
            divisions=divisions,
            moved=moved_most(divisions) if chosen else [],
            sampled_at=last_worked(store)[:16].replace("T", " "),
            rollouts=store.rollout_count(),
            about=without_folders(about_run(run)),
            digest=selection.digest(),
            **sampled_facts(selection),
            config=selection.config,
            chosen=chosen,
            total=total,
            usable=len(selection.table),
            share=chosen / max(total, 1),
            verdicts=verdicts,
            cut=cut_shares(selection.table),
            flow=flow,
            gradients=gradients(flow.ribbons),
            notes=selection.decision.notes,
            thresholds=selection.decision.thresholds,
            figures=figures(selection),
            sensitivity=sensitivity,
            lambda_c_chart=charts.outcome_chart(sensitivity.lambda_c, "λc") if sensitivity.lambda_c else "",
            lambda_a_chart=charts.outcome_chart(sensitivity.lambda_a, "λa", len(sensitivity.lambda_c))
            if sensitivity.lambda_a
            else "",
            gallery=[
                {
                    **vars(example),
                    "place": where[example.index],
                    "codes": [int(division.codes[example.index]) for division in divisions],
                    "under": verdicts_under(selection, sensitivity.settings, number),
                }
                for number, example in enumerate(examples)
            ],
            unshaded=sum(example.unshaded for example in examples),
            shaded=any(said.shades for example in examples for arm in example.arms for said in arm.rollouts),
            quarantine=quarantine_groups(selection.quarantine),
            cross=cross_table(selection, pool),
            cross_parts=cross_parts(divisions),
            known=known_rows(selection),
            known_arms=[ARM_WORDS[arm] for arm in selection.table.arms],
            certainty=certainty,
            chance_chart="" if chance is None else charts.chance_chart(selection, chance),
            costs=stage_costs(cost),
            cost_total=cost["total"],
            payback=payback,
            break_even=break_even(payback) if payback else [],
            training={"group": GROUP, "prompts": PROMPTS, "learning": f"{LEARNING:g}", "used_up": USED_UP},
            grader=", ".join(store.graders(list(selection.table.probes.values()))),
            pool_facts=pool_facts(pool),
            configuration=json.dumps(
                without_folders(selection.config.model_dump(mode="json")), indent=2, ensure_ascii=False
            ),
        )
    )
    return text


def environment() -> Any:
    """The templates' environment: everything is escaped unless this package itself drew it."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found.filters.update(
        number=lambda value: f"{value:,}",
        percent=percent,
        duration=duration,
        verdict=verdict_word,
        kind=kind_of,
        shorten=shorten,
    )
    return found


def stylesheet() -> str:
    """The page's style sheet, with the charts' stand-in colours mapped to its variables."""
    mapped = "".join(
        f'[fill="{colour}"]{{fill:var(--{kind})}}[stroke="{colour}"]{{stroke:var(--{kind})}}'
        for kind, colour in charts.STAND_INS.items()
    )
    return "".join(_style(name) for name in ("palette", "style", "flow")) + mapped


def flow_picture(selection: Selection) -> str:
    """The flow alone, as an SVG file of its own for a README: light and dark by the reader's setting."""
    flow = build_flow(selection)
    drawn: str = (
        environment()
        .get_template("flow.svg.j2")
        .render(
            flow=flow,
            gradients=gradients(flow.ribbons),
            chosen=int(selection.decision.chosen.sum()),
            alone=True,
            style=_style("palette") + _style("flow"),
        )
    )
    return drawn


def content_hash(text: str) -> str:
    """How a content security policy names a style sheet or script: SHA-256 in base64."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _style(name: str) -> str:
    return (TEMPLATES / f"{name}.css").read_text(encoding="utf-8")


def percent(value: float) -> str:
    """A share for people: one decimal, and never 0 % for something that is there."""
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if 0 < seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def about_run(run: Path) -> Mapping[str, Any]:
    """`run.json`: where the selection comes from."""
    found: Mapping[str, Any] = json.loads((run / files.RUN).read_text(encoding="utf-8"))
    return found


def verdict_rows(selection: Selection, *, every: bool = False) -> list[VerdictRow]:
    """Verdicts with their counts, the chosen ones first, as shares of the scored samples.

    With `every`, also those that the selection does not have and that other thresholds may give.
    """
    total = max(len(selection.table), 1)
    cut = cut_by_verdict(selection)
    rows = []
    counts = selection.decision.counts()
    for name in VERDICTS if every else counts:
        count = counts.get(name, 0)
        word = verdict_word(name, selection.config.selection.selector)
        about = (name, kind_of(name), word.title, word.meaning)
        rows.append(VerdictRow(*about, count, count / total, name in CHOSEN, cut.get(name, CutShares(None, None))))
    return rows


def sampled_facts(selection: Selection) -> dict[str, Any]:
    """How a text speaks of the rollouts: whether there are always M of them, and of how many samples there are fewer."""
    early = int(stopped(selection.table).sum())
    return {"stopped": early, "up_to": "up to " if early else ""}


def figures(selection: Selection) -> list[tuple[str, str, str]]:
    """The charts of the scores as (title, what to see, SVG); a chart without numbers is left out."""
    if not len(selection.table) or not (selection.table.images > 0).any():
        return []
    shown = int((~stopped(selection.table) & (selection.table.images > 0)).sum())
    fewer = (
        ""
        if shown == (selection.table.images > 0).sum()
        else f" Only the {shown:,} samples that were sampled to the end."
    )
    drawn = [
        (
            "What the image adds",
            "Each cell counts samples by how often they are right with the image (across) and without it (up). "
            "Right of the dashed line the image makes the difference." + fewer,
            charts.accuracy_chart(selection),
        ),
        (
            "Discrepancy",
            "Samples by how much accuracy the image adds; left of the line the model answers from language alone."
            + fewer,
            charts.discrepancy_chart(selection),
        ),
        (
            "Attention",
            "Samples by ψ: right of the line one token holds the model's attention over many steps.",
            charts.psi_chart(selection),
        ),
        (
            "Difficulty",
            "Samples by the share of wrong answers with the image: at 0 and at 1 every reward is the same.",
            charts.difficulty_chart(selection),
        ),
    ]
    return [(title, text, chart) for title, text, chart in drawn if chart]


def quarantine_groups(quarantine: list[Quarantined]) -> list[QuarantineGroup]:
    """The rows that could not be used, by status, with the first few reasons."""
    numbers = Counter(item.status for item in quarantine)
    groups = []
    for status, count in numbers.most_common():
        rows = [(item.row, shorten(item.reason, 200)) for item in quarantine if item.status == status]
        word = status_word(status)
        groups.append(QuarantineGroup(status, word.title, word.meaning, count, tuple(rows[:REASONS])))
    return groups


def cross_table(selection: Selection, pool: Pool) -> CrossTable | None:
    """Verdicts by the pool's `role` column, the most frequent values first; None where there is no such column."""
    if CROSSED not in pool.columns or not len(selection.table):
        return None
    values: list[str] = []
    rows = selection.table.rows.tolist()
    for start in range(0, len(rows), CROSS_ROWS):
        found = pool.table(rows[start : start + CROSS_ROWS])
        values += [shorten(str(value), 60) if value is not None else "" for value in found.column(CROSSED).to_pylist()]
    named = np.array(values, dtype=object)
    verdicts, chosen = selection.decision.verdicts, selection.decision.chosen
    words = list(selection.decision.counts())
    lines = []
    for value, _ in Counter(values).most_common(CROSS_VALUES):
        here = named == value
        counts = tuple(int((verdicts[here] == word).sum()) for word in words)
        lines.append((value, counts, int(here.sum()), float(chosen[here].mean())))
    return CrossTable(
        CROSSED, tuple(words), tuple((kind_of(word), verdict_word(word).title) for word in words), tuple(lines)
    )


def cross_parts(divisions: Sequence[Division]) -> dict[str, str]:
    """By value of the crossed column: the part of the composition that has its samples, as the page's script names it."""
    return {
        part.value: place_of(number, place)
        for number, division in enumerate(divisions)
        if division.name == CROSSED
        for place, part in enumerate(division.parts)
        if part.value != OTHERS
    }


def pool_facts(pool: Pool) -> Mapping[str, str]:
    """What names the pool: its name or path without this machine's folders, kind and fingerprint."""
    return {
        "path": without_folders(pool.path),
        "kind": pool.kind,
        "rows": f"{len(pool):,}",
        "fingerprint": pool.fingerprint(),
    }
