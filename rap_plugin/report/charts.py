"""Charts as inline SVG, from numbers that are counted first: no chart sees more than a few hundred values.

Colours are stand-ins that the page's style sheet replaces, so that one picture serves light and dark.
"""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rap_plugin.evidence.table import Numbers
from rap_plugin.report.sensitivity import Outcome
from rap_plugin.report.words import VERDICT_WORDS, kind_of
from rap_plugin.selectors.base import Selection
from rap_plugin.selectors.curtailed import stopped

if TYPE_CHECKING:
    import altair

KINDS = (*VERDICT_WORDS, "other", "stem", "ink", "muted", "grid", "threshold")
STAND_INS = {kind: f"#0c00{number:02d}" for number, kind in enumerate(KINDS)}
"""Class of colour to the colour that charts are drawn with; the style sheet maps each to a variable."""

STACK = tuple(VERDICT_WORDS)
WIDTH = 300
"""As wide as a phone, so that the text of a chart is nowhere smaller than it is here."""
HEIGHT = 170
BINS = 44
CHANCE_BINS = 18
LABEL_CHARACTERS = 34
"""Of all labels of an axis together, where they stand upright."""
LABEL_FITS = 0.78
"""Share of a chart's width up to which a threshold's label fits right of its line."""
OPEN_FROM = 0.05
"""Probability from which, and below one minus which, a sample is drawn: nearly all others stand at the two ends."""
MARK = re.compile(
    r'aria-label="((?:-|[a-z_]+)(?: [a-z]+ -?[\d.e+]+ -?[\d.e+]+)+)" role="graphics-symbol" aria-roledescription="[^"]*"'
)
"""How vega writes a mark that has a description of ours."""


def accuracy_chart(selection: Selection) -> str:
    """How often samples are right with and without the image: one cell per pair of counts, and CDE's line.

    Samples whose sampling stopped early have no such counts and are left out; empty where all are.
    """
    import altair as alt

    table = selection.table
    whole = (table.images > 0) & ~stopped(table)
    if not whole.any():
        return ""
    rollouts = table.rollouts
    image, blind = table.arms["image"].right[whole], table.arms["blind"].right[whole]
    cells = np.bincount(blind * (rollouts + 1) + image, minlength=(rollouts + 1) ** 2).reshape(rollouts + 1, -1)
    most = max(int(cells.max()), 1)
    values = [
        {
            "x": i / rollouts - 0.5 / rollouts,
            "x2": i / rollouts + 0.5 / rollouts,
            "y": b / rollouts - 0.5 / rollouts,
            "y2": b / rollouts + 0.5 / rollouts,
            "cx": i / rollouts,
            "cy": b / rollouts,
            "shade": 0.06 + 0.8 * math.sqrt(cells[b, i] / most),
            "count": f"{cells[b, i]:,}",
            "shows": shows(image=_around(i, rollouts), blind=_around(b, rollouts)),
        }
        for b in range(rollouts + 1)
        for i in range(rollouts + 1)
        if cells[b, i]
    ]
    reach = alt.Scale(domain=[-0.5 / rollouts, 1 + 0.5 / rollouts], nice=False)
    ticks = [k / rollouts for k in range(rollouts + 1)] if rollouts <= 8 else [0, 0.25, 0.5, 0.75, 1]
    axes = {"values": ticks, "format": ".0%", "grid": False}
    base = alt.Chart(alt.Data(values=values))
    layers = [
        base.mark_rect(color=STAND_INS["stem"], stroke=None, cornerRadius=2).encode(
            x=alt.X("x:Q", scale=reach, axis=alt.Axis(**axes), title="right with the image"),
            x2="x2:Q",
            y=alt.Y("y:Q", scale=reach, axis=alt.Axis(**axes), title="right without it"),
            y2="y2:Q",
            fillOpacity=alt.FillOpacity("shade:Q", scale=None, legend=None),
            description="shows:N",
        )
    ]
    if rollouts <= 8:
        layers.append(base.mark_text(fontSize=11, color=STAND_INS["ink"]).encode(x="cx:Q", y="cy:Q", text="count:N"))
    lambda_c = selection.decision.thresholds.get("lambda_c")
    if lambda_c is not None:
        ends = _diagonal(lambda_c, 0.5 / rollouts)
        layers.append(
            alt.Chart(alt.Data(values=ends))
            .mark_line(color=STAND_INS["threshold"], strokeDash=[4, 3], strokeWidth=1.5)
            .encode(x="x:Q", y="y:Q")
        )
    return _svg(alt.layer(*layers), "Samples by accuracy with and without the image", height=230)


def _diagonal(gap: float, margin: float) -> list[dict[str, float]]:
    """The line image - blind = gap, cut to the square."""
    low, high = -margin, 1 + margin
    start, end = max(low, low + gap), min(high, high + gap)
    return [{"x": x, "y": x - gap} for x in (start, end)] if start < end else []


