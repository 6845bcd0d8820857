"""Every sample of one or two runs in a browser: pages made from the evidence when asked for, nothing written."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np

from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.search import find_text
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.plugins import get_plugins
from rap_plugin.report import shown_digest
from rap_plugin.report.certainty import Certainty, measure_certainty
from rap_plugin.report.examples import Example, find_examples
from rap_plugin.report.page import content_hash, environment, render_page, stylesheet
from rap_plugin.run_dir import files
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection

log = logging.getLogger(__name__)

PER_PAGE = 20
LONGEST_TEXT = 200
"""Characters of a search."""
ORDERS = {"": "by id", "row": "by row of the pool", "gain": "nearest to λc", "psi": "highest ψ first"}
UNCERTAIN = {"chance": "least certain first"}
"""An order that there is once the probabilities are known."""
GROUPS = {"chosen": "in the selection", "out": "not in the selection", "differs": "differs between the runs"}
"""What can be asked for besides a verdict."""
HERE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Viewed:
    """A run that is shown."""

    path: Path
    selection: Selection
    pool: Pool
    store: EvidenceStore

    @property
    def name(self) -> str:
        return self.path.absolute().name

    @property
    def chosen(self) -> int:
        return int(self.selection.decision.chosen.sum())

    @property
    def total(self) -> int:
        return len(self.selection.table)


@dataclass(frozen=True)
class Asked:
    """What a page is asked for."""

    verdict: str = ""
    order: str = ""
    text: str = ""
    page: int = 1

    @staticmethod
    def of(query: str) -> Asked:
        """From a URL; what makes no sense there counts as not given."""
        given = {name: values[-1] for name, values in parse_qs(query, max_num_fields=20).items()}
        page = given.get("page", "1")
        return Asked(
            given.get("verdict", "")[:60],
            given.get("order", "") if given.get("order", "") in {**ORDERS, **UNCERTAIN} else "",
            given.get("text", "").strip()[:LONGEST_TEXT],
            int(page) if page.isdecimal() and len(page) < 9 and int(page) > 0 else 1,
        )

    def link(self, page: int) -> str:
        """The address of another page of the same."""
        return "/?" + urlencode({"verdict": self.verdict, "order": self.order, "text": self.text, "page": page})


class View:
    """Pages over the runs: the first one's samples, and beside them those of the second with the same ids."""

    def __init__(self, runs: Sequence[Viewed]) -> None:
        if len(runs) not in (1, 2):
            raise RapError(f"one run or two can be looked at, not {len(runs)}")
        self.runs = runs
        self._certainties: dict[int, Certainty] = {}
        self._reports: dict[int, str] = {}
        self._style = stylesheet()
        self._template = environment().get_template("view.html.j2")
        self._other = {}
        self._differs = np.zeros(runs[0].total, dtype=bool)
        if len(runs) == 2:
            self._other = {identity: i for i, identity in enumerate(runs[1].selection.table.ids.tolist())}
            verdicts = runs[1].selection.decision.verdicts
            for i, identity in enumerate(runs[0].selection.table.ids.tolist()):
                j = self._other.get(identity)
                self._differs[i] = j is not None and verdicts[j] != runs[0].selection.decision.verdicts[i]

    def measure(self) -> None:
        """Finds how probable each sample's place in the selections is: seconds, after which the pages show it."""
        for number, run in enumerate(self.runs):
            if certainty := measure_certainty(run.store, run.selection):
                self._certainties[number] = certainty

    def report(self, number: int) -> str:
        """A run's report.html as it is, or made here where there is none or it shows another decision."""
        if number not in self._reports:
            run = self.runs[number]
            path = run.path / files.REPORT
            self._reports[number] = (
                path.read_text("utf-8", "replace")
                if path.is_file() and shown_digest(path) == run.selection.digest()
                else render_page(run.path, run.selection, run.pool, run.store)
            )
        return self._reports[number]

    @property
    def policy(self) -> str:
        """The content security policy: no script at all."""
        return (
            f"default-src 'none'; style-src 'sha256-{content_hash(self._style)}'; img-src data:; base-uri 'none'; "
            "form-action 'self'; frame-ancestors 'none'"
        )

    def page(self, asked: Asked) -> str:
        """One page of samples as HTML."""
        found = self._find(asked)
        first = (asked.page - 1) * PER_PAGE
        here = found[first : first + PER_PAGE]
        groups = [self._examples(0, here)]
        if len(self.runs) == 2:
            ids = self.runs[0].selection.table.ids
            partners = [self._other.get(ids[i]) for i in here]
            known = self._examples(1, [j for j in partners if j is not None])
            by_index = {example.index: example for example in known if example is not None}
            groups.append([by_index.get(j) if j is not None else None for j in partners])
        page: str = self._template.render(
            style=self._style,
            runs=self.runs,
            other=len(self.runs) == 2,
            both=sum(identity in self._other for identity in self.runs[0].selection.table.ids.tolist()),
            differ=int(self._differs.sum()),
            verdicts=self.runs[0].selection.decision.counts(),
            groups={name: text for name, text in GROUPS.items() if name != "differs" or len(self.runs) == 2},
            orders={**ORDERS, **(UNCERTAIN if 0 in self._certainties else {})},
            certainty=self._certainties.get(0),
            asked=asked,
            shown=list(zip(*groups, strict=True)),
            total=len(found),
            first=first + 1,
            last=first + len(here),
            before=asked.link(asked.page - 1) if asked.page > 1 else "",
            after=asked.link(asked.page + 1) if first + PER_PAGE < len(found) else "",
        )
        return page

    def _find(self, asked: Asked) -> list[int]:
        run = self.runs[0]
        table, decision, scores = run.selection.table, run.selection.decision, run.selection.scores
        keep = np.ones(run.total, dtype=bool)
        if asked.verdict == "differs":
            keep &= self._differs
        elif asked.verdict in ("chosen", "out"):
            keep &= decision.chosen == (asked.verdict == "chosen")
        elif asked.verdict:
            keep &= decision.verdicts == asked.verdict
        if asked.text:
            held = np.isin(table.sample, find_text(run.store, table.probes, asked.text))
            keep &= held | np.array([identity.startswith(asked.text) for identity in table.ids.tolist()], dtype=bool)
        keys: list[Any] = [table.ids]
        if asked.order == "row":
            keys = [table.rows]
        elif asked.order == "gain":
            keys.append(
                np.nan_to_num(np.abs(scores["discrepancy"] - decision.thresholds.get("lambda_c", 0.5)), nan=9.0)
            )
        elif asked.order == "psi":
            keys.append(np.nan_to_num(-scores["log_psi"], nan=np.inf))
        elif asked.order == "chance" and 0 in self._certainties:
            keys.append(np.nan_to_num(np.abs(self._certainties[0].chance - 0.5), nan=9.0))
        order = np.lexsort(keys)
        found: list[int] = order[keep[order]].tolist()
        return found

    def _examples(self, number: int, wanted: list[int]) -> list[Example | None]:
        run = self.runs[number]
        formats = get_plugins().registry().things["formats"]
        known = self._certainties.get(number)
        chance = None if known is None else known.chance
        return list(find_examples(run.store, run.selection, run.pool, formats, wanted, chance=chance))


