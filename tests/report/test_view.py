"""`rap view`: every sample of a run over HTTP, found, paged, side by side, and nothing else."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.report.view import MOST_CONNECTIONS, Asked, View, Viewed, open_server
from tests.fabricate import Fabricated
from tests.report.conftest import HOSTILE


@pytest.fixture(scope="module")
def two(made: Fabricated) -> Iterator[list[Viewed]]:
    """A run, and the same decided under another threshold."""
    first = Viewed(made.run, made.selection, made.pool, made.store)
    config = load_config(flags={"selection.lambda_c": 0.2}, base=made.config)
    selection, store = load_selection(made.run, config)
    with closing(store):
        yield [first, Viewed(made.run, selection, made.pool, store)]


@pytest.fixture(scope="module")
def address(two: list[Viewed]) -> Iterator[str]:
    server = open_server(View(two[:1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def ids(page: str) -> list[str]:
    return re.findall(r"row \d+, <code>([0-9a-f]+)</code>", page)


def test_the_pages_together_show_every_sample_once(two: list[Viewed]) -> None:
    view, seen, number = View(two[:1]), [], 1
    while found := ids(view.page(Asked(page=number))):
        assert len(found) <= 20
        seen += found
        number += 1
    assert seen == sorted(two[0].selection.table.ids.tolist())


def test_a_verdict_and_a_text_are_found(two: list[Viewed]) -> None:
    view, selection = View(two[:1]), two[0].selection
    easy = selection.table.ids[selection.decision.verdicts == "easy"].tolist()
    shown = ids(view.page(Asked(verdict="easy")))
    assert shown == sorted(easy)[:20]
    (one,) = ids(view.page(Asked(text="is NUMBER 17?")))
    assert selection.table.rows[selection.table.ids.tolist().index(one)] == 17
    assert ids(view.page(Asked(text=one[:15]))) == [one]
    assert ids(view.page(Asked(text="100%_of nothing"))) == []


def test_the_cards_are_those_of_the_report_once_the_probabilities_are_known(
    two: list[Viewed], made: Fabricated, page: str
) -> None:
    view = View(two[:1])
    assert "in a few seconds" in view.page(Asked())
    view.measure()
    served = dict(card for number in range(1, 13) for card in cards(view.page(Asked(page=number))))
    written = dict(cards(page))
    assert len(written) == 160
    assert written.items() <= served.items()
    uncertain = cards(view.page(Asked(order="chance")))
    away = [abs(float(re.findall(r'class="chance[^"]*">([\d.]+) %', card)[0]) - 50) for _, card in uncertain]
    assert away == sorted(away)


def cards(page: str) -> list[tuple[str, str]]:
    """(id, card) of every sample of a page."""
    found = re.findall(r"<article class=\"sample[^>]*>(.*?)</article>", page, re.DOTALL)
    return [(ids(card)[0], card) for card in found]


def test_the_selection_and_the_rest_are_all_samples(two: list[Viewed]) -> None:
    view, run = View(two[:1]), two[0]
    totals = [
        int(re.findall(r"of ([\d,]+) samples</span>", view.page(Asked(verdict=group)))[0])
        for group in ("chosen", "out")
    ]
    assert totals == [run.chosen, run.total - run.chosen]


def test_a_stale_report_is_served_anew_from_the_evidence(made: Fabricated, page: str, tmp_path: Path) -> None:
    copy = shutil.copytree(made.run, tmp_path / made.run.name, ignore=shutil.ignore_patterns("*.lock"))
    selection, store = load_selection(copy)
    with closing(store):
        viewed = [Viewed(copy, selection, made.pool, store)]
        assert View(viewed).report(0) == page
        (copy / "report.html").write_text('<meta name="rap-selection" content="0123456789abcdef">')
        assert View(viewed).report(0) == page


def test_two_runs_stand_side_by_side_and_their_differences_alone(two: list[Viewed]) -> None:
    page = View(two).page(Asked(verdict="differs"))
    first, second = (run.selection.decision.verdicts for run in two)
    differing = set(two[0].selection.table.ids[first != second].tolist())
    shown = ids(page)
    assert shown[::2] == shown[1::2]
    assert 0 < len(set(shown)) == min(20, len(differing))
    assert set(shown) <= differing


def test_what_a_model_or_a_visitor_wrote_is_text(two: list[Viewed]) -> None:
    page = View(two[:1]).page(Asked(text=HOSTILE))
    assert "<script" not in page
    assert HOSTILE in unescape(page)
    assert len(ids(page)) == 20


def test_the_server_answers_this_machine_alone_and_only_reads(address: str) -> None:
    with urllib.request.urlopen(f"{address}/?text={quote('number 17?')}&page=1") as answer:
        assert len(ids(answer.read().decode())) == 1
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for request, status in (
        (urllib.request.Request(address, headers={"Host": "evil.example"}), 403),
        (urllib.request.Request(address, data=b"x"), 501),
        (urllib.request.Request(f"{address}/../run.json"), 404),
        (urllib.request.Request(f"{address}/report/7"), 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == status


@pytest.mark.parametrize("query", ["page=-1", "page=99999999999999", "order=x", "page=%00&verdict=%ff"])
def test_a_query_without_sense_is_no_error(address: str, query: str) -> None:
    with urllib.request.urlopen(f"{address}/?{query}") as answer:
        assert answer.status == 200


def test_a_port_that_is_taken_is_named(address: str, two: list[Viewed]) -> None:
    with pytest.raises(RapError, match="choose another --port"):
        open_server(View(two[:1]), port=int(address.rsplit(":", 1)[1]))


def test_a_browser_searches_and_opens_the_report(address: str, browser: Any) -> None:
    tab = browser.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.goto(address)
    tab.fill("input[name=text]", "number 3")
    tab.click("button[type=submit]")
    assert all("number 3" in text for text in tab.locator("article").all_inner_texts())
    tab.click("nav a")
    tab.fill("#lambda-c-text", "0.3")
    tab.press("#lambda-c-text", "Enter")
    assert tab.inner_text("#change") != "as decided"
    assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
    tab.close()


def test_only_one_run_or_two_are_shown(two: list[Viewed], tmp_path: Path) -> None:
    with pytest.raises(RapError, match="not 3"):
        View([*two, two[0]])


def test_clients_that_hang_up_in_the_middle_are_no_news(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    place = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
    before = threading.active_count()
    for _ in range(12):
        with socket.create_connection(place, timeout=120) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
            client.sendall(b"GET /?text=number HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with urllib.request.urlopen(f"{address}/", timeout=120) as answer:
        assert answer.status == 200
    while threading.active_count() > before:
        time.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_slow_broken_and_many_clients_leave_the_page_to_others(address: str) -> None:
    port = int(address.rsplit(":", 1)[1])
    broken = [
        b"",
        b"GET / HTT",
        b"\x16\x03\x01\x02\x00",
        b"GET /" + b"a" * 70_000,
        b"\r\n" * 50,
        b"POST / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n",
    ]
    held = []
    try:
        for i in range(60):
            client = socket.create_connection(("127.0.0.1", port), timeout=120)
            held.append(client)
            client.sendall(broken[i % len(broken)])
        with urllib.request.urlopen(f"{address}/?text=number", timeout=120) as answer:
            assert answer.status == 200
    finally:
        for client in held:
            client.close()
    with urllib.request.urlopen(f"{address}/", timeout=120) as answer:
        assert len(ids(answer.read().decode())) == 20


def test_no_more_connections_are_served_than_fit_and_a_place_that_gets_free_is_taken(address: str) -> None:
    place = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
    held = [socket.create_connection(place, timeout=120) for _ in range(MOST_CONNECTIONS)]
    try:
        with socket.create_connection(place, timeout=120) as further:
            assert further.recv(1) == b""
    finally:
        for client in held:
            client.close()
    while True:  # the server sees a closed connection when its thread reads it
        try:
            with urllib.request.urlopen(f"{address}/", timeout=120) as answer:
                assert answer.status == 200
            break
        except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
            time.sleep(0.01)