def discrepancy_chart(selection: Selection) -> str:
    """Samples by discrepancy, one bar per 1 / M, coloured by verdict, with lambda_c."""
    return _score_bars(selection, "discrepancy", -1.0, "discrepancy D = accuracy with − without the image", "lambda_c")


def difficulty_chart(selection: Selection) -> str:
    """Samples by difficulty, one bar per 1 / M, coloured by verdict."""
    return _score_bars(selection, "difficulty", 0.0, "difficulty = share of wrong rollouts with the image", None)


def psi_chart(selection: Selection) -> str:
    """Samples by psi on a logarithmic axis, coloured by verdict, with lambda_a; empty where nothing was measured."""
    values = selection.scores["log_psi"] / math.log(10)
    there = np.isfinite(values)
    if not there.any():
        return ""
    threshold = selection.decision.thresholds.get("lambda_a", 0.0)
    mark = math.log10(threshold) if 0 < threshold < math.inf else None
    low, high = np.quantile(values[there], [0.001, 0.999]).tolist()
    if mark is not None:
        low, high = min(low, mark), max(high, mark)
    pad = 0.03 * max(high - low, 1.0)
    edges = np.linspace(low - pad, high + pad, BINS + 1)
    # The few values outside the axis stand in its first and last bar.
    bins = np.clip(np.searchsorted(edges, values[there], side="right") - 1, 0, BINS - 1)
    bars = _stacked(bins, selection.decision.verdicts[there], edges[:-1], edges[1:])
    limits = [-math.inf, *edges[1:-1].tolist(), math.inf]
    for bar in bars:
        bar["shows"] = shows(bar["verdict"], psi=(limits[bar["bin"]], limits[bar["bin"] + 1]))
    return _bars(bars, "log₁₀ ψ", None if mark is None else (mark, f"λa = {threshold:.3g}"), ".1~f")


def _score_bars(selection: Selection, score: str, low: float, title: str, threshold: str | None) -> str:
    values = selection.scores[score]
    there = np.isfinite(values)
    if not there.any():
        return ""
    steps = min(selection.table.rollouts, 20)
    bins = np.rint((np.clip(values[there], low, 1) - low) * steps).astype(np.int64)
    centres = low + np.arange(round((1 - low) * steps) + 1) / steps
    half = 0.44 / steps
    bars = _stacked(bins, selection.decision.verdicts[there], centres - half, centres + half)
    for bar in bars:
        centre = float(centres[bar["bin"]])
        bar["shows"] = shows(bar["verdict"], **{score: (centre - 0.5 / steps, centre + 0.5 / steps)})
    at = selection.decision.thresholds.get(threshold) if threshold else None
    return _bars(
        bars, title, None if at is None else (at, f"λc = {at:.3g}"), ".1~f", (low - 0.6 / steps, 1 + 0.6 / steps)
    )


def _stacked(bins: np.ndarray, verdicts: np.ndarray, left: Numbers, right: Numbers) -> list[dict[str, Any]]:
    """Bars as (from, to, bottom, top, kind), verdicts stacked in one fixed order."""
    bottom = np.zeros(len(left))
    bars = []
    found = set(verdicts.tolist())
    for verdict in (*STACK, *sorted(found - set(STACK))):
        if verdict not in found:
            continue
        counts = np.bincount(bins[verdicts == verdict], minlength=len(left))
        for i in np.flatnonzero(counts).tolist():
            bars.append(
                {
                    "left": float(left[i]),
                    "right": float(right[i]),
                    "bottom": float(bottom[i]),
                    "top": float(bottom[i] + counts[i]),
                    "colour": STAND_INS[kind_of(verdict)],
                    "verdict": verdict,
                    "bin": i,
                }
            )
        bottom += counts
    return bars


def chance_chart(selection: Selection, chance: Numbers) -> str:
    """Samples by the probability of being selected, coloured by verdict; the firm ones at both ends are left out.

    Empty where all samples are firm.
    """
    there = (chance >= OPEN_FROM) & (chance <= 1 - OPEN_FROM)
    if not there.any():
        return ""
    edges = np.linspace(OPEN_FROM, 1 - OPEN_FROM, CHANCE_BINS + 1)
    bins = np.clip(np.searchsorted(edges, chance[there], side="right") - 1, 0, CHANCE_BINS - 1)
    bars = _stacked(bins, selection.decision.verdicts[there], edges[:-1], edges[1:])
    for bar in bars:
        bar["shows"] = shows(bar["verdict"], chance=(bar["left"], bar["right"]))
    return _bars(bars, "probability of being selected", None, ".0%", (0.0, 1.0))


