"""The page in a real browser: thresholds moved, the command run, samples looked at, by mouse and keyboard."""

from __future__ import annotations

import math
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.config import load_config
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.posterior.pilot import pay_back
from rap_plugin.report.flow import build_flow
from rap_plugin.run_dir import tables
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.selectors.base import CHOSEN
from tests.fabricate import Fabricated

AS_OPENED = """() => {
  document.querySelector("#what-if button.reset").click();
  for (const control of document.querySelectorAll(".filters select, .filters input")) {
    const first = [...(control.options || [])].findIndex((option) => option.defaultSelected);
    if (control.options) control.selectedIndex = Math.max(first, 0); else control.value = control.defaultValue;
    for (const event of ["change", "input"]) control.dispatchEvent(new Event(event, { bubbles: true }));
  }
  scrollTo(0, 0);
}"""
NARROW, WIDE = {"width": 400, "height": 850}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def tab_of_report(browser: Any, made: Fabricated) -> Iterator[tuple[Any, list[str]]]:
    """One tab with the report, and what the browser complains of."""
    tab = browser.new_page(viewport=WIDE, reduced_motion="reduce")
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url),
    )
    tab.goto((made.run / "report.html").as_uri())
    yield tab, complaints
    tab.close()


@pytest.fixture
def opened(tab_of_report: tuple[Any, list[str]]) -> Iterator[Any]:
    """The report as it opens; whatever the browser complains of fails the test."""
    tab, complaints = tab_of_report
    yield tab
    found, complaints[:] = list(complaints), []
    # Loading a page takes a second: putting its controls back does not.
    tab.evaluate(AS_OPENED)
    assert found == []


def type_into(tab: Any, name: str, text: str) -> None:
    tab.fill(f"#{name}-text", text)
    tab.press(f"#{name}-text", "Enter")


def shown_counts(tab: Any) -> dict[str, int]:
    rows = tab.eval_on_selector_all(
        "table.verdicts tbody tr:not([hidden])",
        "rows => rows.map((row) => [row.dataset.verdict, row.querySelector('.live').textContent])",
    )
    return {verdict: int(number.replace(",", "")) for verdict, number in rows if number != "0"}


