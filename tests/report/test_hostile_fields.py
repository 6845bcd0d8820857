"""Hostile text in every field that a stranger fills, and the pages opened in a real browser: nothing runs, nothing is fetched."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from rap_plugin.cli import cli
from rap_plugin.report import write_report
from rap_plugin.report.view import View, Viewed, open_server
from rap_plugin.vlm_r3.pages import looking_page, trace_page
from rap_plugin.vlm_r3.trace import Look, Trace
from tests.fabricate import fabricate, finished, write_pool

MARK = "window.hacked=(window.hacked||0)+1;fetch('http://127.0.0.1:9/stolen')"
ATTACKS = [
    f"<script>{MARK}</script>",
    f"</script><script>{MARK}</script>",
    f'<img src=x onerror="{MARK}">',
    f'"><svg onload="{MARK}">',
    f"' onmouseover='{MARK}' autofocus onfocus='{MARK}' x='",
    f'</title></style></textarea></template><body onload="{MARK}">',
    f'<a href="javascript:{MARK}">x</a><iframe srcdoc="<script>parent.{MARK}</script>"></iframe>',
    f"[x](javascript:{MARK}) ![x](http://127.0.0.1:9/picture.png)",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'><base href='http://127.0.0.1:9/'>",
    "<link rel=stylesheet href='http://127.0.0.1:9/x.css'><style>@import 'http://127.0.0.1:9/y.css'</style>",
    "</style><style>*{background:url(http://127.0.0.1:9/z)}",
    f"<!--><script>{MARK}</script--> ]]><script>{MARK}</script>",
    f"${{{MARK}}} {{{{constructor.constructor('{MARK}')()}}}} {{% raw %}}",
    f"\\u003cscript\\u003e{MARK}\\u003c/script\\u003e \u2028{MARK}\u2029",
    f'<math><mi xlink:href="javascript:{MARK}"><mtext><script>{MARK}</script>',
    f'<details open ontoggle="{MARK}"><video><source onerror="{MARK}"></video>',
    f'<noscript><p title="</noscript><img src=x onerror={MARK}>">',
    f"\x00<scr\x00ipt>{MARK}</script> \u202e>tpircs<",
]
EVERY = " ".join(ATTACKS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    """A run whose questions, golds, columns, file names, responses, instruction, model, reasons and notes are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    pool = write_pool(folder / "pool.parquet", 36, broken=2, roles=False)
    table = pq.read_table(pool)

    def hostile(i: int, value: Any) -> str:
        return f"{value} {ATTACKS[i % len(ATTACKS)]}".replace("\x00", "")

    images = [
        [{**picture, "path": hostile(i, picture["path"]).replace("/", "_")} for picture in row]
        for i, row in enumerate(table["images"].to_pylist())
    ]
    columns = {
        name: [hostile(i, value) for i, value in enumerate(table[name].to_pylist())]
        for name in ("problem", "answer", "id", "onlyid")
    }
    columns |= {
        name: [hostile(i, name) for i in range(len(table))] for name in ("source", "type", "category", f"c{ATTACKS[0]}")
    }
    pq.write_table(pa.table({**columns, "images": pa.array(images, table.schema.field("images").type)}), pool)
    made = fabricate(
        folder, pool=pool, roles=False, text=EVERY, prompt__instruction=EVERY.replace("\x00", ""),
        prompt__system=ATTACKS[2], pool__question="problem", pool__answer="answer", pool__images="images",
    )  # fmt: skip
    with closing(made.store) as store:
        with store.transaction() as db:
            db.execute("UPDATE responses SET extracted = ?, grade_reason = ?, error = ?", (EVERY, EVERY, EVERY))
            db.execute("UPDATE pool SET reason = ?, status = ? WHERE sample IS NULL", (EVERY, ATTACKS[0]))
            db.execute("UPDATE ledger SET stage = stage || ?", (ATTACKS[3],))
        about = json.loads((made.run / "run.json").read_text())
        about["model"] = {name: EVERY if isinstance(value, str) else value for name, value in about["model"].items()}
        (made.run / "run.json").write_text(json.dumps(about))
        made.selection.decision.notes.append(EVERY)
        write_report(made.run, made.selection, made.pool, store)
        yield Viewed(made.run, made.selection, made.pool, store)