MOST_CONNECTIONS = 64
"""Connections at a time: a browser opens six."""


class ViewServer(ThreadingHTTPServer):
    """Clients that hang up, or send what is no request, end alone and in silence."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each connection, as long as there are not too many; the others are closed."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.close_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, ValueError)):
            log.warning("a page could not be shown: %s", one_line(error or "unknown"))


def open_server(view: View, host: str = "127.0.0.1", port: int = 0) -> ViewServer:
    """A server of these pages that is not started yet; port 0 takes a free one. It answers GET and HEAD, to this machine.

    Raises RapError where the port cannot be had.
    """
    lock = threading.Lock()
    allowed = {*HERE, host}

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "rap", ""
        timeout = 30

        def do_GET(self) -> None:
            # A page of another site that resolves its name to this machine sends that name.
            if self.headers.get("Host", "").rsplit(":", 1)[0] not in allowed:
                return self._answer(403, "only for this machine", "text/plain")
            parts = urlsplit(self.path)
            try:
                if parts.path == "/":
                    with lock:
                        page = view.page(Asked.of(parts.query))
                    return self._answer(200, page, "text/html", view.policy)
                number = parts.path.removeprefix("/report/")
                if number in ("0", "1") and int(number) < len(view.runs):
                    with lock:
                        text = view.report(int(number))
                    return self._answer(200, text, "text/html", "frame-ancestors 'none'")
            except ConnectionError:
                raise  # the client has gone
            except (RapError, OSError, ValueError) as error:
                return self._answer(500, one_line(error, 300), "text/plain")
            return self._answer(404, "no such page", "text/plain")

        do_HEAD = do_GET

        def _answer(self, status: int, text: str, kind: str, policy: str = "default-src 'none'") -> None:
            data = text.encode("utf-8", "replace")
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Security-Policy", policy)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a terminal needs no line per page."""

    try:
        return ViewServer((host, port), Handler)
    except OSError as error:
        raise RapError(f"port {port} of {host} cannot be had ({error.strerror}); choose another --port") from None
