"""`rap modality-gap report`: the gap by recipe and step as one HTML file, nothing loaded from elsewhere."""

from __future__ import annotations

import html
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rap_plugin.errors import one_line
from rap_plugin.evaluation.stats import bootstrap_mean
from rap_plugin.evaluation.tables import STYLE, percent
from rap_plugin.modality_gap.gap import Gap, by_kind, measure_gap
from rap_plugin.modality_gap.records import LONGEST_NAME, GapRecord

WIDTH, HEIGHT = 400, 200
GAP_CHART = "Gap: text - image (points)"
MEANINGS = (
    ("text, image", "share of right responses with the facts in words, and in the image alone (avg@n); pass@n: at least one of n"),
    ("gap", "text - image over the same problems, in points; 95 % bootstrap over problems, p of a sign-flip test"),
    ("both, text only, image only, neither", "a response of either condition drawn at random: which of them is right"),
    ("same answer", "such a pair says the same, right or wrong"),
    ("tokens", "mean length of a response"),
    ("spread", "between the renderings of the same problems, image condition"),
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One recipe at one step, over all its seeds."""

    recipe: str
    step: int
    seeds: tuple[int, ...]
    gap: Gap
    by_seed: dict[int, Gap]


def points_of(records: Sequence[GapRecord]) -> list[Point]:
    """Every recipe and step that can be measured, recipes in the order of their first record."""
    held: dict[tuple[str, int], list[GapRecord]] = defaultdict(list)
    for record in records:
        held[record.recipe, record.step].append(record)
    order = {recipe: at for at, recipe in enumerate(dict.fromkeys(record.recipe for record in records))}
    points = []
    for (recipe, step), some in sorted(held.items(), key=lambda item: (order[item[0][0]], item[0][1])):
        gap = measure_gap(some)
        if gap is None:
            continue
        seeds = tuple(sorted({record.seed for record in some}))
        each = {seed: measure_gap([r for r in some if r.seed == seed]) for seed in seeds}
        points.append(Point(recipe, step, seeds, gap, {seed: one for seed, one in each.items() if one is not None}))
    return points


def last_points(points: Sequence[Point]) -> list[Point]:
    """The last step of every recipe."""
    return list({point.recipe: point for point in points}.values())


HEAD = (
    "recipe", "step", "seeds", "problems", "text", "image", "gap", "95 %", "p", "pass@n text", "pass@n image", "both",
    "text only", "image only", "neither", "same answer", "tokens text", "tokens image", "spread",
)  # fmt: skip


def summary_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """One line per recipe and step, in percent."""
    return [_row(point) for point in points]


def _row(point: Point) -> tuple[str, ...]:
    gap, agreement = point.gap, point.gap.agreement
    return (
        point.recipe, f"{point.step:,}", str(len(point.seeds)), f"{gap.problems:,}", percent(gap.text), percent(gap.image),
        f"{100 * gap.gap:+.1f}", f"{100 * gap.low:+.1f} .. {100 * gap.high:+.1f}", "< 0.001" if gap.p < 0.001 else f"{gap.p:.3f}",
        percent(gap.text_passed), percent(gap.image_passed), percent(agreement.both), percent(agreement.text_only),
        percent(agreement.image_only), percent(agreement.neither), percent(agreement.same_answer), _count(gap.text_tokens),
        _count(gap.image_tokens), percent(gap.spread),
    )  # fmt: skip


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def kind_rows(records: Sequence[GapRecord], points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Per recipe at its last step and problem type: problems, text, image, gap, interval."""
    rows: list[tuple[str, ...]] = []
    for point in last_points(points):
        kinds = by_kind([r for r in records if (r.recipe, r.step) == (point.recipe, point.step)])
        for kind, gap in kinds.items():
            if len(kinds) > 1:
                rows.append(
                    (
                        point.recipe, kind or "-", f"{gap.problems:,}", percent(gap.text), percent(gap.image),
                        f"{100 * gap.gap:+.1f}", f"{100 * gap.low:+.1f} .. {100 * gap.high:+.1f}",
                    )
                )  # fmt: skip
    return rows


def rendering_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Per recipe at its last step: accuracy in the image condition by rendering, where there are several."""
    return [
        (point.recipe, name, percent(value))
        for point in last_points(points)
        for name, value in point.gap.renderings.items()
        if len(point.gap.renderings) > 1
    ]


def seed_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Per recipe at its last step and seed, where there are several."""
    return [
        (point.recipe, str(seed), percent(gap.text), percent(gap.image), f"{100 * gap.gap:+.1f}")
        for point in last_points(points)
        for seed, gap in point.by_seed.items()
        if len(point.by_seed) > 1
    ]


def page(records: Sequence[GapRecord], notes: Sequence[str] = ()) -> str:
    """The whole file. Records that no problem pairs are left out."""
    points = points_of(records)
    last = last_points(points)
    parts = ["<h1>The modality gap</h1>"]
    parts.append(f"<p class=note>{html.escape(_headline(last))}</p>")
    parts += [f"<div class=charts>{''.join(_charts(points))}</div>"]
    parts.append(f"<h2>Last step of every recipe</h2>{_table(HEAD, summary_rows(last))}{_meanings()}")
    tables: list[tuple[str, str, Sequence[str], list[tuple[str, ...]]]] = [
        ("By problem type", "Last step.", ("recipe", "type", "problems", "text", "image", "gap", "95 %"), kind_rows(records, points)),
        ("By rendering", "Last step, image condition.", ("recipe", "rendering", "image"), rendering_rows(points)),
        ("By seed", "Last step.", ("recipe", "seed", "text", "image", "gap"), seed_rows(points)),
        ("All steps", "Every measured state.", HEAD, summary_rows(points) if len(points) > len(last) else []),
    ]  # fmt: skip
    for title, line, head, rows in tables:
        if rows:
            parts.append(f"<h2>{title}</h2><p class=note>{line}</p>{_table(head, rows)}")
    parts += [f"<p class=note>{html.escape(note)}</p>" for note in notes]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>The modality gap</title><style>{STYLE}{MORE_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


MORE_STYLE = """
.charts{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:1 1 26rem;min-width:0}figcaption{font-weight:600}
.wide{overflow-x:auto}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;color:#5b6b7c;font-size:.9rem}
dt{font-weight:600}dd{margin:0}@media(max-width:40rem){dl{grid-template-columns:1fr}}th,td{white-space:nowrap}
"""


def _headline(last: Sequence[Point]) -> str:
    if not last:
        return "No problem was answered in both conditions."
    smallest = min(last, key=lambda point: abs(point.gap.gap))
    gap = smallest.gap
    return (
        f"{len(last)} recipe{'s' * (len(last) != 1)}, {max(point.gap.problems for point in last):,} problems. Smallest gap: "
        f"{smallest.recipe}, {100 * gap.gap:+.1f} points ({100 * gap.low:+.1f} .. {100 * gap.high:+.1f}), "
        f"text {percent(gap.text)} %, image {percent(gap.image)} %."
    )


def _meanings() -> str:
    return "<dl>" + "".join(f"<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>" for a, b in MEANINGS) + "</dl>"


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"


def _charts(points: Sequence[Point]) -> list[str]:
    if not points:
        return []
    drawn: list[tuple[str, Callable[[Gap], float | None]]] = [
        ("Accuracy with the facts in words (%)", lambda gap: 100 * gap.text),
        ("Accuracy with the image alone (%)", lambda gap: 100 * gap.image),
        (GAP_CHART, lambda gap: 100 * gap.gap),
        ("Both right (%)", lambda gap: 100 * gap.agreement.both),
        ("Same answer in both conditions (%)", lambda gap: _times(gap.agreement.same_answer)),
        ("Tokens of a response, image alone", lambda gap: gap.image_tokens),
    ]
    figures = []
    for title, value in drawn:
        chart = _chart(points, title, value)
        if chart:
            figures.append(f"<figure><figcaption>{html.escape(title)}</figcaption>{chart}</figure>")
    return figures


def _times(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _over_seeds(point: Point, value: Callable[[Gap], float | None]) -> tuple[float, float]:
    """The interval over seeds: a bootstrap of their mean; the value alone where there is one seed."""
    known = [found for gap in point.by_seed.values() if (found := value(gap)) is not None]
    if len(known) < 2:
        alone = value(point.gap) or 0.0
        return alone, alone
    return bootstrap_mean(known)


def _chart(
    points: Sequence[Point],
    title: str,
    value: Callable[[Gap], float | None],
) -> str:
    """Lines over steps with their intervals, over problems (the gap) or over seeds; one point a recipe where nothing has steps."""
    import altair as alt

    rows: list[dict[str, Any]] = []
    order: dict[str, int] = {}
    for point in points:
        found = value(point.gap)
        if found is not None:
            low, high = (100 * point.gap.low, 100 * point.gap.high) if title == GAP_CHART else _over_seeds(point, value)
            name = one_line(point.recipe, LONGEST_NAME)
            at = order.setdefault(name, len(order))
            rows.append({"recipe": name, "order": at, "step": point.step, "value": found, "low": low, "high": high})
    if not rows:
        return ""
    # A list of names would become an expression of Vega's, and names may be long and strange.
    sort = alt.EncodingSortField("order", op="min")
    base = alt.Chart(alt.Data(values=rows))
    shade = alt.Color(
        "recipe:N",
        title=None,
        sort=sort,
        legend=alt.Legend(orient="bottom", columns=2, labelLimit=360, symbolOpacity=1),
    )
    if len({row["step"] for row in rows}) > 1:
        axes = {"x": alt.X("step:Q", title="step"), "color": shade}
        band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=None), y2="high:Q", **axes)
        line = base.mark_line(point=True).encode(y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)), **axes)
        chart = (band + line).properties(width=WIDTH, height=HEIGHT)
    else:
        axes = {
            "y": alt.Y("recipe:N", title=None, sort=sort, axis=alt.Axis(labelLimit=240)),
            "color": alt.value("#3b6ea5"),
        }
        rule = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=None), x2="high:Q", **axes)
        dot = base.mark_point(filled=True, size=60).encode(x="value:Q", **axes)
        chart = (rule + dot).properties(width=WIDTH, height=alt.Step(24))
    target = io.StringIO()
    (
        chart.configure(background="white", font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
        .configure_legend(labelFontSize=12)
        .save(target, format="svg")
    )
    return target.getvalue().replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)