def require_harmless(browser: Any, address: str) -> str:
    """Opens a page, presses and opens what it has; returns its text. Whatever happens besides fails the test."""
    tab = browser.new_page()
    happened: list[str] = []
    tab.on("dialog", lambda dialog: (happened.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.on("console", lambda message: happened.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: happened.append(f"error: {error}"))
    tab.on("popup", lambda page: happened.append(f"popup: {page.url}"))
    tab.on("request", lambda request: happened.append(request.url) if not allowed(request.url, address) else None)
    tab.goto(address)
    tab.evaluate("() => document.querySelectorAll('details').forEach(part => { part.open = true })")
    for selector in ("summary", "button", "input", "article", "figure", "svg"):
        for part in tab.locator(selector).all()[:3]:
            if part.is_visible():
                part.hover(force=True, timeout=5000)
                part.focus() if selector in ("button", "input") else None
    assert tab.evaluate("() => window.hacked") is None
    assert tab.evaluate("() => document.querySelectorAll('iframe, object, embed, base, video, math').length") == 0
    links = tab.eval_on_selector_all(
        "[href], [src]", "found => found.map((part) => part.getAttribute('href') || part.getAttribute('src'))"
    )
    assert [link for link in links if link.strip().lower().startswith(("javascript:", "http://127.0.0.1:9"))] == []
    text = str(tab.inner_text("body"))
    tab.close()
    assert happened == []
    return text


def allowed(url: str, address: str) -> bool:
    """The page itself, what it holds, and the icon that a browser asks for by itself."""
    return (
        url.startswith("data:")
        or url.split("?")[0].rstrip("/") == address.split("?")[0].rstrip("/")
        or url.endswith("/favicon.ico")
    )


def test_the_report_of_a_hostile_pool_runs_and_fetches_nothing(browser: Any, run: Viewed) -> None:
    text = require_harmless(browser, (run.path / "report.html").as_uri())
    assert "window.hacked" in text  # it is shown, as text


def test_the_pages_of_rap_view_run_and_fetch_nothing(browser: Any, run: Viewed) -> None:
    server = open_server(View([run, run]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for query in (
            "",
            "?text=script",
            "?order=%3Cscript%3Ealert(1)%3C/script%3E&text=%22%3E%3Csvg/onload=alert(1)%3E",
        ):
            require_harmless(browser, f"http://127.0.0.1:{server.server_address[1]}/{query}")
    finally:
        server.shutdown()
        server.server_close()


def test_the_page_of_a_hostile_trace_runs_and_fetches_nothing(browser: Any, tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 48))
    page = trace_page(hostile_trace(), EVERY, [image], model=EVERY)
    (tmp_path / "looks.html").write_text(page.replace("\ud800", ""), encoding="utf-8")
    assert "window.hacked" in require_harmless(browser, (tmp_path / "looks.html").as_uri())


def hostile_trace() -> Trace:
    shown = Look(0, EVERY, 0, (1, 1, 30, 30), (28, 28))
    refused = Look(1, EVERY, problem=EVERY)
    other = Look(2, EVERY, 0, (1, 1, 30, 30), None, instead=EVERY)
    return Trace(
        (EVERY, ATTACKS[0], ATTACKS[1], EVERY), (EVERY,) * 4, (shown, refused, other), "engine_error", 9, error=EVERY
    )


def test_the_page_on_faithfulness_runs_and_fetches_nothing(browser: Any, tmp_path: Path) -> None:
    table = {"title": EVERY, "head": [EVERY, ATTACKS[0]], "rows": [[EVERY, ATTACKS[1]]], "note": EVERY}
    (tmp_path / "faithfulness.html").write_text(looking_page(EVERY, EVERY, [table], EVERY), encoding="utf-8")
    assert "window.hacked" in require_harmless(browser, (tmp_path / "faithfulness.html").as_uri())


def test_the_page_on_the_modality_gap_runs_and_fetches_nothing(browser: Any, tmp_path: Path) -> None:
    rows = [
        {"recipe": recipe, "seed": 0, "step": 0, "problem": f"{problem} {EVERY}", "kind": ATTACKS[problem],
         "rendering": ATTACKS[-1 - problem], "condition": condition, "right": [problem % 2], "answers": [EVERY], "tokens": [3]}
        for recipe in (ATTACKS[2], f"\x1b]0;title\x07\ud800{ATTACKS[3]}")
        for problem in range(len(ATTACKS))
        for condition in ("text", "image")
    ]  # fmt: skip
    (tmp_path / "gap.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows) + f"{EVERY}\n")
    told = CliRunner().invoke(cli, ["modality-gap", "report", str(tmp_path)], catch_exceptions=False)
    assert told.exit_code == 0
    assert "\x1b" not in told.output
    assert "window.hacked" in require_harmless(browser, (tmp_path / "gap.html").as_uri())


def test_what_a_comparison_of_hostile_runs_prints_moves_no_terminal(tmp_path: Path) -> None:
    runs = [
        str(finished(tmp_path / name, samples=12, prompt__instruction=f"\x1b[2J\x1b]0;{name}\x07 {name}"))
        for name in ("one", "another")
    ]
    told = CliRunner().invoke(cli, ["compare", *runs, "--draws", "2"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert "another" in told.output.replace(str(tmp_path), "")
    assert not any(character in told.output for character in "\x1b\x07\x00")


def test_the_card_of_a_hostile_pool_is_text_where_markdown_with_html_is_rendered(
    browser: Any, run: Viewed, tmp_path: Path
) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    card = (run.path / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]
    html = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(card)
    (tmp_path / "card.html").write_text(f"<!doctype html><meta charset=utf-8><body>{html}", encoding="utf-8")
    assert "window.hacked" in require_harmless(browser, (tmp_path / "card.html").as_uri())
