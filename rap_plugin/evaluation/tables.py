"""A comparison as Markdown, CSV and one HTML file with a chart."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from rap_plugin.evaluation.benchmarks import BENCHMARKS, REPORTED, find_task
from rap_plugin.evaluation.compare import PAPER, BenchmarkComparison, Cell, Difference

HEAD = (
    "task",
    "model",
    "measure",
    "value",
    "95 %",
    "problems",
    "unread",
    "contradictory",
    "unjudged",
    "judged",
    "judge",
    "tokens",
)
HEAD_PAIRS = ("task", "first", "second", "problems", "second - first", "95 %", "McNemar p")

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2530;background:#fff}
table{border-collapse:collapse;margin:.6rem 0 1.6rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:left;border-bottom:1px solid #dde3ea}th{font-weight:600}
td:nth-child(n+4){white-space:nowrap}p.note{color:#5b6b7c}svg{max-width:100%;height:auto}
@media(prefers-color-scheme:dark){body{color:#dfe6ee;background:#14191f}th,td{border-color:#2d3742}p.note{color:#9fb0c1}
svg{background:#fff;border-radius:4px}}
"""


def title_of(task: str) -> str:
    """A task's title: "MathVerse (testmini) vision only"."""
    if task in BENCHMARKS:
        return BENCHMARKS[task].title
    benchmark, part = find_task(task)
    return f"{benchmark.title} {part.name.replace('_', ' ')}".strip()


def percent(value: float | None) -> str:
    """One decimal, in percent; a dash for nothing."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None or math.isnan(low) else f"{percent(low)} .. {percent(high)}"


def _cell_row(cell: Cell) -> tuple[str, ...]:
    task = title_of(cell.task) + (f" ({cell.variant})" if cell.variant else "")
    return (
        task, cell.model, cell.measure, percent(cell.value), _interval(cell.low, cell.high), f"{cell.count:,}",
        percent(cell.unread), percent(cell.contradictory), percent(cell.unjudged), percent(cell.judged), cell.judge,
        "-" if cell.tokens is None else f"{cell.tokens:,.0f}",
    )  # fmt: skip


def _pair_row(pair: Difference) -> tuple[str, ...]:
    sign = "-" if math.isnan(pair.value) else f"{100 * pair.value:+.1f}"
    p = "-" if pair.p is None else "< 0.001" if pair.p < 0.001 else f"{pair.p:.3f}"
    return pair.task, pair.first, pair.second, f"{pair.count:,}", sign, _interval(pair.low, pair.high), p


def paper_rows(comparison: BenchmarkComparison) -> list[tuple[str, ...]]:
    """The RAP table: models that have all six benchmarks or some of them, then the paper's own rows."""
    rows: list[tuple[str, ...]] = []
    for model in dict.fromkeys(cell.model for cell in comparison.cells):
        held = {c.task: c.value for c in comparison.cells if c.model == model and not c.variant and c.value is not None}
        values = [held.get(task) for task in REPORTED]
        known = [value for value in values if value is not None]
        if known:
            mean = sum(known) / len(known) if len(known) == len(values) else None
            rows.append((model, *(percent(value) for value in values), percent(mean)))
    if rows:
        rows += [
            (f"paper, Qwen2.5-VL-7B: {name}", *(f"{v:.2f}" for v in values), f"{sum(values) / len(values):.2f}")
            for name, values in PAPER.items()
        ]
    return rows