def decided_by(command: str, run: Path, folder: Path) -> Path:
    """Runs the page's command on a copy of the run."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("*.lock", "report.html"))
    words = shlex.split(command)
    assert words[:3] == ["rap", "decide", str(run)]
    result = CliRunner().invoke(cli, ["decide", str(copy), *words[3:], "--no-report"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return copy


def test_the_page_opens_with_what_was_decided(opened: Any, made: Fabricated) -> None:
    assert shown_counts(opened) == made.selection.decision.counts()
    assert opened.inner_text("#change") == "as decided"
    assert not opened.is_visible(".moved-bar")


@pytest.mark.parametrize(
    "typed",
    [
        {"lambda-c": "0.3"},
        {"lambda-a": "auto", "lambda-c": "0.15"},
        {"lambda-a": "0.0007", "keep": "0.4"},
        {"keep": "0.05", "lambda-c": "-0.2"},
    ],
)
def test_the_command_of_typed_thresholds_gives_the_counts_shown(
    opened: Any, made: Fabricated, tmp_path: Path, typed: dict[str, str]
) -> None:
    before = shown_counts(opened)
    for name, text in typed.items():
        type_into(opened, name, text)
    assert shown_counts(opened) != before
    assert opened.is_visible(".moved-bar")
    run = decided_by(opened.inner_text("#command"), made.run, tmp_path)
    selection, store = load_selection(run)
    with closing(store):
        assert selection.decision.counts() == shown_counts(opened)
    chosen = int(selection.decision.chosen.sum())
    assert opened.inner_text("#verdict-line") == f"{chosen} of 240 samples selected"


def test_switches_and_another_variant_are_in_the_command_too(opened: Any, made: Fabricated, tmp_path: Path) -> None:
    opened.uncheck("#drm")
    opened.check("#positive")
    opened.select_option("#variant", label="suffix, mean over heads, w 20")
    run = decided_by(opened.inner_text("#command"), made.run, tmp_path)
    config = config_of(read_run(run), run)
    assert (config.ace.reduction, config.ace.heads, config.ace.window) == ("suffix", "mean", 20)
    assert not config.selection.drm
    selection, store = load_selection(run)
    with closing(store):
        assert selection.decision.counts() == shown_counts(opened)


def test_the_flow_in_the_page_is_the_flow_of_the_report(opened: Any, made: Fabricated, tmp_path: Path) -> None:
    for text in ("0.5", "0.1", "0.9"):
        type_into(opened, "lambda-c", text)
        run = decided_by(opened.inner_text("#command"), made.run, tmp_path)
        selection, store = load_selection(run)
        with closing(store):
            expected = [ribbon.path for ribbon in build_flow(selection).ribbons]
        drawn = opened.eval_on_selector_all(
            ".picture path.ribbon", "paths => paths.map((path) => path.getAttribute('d'))"
        )
        assert len(drawn) == len(expected)
        for one, other in zip(drawn, expected, strict=True):
            numbers = [[float(number) for number in re.findall(r"[\d.]+", path)] for path in (one, other)]
            assert numbers[0] == pytest.approx(numbers[1], abs=0.11)


def test_a_threshold_is_dragged_and_moved_by_keys(opened: Any) -> None:
    opened.locator("#lambda-c").scroll_into_view_if_needed()
    box = opened.locator("#lambda-c").bounding_box()
    opened.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] / 2, steps=4)
    opened.mouse.up()
    dragged = float(opened.input_value("#lambda-c-text"))
    assert 0.0 <= dragged <= 0.2
    assert f"--lambda-c {dragged:g}" in opened.inner_text("#command")
    opened.focus("#lambda-a")
    before = opened.input_value("#lambda-a-text")
    opened.keyboard.press("ArrowRight")
    assert opened.input_value("#lambda-a-text") != before
    opened.keyboard.press("ArrowLeft")
    assert opened.input_value("#lambda-a-text") == before
    opened.click("#what-if button.reset")
    assert opened.inner_text("#change") == "as decided"


def test_the_samples_are_filtered_searched_and_paged(opened: Any, made: Fabricated) -> None:
    visible = "article.sample:not([hidden])"
    assert opened.locator(visible).count() == 12
    first = opened.locator(visible).first.inner_text()
    opened.click("#page-after")
    assert opened.locator(visible).first.inner_text() != first
    opened.click('a[data-show-verdict="easy"]')
    assert set(opened.locator(visible).locator("h3").all_inner_texts()) == {"Easy"}
    opened.select_option("#show-verdict", "")
    opened.fill("#show-text", "number 17?")
    assert all("number 17?" in text for text in opened.locator(visible).all_inner_texts())
    opened.fill("#show-text", "")
    type_into(opened, "lambda-c", "0.9")
    opened.select_option("#show-verdict", "changed")
    assert opened.locator(visible).count() > 0
    assert all("→" in text for text in opened.locator(visible).locator("h3").all_inner_texts())


VISIBLE = "article.sample:not([hidden])"


def shown_scores(tab: Any, place: int) -> list[float]:
    """One of the scores of the samples that are shown: discrepancy, difficulty, log10 psi, image, blind, chance."""
    texts = tab.eval_on_selector_all(VISIBLE, "cards => cards.map((card) => card.dataset.scores)")
    return [float(text.split()[place]) for text in texts]


def click_mark(tab: Any, shows: str) -> None:
    """Clicks in the middle of the first mark that stands for samples like these."""
    mark = tab.locator(f'[data-shows^="{shows}"]').first
    mark.scroll_into_view_if_needed()
    mark.click()


def test_a_bar_shows_the_samples_that_it_counts(opened: Any, made: Fabricated) -> None:
    click_mark(opened, "easy difficulty ")
    assert set(opened.locator(VISIBLE).locator("h3").all_inner_texts()) == {"Easy"}
    assert set(shown_scores(opened, 1)) == {0.0}
    assert opened.inner_text("#show-clear") == "difficulty -0.1 to 0.1 ×"
    opened.click("#show-clear")
    click_mark(opened, "selected chance ")
    low, high = (float(opened.input_value(f"#show-{end}")) for end in ("from", "to"))
    assert all(low <= chance <= high for chance in shown_scores(opened, 5))
    click_mark(opened, "attention_biased psi ")
    assert set(opened.locator(VISIBLE).locator("h3").all_inner_texts()) == {"Attention biased"}


def test_a_cell_of_two_accuracies_shows_its_samples(opened: Any) -> None:
    click_mark(opened, "- image 0.9 1.1 blind 0.9 1.1")
    assert opened.locator(VISIBLE).count() > 0
    assert {*shown_scores(opened, 3), *shown_scores(opened, 4)} == {1.0}
    opened.click("#show-clear")
    assert "on this page that fit" in opened.inner_text("#show-says")
    assert not opened.is_visible("#show-clear")


def test_a_part_of_the_flow_and_a_cell_of_a_table_show_their_samples(opened: Any) -> None:
    click_mark(opened, "unsolved")
    assert set(opened.locator(VISIBLE).locator("h3").all_inner_texts()) == {"Unsolved"}
    cell = opened.locator('a[data-show-verdict="language_prior"][data-show-part]').first
    number = int(cell.inner_text().replace(",", ""))
    cell.click()
    assert set(opened.locator(VISIBLE).locator("h3").all_inner_texts()) == {"Language prior"}
    assert opened.input_value("#show-part") != ""
    assert 0 < opened.locator(VISIBLE).count() <= number


def shown_ids(tab: Any) -> set[str]:
    """Of all samples that fit, page after page."""
    return set(
        tab.evaluate(
            """() => {
              const found = [], next = document.getElementById("page-after");
              for (;;) {
                for (const card of document.querySelectorAll("article.sample:not([hidden])")) found.push(card.querySelector("details code").textContent);
                if (next.disabled) return found;
                next.click();
              }
            }"""
        )
    )


def test_what_stands_for_another_setting_shows_the_samples_with_that_verdict_under_it(
    opened: Any, made: Fabricated
) -> None:
    every, table = shown_ids(opened), made.selection.table
    own = dict(zip(table.ids.tolist(), made.selection.decision.verdicts.tolist(), strict=True))

    def verdicts_under(**flags: Any) -> dict[str, str]:
        config = load_config(flags={name.replace("__", "."): value for name, value in flags.items()}, base=made.config)
        selection, store = load_selection(made.run, config)
        with closing(store):
            return dict(zip(selection.table.ids.tolist(), selection.decision.verdicts.tolist(), strict=True))

    number = opened.eval_on_selector_all(
        "#show-under option", "all => all.find((one) => one.text === 'λc = 0.8').value"
    )
    click_mark(opened, f"language_prior under {number} {number}")
    assert opened.input_value("#show-under") == number
    there = verdicts_under(selection__lambda_c=0.8)
    wanted = {one for one in every if there[one] == "language_prior"}
    assert shown_ids(opened) == wanted
    assert wanted > {one for one in every if own[one] == "language_prior"}
    rows = opened.locator("#variants tbody tr")
    row = rows.filter(has_text="suffix").filter(has_text="mean").first
    under = {"reduction": "suffix", "heads": "mean", "window": int(row.locator("td").nth(2).inner_text())}
    there = verdicts_under(**{f"ace__{name}": value for name, value in under.items()})
    for column, wanted in (
        (4, {one for one in every if there[one] == "attention_biased"}),
        (5, {one for one in every if there[one] in CHOSEN}),
        (6, {one for one in every if there[one] != own[one]}),
    ):
        row.locator("td").nth(column).locator("a").click()
        assert shown_ids(opened) == wanted, column
    assert "→" in opened.locator(VISIBLE).first.locator("h3").inner_text()


def test_numbers_of_stability_and_composition_show_their_samples(opened: Any, made: Fabricated) -> None:
    own = dict(zip(made.selection.table.ids.tolist(), made.selection.decision.verdicts.tolist(), strict=True))
    opened.click('[data-shows="out chance 0 0.1"]')
    assert not {own[one] for one in shown_ids(opened)} & set(CHOSEN)
    assert all(chance <= 0.1 for _, chance in shown_chances(opened))
    opened.click('[data-shows="- against 0.5 1"]')
    assert all((chance < 0.5) == (own[one] in CHOSEN) for one, chance in shown_chances(opened))
    opened.locator("#composition ~ .divisions a.after-count").first.click()
    assert shown_ids(opened) < {one for one in own if own[one] in CHOSEN}
    assert opened.input_value("#show-part") == "0 0"
    opened.locator('.picture rect[data-shows="chosen"]').click()
    assert {own[one] for one in shown_ids(opened)} == set(own.values()) & set(CHOSEN)


def shown_chances(tab: Any) -> list[tuple[str, float]]:
    pairs = tab.eval_on_selector_all(
        VISIBLE, "cards => cards.map((card) => [card.querySelector('details code').textContent, card.dataset.scores])"
    )
    return [(identity, float(scores.split()[5])) for identity, scores in pairs]


def test_scores_are_asked_for_by_keys_too(opened: Any) -> None:
    opened.select_option("#show-score", "discrepancy")
    opened.fill("#show-from", "0.7")
    opened.press("#show-from", "Tab")
    assert min(shown_scores(opened, 0)) >= 0.7
    assert opened.inner_text("#show-clear") == "discrepancy 0.7 to the most ×"


def test_the_least_certain_samples_come_first_when_asked_for(opened: Any) -> None:
    opened.click('a[data-show-order="chance"]')
    away = [abs(chance - 0.5) for chance in shown_scores(opened, 5)]
    assert away == sorted(away)
    assert away[0] < 0.1


@pytest.mark.parametrize(("group", "prompts", "learning"), [(5, "128", "2"), (8, "16", "0"), (32, "7", "3.5")])
def test_the_break_even_follows_the_training_that_is_named(
    opened: Any, made: Fabricated, group: int, prompts: str, learning: str
) -> None:
    payback = pay_back(made.selection, tables.cost_of(made.store))
    assert payback is not None
    opened.select_option("#pay-group", str(group))
    opened.fill("#pay-prompts", prompts)
    opened.fill("#pay-learning", learning)
    rows = opened.locator("#pay-table tbody tr")
    for number, filtered in enumerate((False, True)):
        steps = payback.steps(group, int(prompts), float(learning), filtered=filtered)
        shown = rows.nth(number).locator("td").all_inner_texts()[1:]
        assert shown[0] == f"{math.ceil(steps):,} steps"
        assert shown[1] == f"{math.ceil(steps) * int(prompts) * group:,}"
        assert shown[2].startswith(f"{payback.epochs(steps, group, int(prompts)):.1f}")


def test_the_verdict_on_every_card_is_what_deciding_again_says(opened: Any, made: Fabricated, tmp_path: Path) -> None:
    type_into(opened, "lambda-c", "0.7")
    type_into(opened, "keep", "0.15")
    run = decided_by(opened.inner_text("#command"), made.run, tmp_path)
    selection, store = load_selection(run)
    with closing(store):
        verdict = dict(zip(selection.table.ids.tolist(), selection.decision.verdicts.tolist(), strict=True))
    cards = opened.eval_on_selector_all(
        "article.sample",
        "cards => cards.map((card) => [card.querySelector('details code').textContent, card.dataset.verdict, "
        "card.querySelector('.becomes').textContent])",
    )
    words = opened.evaluate("JSON.parse(document.getElementById('rap-data').textContent).words")
    sure = 0
    for identity, before, becomes in cards:
        told = [words[before]["title"]] if not becomes else becomes.removeprefix("→ ").split(" or ")
        assert words[verdict[identity]]["title"] in told
        sure += len(told) == 1
    assert sure > 0.8 * len(cards)


def test_what_a_model_wrote_runs_no_script(opened: Any) -> None:
    assert opened.locator("img[src='x']").count() == 0
    policy = opened.get_attribute("meta[http-equiv]", "content")
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)])
def test_no_serious_fault_of_access_is_found(browser: Any, made: Fabricated, scheme: str, size: dict[str, int]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    tab = browser.new_page(viewport=size, color_scheme=scheme)
    tab.goto((made.run / "report.html").as_uri())
    type_into(tab, "lambda-c", "0.3")
    found = axe.Axe().run(tab).response["violations"]
    tab.close()
    grave = [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_nothing_is_cut_off_on_a_phone(browser: Any, made: Fabricated) -> None:
    tab = browser.new_page(viewport=NARROW)
    tab.goto((made.run / "report.html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    assert tab.is_visible("#steps")
    sizes = tab.eval_on_selector_all(
        ".charts svg text",
        "texts => texts.map((text) => parseFloat(getComputedStyle(text).fontSize) * Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b))",
    )
    assert min(sizes) > 10
    tab.close()


def test_on_paper_tables_are_whole_and_controls_are_gone(browser: Any, made: Fabricated) -> None:
    tab = browser.new_page(viewport={"width": 720, "height": 1000})
    tab.goto((made.run / "report.html").as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate("document.documentElement.scrollWidth") < 1.1 * 720, "what is wider is printed smaller"
    assert {
        tab.evaluate("(part) => getComputedStyle(part).overflowX", part) for part in tab.query_selector_all(".scroll")
    } == {"visible"}
    for control in (".filters", ".pages", "#show-text", "button.copy", 'a[data-show-order="chance"]'):
        assert not tab.is_visible(control), control
    tab.close()


def test_without_scripts_all_samples_and_no_dead_controls_are_shown(browser: Any, made: Fabricated) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((made.run / "report.html").as_uri())
    assert not tab.is_visible("#what-if")
    assert tab.locator("article.sample").last.is_visible()
    context.close()
