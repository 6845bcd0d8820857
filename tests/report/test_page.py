"""The page: whole, safe, and true to the decision."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.pipeline.selection import load_selection
from rap_plugin.report import write_report
from rap_plugin.report.page import (
    TEMPLATES,
    cross_table,
    duration,
    flow_picture,
    percent,
    quarantine_groups,
    render_page,
)
from rap_plugin.samples.sample import Quarantined
from tests.fabricate import Fabricated, fabricate, finished, write_pool
from tests.report.conftest import HOSTILE


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text outside of style elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def check_harmless(page: str) -> Elements:
    elements = Elements(page)
    scripts = re.findall(r"<script(.*?)>", page)
    assert scripts == [' type="application/json" id="rap-data"', ""]
    for tag, attributes in elements.found:
        assert tag not in ("iframe", "object", "embed", "link", "base", "form", "foreignobject"), tag
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        for name in ("src", "href", "xlink:href", "data", "action"):
            target = attributes.get(name)
            if target is not None:
                allowed = ("data:image/",) if tag == "img" else ("#", "https://arxiv.org/")
                assert target.startswith(allowed), (tag, target)
    return elements


def test_the_page_has_its_own_script_only_and_refers_to_nothing_outside(page: str) -> None:
    check_harmless(page)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page


def test_the_policy_allows_this_one_style_sheet_and_script_and_data_images_only(page: str) -> None:
    elements = Elements(page)
    policy = next(attributes["content"] for tag, attributes in elements.found if "http-equiv" in attributes)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(styles) == 1
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (styles[0], scripts[0])
    )
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def test_what_a_model_wrote_is_shown_as_text(page: str) -> None:
    text = " ".join(Elements(page).text.split())
    assert HOSTILE in text
    assert HOSTILE not in page


def test_questions_answers_roles_and_names_are_shown_as_text(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.parquet", 30)
    table = pq.read_table(pool)
    for name in ("problem", "answer", "role"):
        values = [
            f"<image>{value}{HOSTILE}" if name == "problem" else f"{HOSTILE}{value}"
            for value in table[name].to_pylist()
        ]
        values = [value.replace("<image><image>", "<image>") for value in values]
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    pq.write_table(table, pool)
    made = fabricate(tmp_path, pool=pool, prompt__instruction=HOSTILE, prompt__system=HOSTILE)
    with closing(made.store):
        about = (made.run / "run.json").read_text()
        (made.run / "run.json").write_text(about.replace('"fabricated"', '"<script>alert(3)</script>"'))
        page = render_page(made.run, made.selection, made.pool, made.store)
    elements = check_harmless(page)
    assert "<script>alert(3)</script>" in elements.text
    assert sum(tag == "img" for tag, _ in elements.found) > 0


def test_lone_surrogates_and_control_characters_do_not_stop_the_report(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 30, text="\x00\x1b[31m\u202e\ud800 end")
    with closing(made.store):
        write_report(made.run, made.selection, made.pool, made.store)
    page = (made.run / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert "\x00" not in page
    assert "\u202e" not in page


def test_the_headline_and_the_table_count_what_was_decided(made: Fabricated, page: str) -> None:
    chosen = int(made.selection.decision.chosen.sum())
    text = " ".join(Elements(page).text.split())
    assert f"{chosen} of 240 samples ({100 * chosen / 240:.1f} %)" in text
    table = page[page.index('<table class="verdicts">') : page.index("</table>")]
    rows = [row for row in table.split("<tr ") if "hidden>" not in row.split("</tr>")[0].split("><td")[0] + ">"]
    numbers = [int(number) for row in rows for number in re.findall(r'<td class="n live">([\d,]+)</td>', row)]
    assert numbers == list(made.selection.decision.counts().values())
    assert len(numbers) >= 6


def test_the_page_stays_small(made: Fabricated) -> None:
    assert (made.run / "report.html").stat().st_size < 2_000_000


def test_the_same_evidence_gives_the_same_bytes(made: Fabricated, page: str) -> None:
    assert render_page(made.run, made.selection, made.pool, made.store) == page
    selection, store = load_selection(made.run)
    with closing(store):
        assert render_page(made.run, selection, made.pool, made.store) == page


@pytest.mark.parametrize(("lambda_a", "note"), [(1e9, "ACE is inert"), (3e-4, "ACE is degenerate")])
def test_notes_of_the_selector_stand_on_the_page(tmp_path: Path, lambda_a: float, note: str) -> None:
    with closing((made := fabricate(tmp_path, 120, selection__lambda_a=lambda_a)).store):
        assert note in render_page(made.run, made.selection, made.pool, made.store)


@pytest.mark.parametrize(
    "options",
    [
        {"selection__preset": "released"},
        {"selection__selector": "random"},
        {"selection__selector": "band"},
        {"selection__selector": "limr"},
        {"selection__keep": 0.1},
        {"selection__lambda_a": "auto"},
        {"selection__ace": False, "selection__cde": False, "selection__drm": False},
        {"attention": False},
        {"roles": False},
        {"sampling__rollouts": 11},
        {"ace__reduction": "suffix", "ace__heads": "mean", "ace__over_rollouts": "mean"},
        {"ace__sigma": 1.5},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
def test_every_selector_and_option_has_a_page(tmp_path: Path, options: dict[str, object]) -> None:
    rollouts = {"rollouts": options["sampling__rollouts"]} if "sampling__rollouts" in options else {}
    options = {name: value for name, value in options.items() if name != "sampling__rollouts"}
    made = fabricate(tmp_path, 50, **rollouts, **options)  # type: ignore[arg-type]
    with closing(made.store):
        elements = check_harmless(render_page(made.run, made.selection, made.pool, made.store))
    assert f"of {50} samples" in " ".join(elements.text.split())
    assert sum(tag == "svg" for tag, _ in elements.found) > 5


def test_a_pool_without_a_usable_row_still_has_a_page(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 30)
    with closing(made.store):
        made.store.replace_pool([Quarantined(i, "unreadable_image", "cut short") for i in range(30)], "other")
    selection, store = load_selection(made.run)
    with closing(store):
        page = render_page(made.run, selection, made.pool, store)
    assert "0 of 30 samples" in " ".join(Elements(page).text.split())
    check_harmless(page)


def test_the_cross_table_counts_verdicts_by_role(made: Fabricated) -> None:
    table = cross_table(made.selection, made.pool)
    assert table is not None
    roles = made.pool.table(made.selection.table.rows.tolist())["role"].to_pylist()
    verdicts = made.selection.decision.verdicts.tolist()
    for value, counts, total, _ in table.rows:
        assert total == roles.count(value)
        expected = [
            sum(r == value and v == word for r, v in zip(roles, verdicts, strict=True))
            for word in made.selection.decision.counts()
        ]
        assert list(counts) == expected


def test_quarantine_is_grouped_by_status_with_the_first_reasons() -> None:
    rows = [Quarantined(i, "duplicate" if i % 3 else "too_large", f"reason {i}") for i in range(30)]
    groups = quarantine_groups(rows)
    assert [(group.status, group.count) for group in groups] == [("duplicate", 20), ("too_large", 10)]
    assert groups[1].rows == tuple((i, f"reason {i}") for i in (0, 3, 6, 9, 12))


def test_the_flow_alone_is_a_whole_svg_file(made: Fabricated) -> None:
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.fromstring(flow_picture(made.selection))
    assert root.tag.endswith("svg")
    assert "prefers-color-scheme" in flow_picture(made.selection)


def test_shares_and_times_read_well() -> None:
    assert [percent(value) for value in (0, 0.0001, 0.0939, 0.9999, 1)] == [
        "0.0 %",
        "< 0.1 %",
        "9.4 %",
        "> 99.9 %",
        "100.0 %",
    ]
    assert [duration(value) for value in (0.04, 59.9, 61, 7322)] == ["40 ms", "59.9 s", "1 min 01 s", "2 h 02 min"]


def test_importing_the_report_loads_neither_charts_nor_templates() -> None:
    code = (
        "import sys, rap_plugin.report, rap_plugin.exports, rap_plugin.pipeline.compare, rap_plugin.pipeline.released_dumps\n"
        "heavy = {'altair', 'jinja2', 'vl_convert', 'torch', 'datasets', 'transformers', 'scipy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_writes_the_report_again(made: Fabricated, page: str) -> None:
    from click.testing import CliRunner

    from rap_plugin.cli import cli

    result = CliRunner().invoke(cli, ["report", str(made.run)])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(made.run / "report.html")
    assert (made.run / "report.html").read_text(encoding="utf-8") == page


def test_a_large_page_is_written_and_its_size_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from rap_plugin.cli import cli

    monkeypatch.setattr("rap_plugin.cli.report.LARGE", 0.01)
    run = finished(tmp_path, samples=30)
    result = CliRunner().invoke(cli, ["report", str(run), "--samples", "8", "--with-images"])
    assert result.exit_code == 0, result.output
    assert "MB and opens slowly; fewer --samples make it smaller" in result.stderr
    assert (run / "report.html").read_text(encoding="utf-8").count("<article") == 8


def test_provenance_names_model_weights_pool_prompt_and_grader(made: Fabricated, page: str) -> None:
    text = Elements(page).text
    for fact in (
        "fabricated",
        "0123456789abcdef",
        "ab" * 32,
        made.pool.fingerprint(),
        "fabricated-1",
        "without the image: drop",
    ):
        assert fact in text, fact
    for stage in ("ingest", "sample image", "sample blind", "grade"):
        assert f'<td class="word">{stage}</td>' in page


def test_every_template_keeps_tables_reachable_by_keyboard_and_by_ear() -> None:
    for path in TEMPLATES.glob("*.html.j2"):
        text = path.read_text(encoding="utf-8")
        assert '<div class="scroll">' not in text, (
            f"{path.name}: a region that scrolls takes the focus (tabindex, role, name)"
        )
        assert not re.search(r"<th(?! scope)[ >]", text), f"{path.name}: a head says of what (scope)"