def sections(comparison: BenchmarkComparison) -> list[tuple[str, str, Sequence[str], list[tuple[str, ...]]]]:
    """(title, one explaining line, head, rows) of every table that has rows."""
    head = ("model", *(BENCHMARKS[task].title for task in REPORTED), "average")
    found = [
        ("Results", "In percent. Intervals: Wilson's, or a bootstrap over problems.", HEAD, [_cell_row(c) for c in comparison.cells]),
        ("Paired differences", "Accuracy over the same problems, in points.", HEAD_PAIRS, [_pair_row(d) for d in comparison.differences]),
        (
            "Visual dependence",
            "Accuracy with images minus without, over the same problems, in points.",
            HEAD_PAIRS,
            [_pair_row(d) for d in comparison.dependence],
        ),
        (
            "Beside the RAP paper",
            "The paper's rows were scored by other tools (arXiv 2506.04755): for orientation.",
            head,
            paper_rows(comparison),
        ),
    ]  # fmt: skip
    return [section for section in found if section[3]]


def markdown(comparison: BenchmarkComparison) -> str:
    """All tables and notes."""
    parts = []
    for title, line, head, rows in sections(comparison):
        table = [head, ["---"] * len(head), *rows]
        body = "\n".join("| " + " | ".join(_plain(text) for text in row) + " |" for row in table)
        parts.append(f"## {title}\n\n{line}\n\n{body}\n")
    parts += [f"- {note}" for note in comparison.notes]
    return "\n".join(parts) + "\n"


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def as_csv(comparison: BenchmarkComparison) -> str:
    """One line per number: cells, paired differences and visual dependence, as shares of 1."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(
        ["table", "task", "variant", "model", "against", "measure", "value", "low", "high", "problems", "p", "unread", "contradictory", "unjudged", "judged", "judge", "tokens"]
    )  # fmt: skip
    for c in comparison.cells:
        writer.writerow(
            ["result", c.task, c.variant, _safe(c.model), "", c.measure, c.value, c.low, c.high, c.count, "", c.unread, c.contradictory, c.unjudged, c.judged, _safe(c.judge), c.tokens]
        )  # fmt: skip
    for table, pairs in (("difference", comparison.differences), ("visual_dependence", comparison.dependence)):
        for d in pairs:
            writer.writerow(
                [table, d.task, "", _safe(d.second), _safe(d.first), "accuracy", d.value, d.low, d.high, d.count, d.p, "", "", "", "", "", ""]
            )  # fmt: skip
    return target.getvalue()


def _safe(text: str) -> str:
    # A spreadsheet runs what begins like a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def page(comparison: BenchmarkComparison) -> str:
    """One HTML file, nothing loaded from elsewhere."""
    body = [f"<h1>Benchmarks compared</h1>{chart(comparison)}"]
    for title, line, head, rows in sections(comparison):
        body.append(f"<h2>{html.escape(title)}</h2><p class=note>{html.escape(line)}</p>{_table(head, rows)}")
    body += [f"<p class=note>{html.escape(note)}</p>" for note in comparison.notes]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Benchmarks compared</title><style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def chart(comparison: BenchmarkComparison) -> str:
    """Headline values with their intervals, one row per task, as SVG."""
    import altair as alt

    rows: list[dict[str, Any]] = [
        {
            "task": title_of(cell.task) + (f" ({cell.variant})" if cell.variant else ""),
            "model": cell.model,
            "value": 100 * cell.value,
            "low": 100 * (cell.low if cell.low is not None else cell.value),
            "high": 100 * (cell.high if cell.high is not None else cell.value),
        }
        for cell in comparison.cells
        if cell.value is not None
    ]
    if not rows:
        return ""
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y(
            "task:N", title=None, sort=list(dict.fromkeys(row["task"] for row in rows)), axis=alt.Axis(labelLimit=320)
        ),
        yOffset=alt.YOffset("model:N", sort=list(dict.fromkeys(row["model"] for row in rows))),
        color=alt.Color("model:N", title=None, legend=alt.Legend(orient="top", labelLimit=400)),
    )
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="percent", scale=alt.Scale(domain=[0, 100])), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=55).encode(x="value:Q")
    target = io.StringIO()
    (lines + points).properties(width=560, height=alt.Step(13)).configure_view(stroke=None).save(target, format="svg")
    return target.getvalue()
