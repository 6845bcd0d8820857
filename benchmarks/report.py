"""How large the report of a run of N samples is, how long it takes to write, and how fast the page follows a threshold.

The run is the synthetic one of benchmarks/decide.py; the page is opened in a headless Chromium (playwright).

    python benchmarks/report.py --samples 1000000
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from decide import make_run

from rap_plugin.pipeline.selection import load_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.report import write_report
from rap_plugin.run_dir.about import read_run
from rap_plugin.run_dir.pool import open_pool_of

MOVE = """() => {
  const slider = document.getElementById('lambda-c'), times = [];
  for (let i = 0; i < 40; i++) {
    slider.value = -0.5 + i / 30;
    const before = performance.now();
    slider.dispatchEvent(new Event('input'));
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  return [times[20], times[39]];
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder), options.samples)
        started = time.perf_counter()
        selection, store = load_selection(run)
        with closing(store):
            loaded = time.perf_counter()
            formats = get_plugins().registry().things["formats"]
            pool = open_pool_of(run, read_run(run), store, formats)
            write_report(run, selection, pool, store)
        written = time.perf_counter()
        page = run / "report.html"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{options.samples:,} samples: {page.stat().st_size / 1e6:.2f} MB")
        print(f"evidence read {loaded - started:.1f} s, report written {written - loaded:.1f} s, {memory:.1f} GiB")
        open_page(page)


def open_page(page: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(page.as_uri())
        opened = time.perf_counter() - started
        median, slowest = tab.evaluate(MOVE)
        print(f"opened in {opened:.2f} s; a threshold moved: {median:.0f} ms median, {slowest:.0f} ms slowest of 40")
        browser.close()


if __name__ == "__main__":
    main()