def shows(verdict: str = "", **ranges: tuple[float, float]) -> str:
    """Which samples a mark stands for, as the page's script reads it: `VERDICT SCORE LOW HIGH ..`, `-` for any verdict.

    Instead of a score, `under` names the setting (twice its number) that gives the verdict.
    """
    words = [verdict or "-"]
    for name, (low, high) in ranges.items():
        words += [name, *(f"{max(-9e9, min(9e9, value)):.6g}" for value in (low, high))]
    return " ".join(words)


def _around(count: int, of: int) -> tuple[float, float]:
    return (count - 0.5) / of, (count + 0.5) / of


def _bars(
    bars: list[dict[str, Any]],
    title: str,
    mark: tuple[float, str] | None,
    labels: str,
    reach: tuple[float, float] | None = None,
) -> str:
    import altair as alt

    scale = alt.Scale(domain=list(reach), nice=False) if reach else alt.Scale(nice=False, zero=False)
    chart: Any = (
        alt.Chart(alt.Data(values=bars))
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("left:Q", scale=scale, title=title, axis=alt.Axis(grid=False, format=labels, tickCount=6)),
            x2="right:Q",
            y=alt.Y("bottom:Q", title="samples", axis=alt.Axis(tickCount=4, format="~s")),
            y2="top:Q",
            color=alt.Color("colour:N", scale=None, legend=None),
            description="shows:N",
        )
    )
    if mark is not None:
        at = alt.Chart(alt.Data(values=[{"at": mark[0], "label": mark[1]}]))
        # The label stands right of its line, where bars are fewer, unless it would leave the chart.
        far_right = reach is None or (mark[0] - reach[0]) / (reach[1] - reach[0]) > LABEL_FITS
        chart = alt.layer(
            chart,
            at.mark_rule(color=STAND_INS["threshold"], strokeWidth=1.5, strokeDash=[4, 3]).encode(x="at:Q"),
            at.mark_text(
                color=STAND_INS["threshold"], align="right" if far_right else "left", dx=-5 if far_right else 5, dy=2,
                baseline="top", fontSize=12, fontWeight=600,
            ).encode(x="at:Q", y=alt.value(0), text="label:N"),
        )  # fmt: skip
    return _svg(chart, f"Samples by {title}, coloured by verdict")


def outcome_chart(outcomes: Sequence[Outcome], title: str, first: int = 0) -> str:
    """Verdicts as shares of the samples, one bar per setting, the run's own setting in bold.

    `first` is the number of the first one among all settings of the page.
    """
    import altair as alt

    values = []
    for number, outcome in enumerate(outcomes, first):
        total = max(sum(outcome.counts.values()), 1)
        bottom = 0.0
        for verdict in (*STACK, *sorted(set(outcome.counts) - set(STACK))):
            share = outcome.counts.get(verdict, 0) / total
            if share:
                values.append(
                    {
                        "setting": outcome.label,
                        "bottom": bottom,
                        "top": bottom + share,
                        "colour": STAND_INS[kind_of(verdict)],
                        "shows": shows(verdict, under=(number, number)),
                    }
                )
            bottom += share
    order = [outcome.label for outcome in outcomes]
    own = next((outcome.label for outcome in outcomes if outcome.own), "")
    # Side by side, long labels would run into each other.
    angle = -40 if sum(map(len, order)) > LABEL_CHARACTERS else 0
    bold = f"datum.value == '{own}' ? 700 : 400"
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(stroke=None, width=alt.RelativeBandSize(0.8))
        .encode(
            x=alt.X(
                "setting:N", sort=order, title=title, axis=alt.Axis(labelAngle=angle, labelFontWeight=alt.ExprRef(bold))
            ),
            y=alt.Y(
                "bottom:Q", title="samples", axis=alt.Axis(format=".0%", tickCount=4), scale=alt.Scale(domain=[0, 1])
            ),
            y2="top:Q",
            color=alt.Color("colour:N", scale=None, legend=None),
            description="shows:N",
        )
    )
    return _svg(chart, f"Verdicts as shares of the samples, by {title}")


def _svg(chart: altair.TopLevelMixin, label: str, height: int = HEIGHT) -> str:
    muted, grid = STAND_INS["muted"], STAND_INS["grid"]
    target = io.StringIO()
    (
        chart.properties(width=WIDTH, height=height)
        .configure(background="transparent", padding={"left": 2, "right": 8, "top": 6, "bottom": 2}, font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=muted, titleColor=muted, domainColor=grid, tickColor=grid, gridColor=grid,
            titleFontWeight="normal", labelFontSize=12, titleFontSize=12.5, titlePadding=8, labelPadding=4,
        )
        .save(target, format="svg")
    )  # fmt: skip
    # The page's style sheet sets the type; the names below are the ones that vega measured with.
    drawn = target.getvalue().replace(' font-family="sans-serif"', "")
    drawn = MARK.sub(r'data-shows="\1"', drawn)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)
