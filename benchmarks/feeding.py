"""How busy engines are: windows that drain, as up to version 0.3, against feeding without a pause.

    python benchmarks/feeding.py                              # 8 and 64 simulated engines
    python benchmarks/feeding.py --engines 8 --samples 10000
    python benchmarks/feeding.py --vllm                       # one real vLLM on the demo pool

The simulation runs the package's own feeder (`executors/feed.py`) in simulated time, so it needs no engine. An engine
decodes a number of responses at a time, one token each per step, whatever their number, as decoding on a GPU does
nearly; what it cannot take yet waits in its queue. Lengths are lognormal, cut at the most tokens. Prefill, images and the
network cost nothing here. Utilisation is the share of places x steps in which a token was decoded, from the first prompt to
the last response, so the end of the run, where nothing is left to hand out, counts in full.

Windows: 512 samples, one arm after the other, in batches of 512 responses per engine, each waited for.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import time
from collections import deque
from collections.abc import Iterable, Iterator

from rap_plugin import RunConfig, load_config
from rap_plugin.engines.base import Engine
from rap_plugin.executors.batches import Batch, BatchItem
from rap_plugin.executors.feed import feed, tokens_in_flight
from rap_plugin.rollout import ARMS, ModelIdentity, Prompt, Request, Response, Sampling

WINDOW, PER_ENGINE, PROMPTS_AT_A_TIME = 512, 512, 128
"""Of the windows: samples, responses of a batch per engine, prompts handed to an engine at a time."""

Entry = tuple[Batch, tuple[Request, None]]


class SimulatedEngine:
    """`lanes` engines with `places` each, in simulated time; see `engines.base.Streams`."""

    name, identity, measures_attention, batch_size = "simulated", ModelIdentity("simulated", "1"), False, PER_ENGINE

    def __init__(self, lanes: int, places: int, lengths: dict[str, list[int]]) -> None:
        self.lanes, self.lengths = lanes, lengths
        self.now = 0
        self.decoded = 0
        self.free = [places] * lanes
        self.queued: list[deque[tuple[int, int]]] = [deque() for _ in range(lanes)]
        self.ends: list[tuple[int, int, int]] = []
        """(step, lane, ticket) of every response that is decoded, as a heap."""
        self.open: dict[int, tuple[Request, int]] = {}
        self.tickets = itertools.count()

    def begin(self, sampling: Sampling) -> None:
        pass

    def prepare(self, request: Request) -> None:
        return None

    def submit(self, lane: int, request: Request, prepared: None, sampling: Sampling, *, measure: bool) -> int:
        ticket = next(self.tickets)
        self.open[ticket] = (request, len(request.rollouts))
        for rollout in request.rollouts:
            self.queued[lane].append((ticket, self.lengths[request.prompt.arm + request.prompt.sample_id][rollout]))
        self._start(lane)
        return ticket

    def completed(self) -> list[tuple[int, list[tuple[Response, None]]]]:
        while self.ends:
            self.now, lane, ticket = heapq.heappop(self.ends)
            self.free[lane] += 1
            self._start(lane)
            request, left = self.open.pop(ticket)
            if left == 1:
                return [(ticket, [(Response(rollout), None) for rollout in request.rollouts])]
            self.open[ticket] = (request, left - 1)
        return []

    def abandon(self) -> None:
        self.ends.clear()

    def _start(self, lane: int) -> None:
        while self.free[lane] and self.queued[lane]:
            ticket, length = self.queued[lane].popleft()
            self.free[lane] -= 1
            self.decoded += length
            heapq.heappush(self.ends, (self.now + length, lane, ticket))

    def utilisation(self, places: int) -> float:
        return self.decoded / (self.now * self.lanes * places)

    # Never called: what takes batches and measures.
    generate = attention = close = None


class ListSource:
    """Prompts that are all there."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = deque(entries)

    def wait(self) -> Batch | None:
        return self.entries[0][0] if self.entries else None

    peek = wait

    def take(self) -> Entry:
        return self.entries.popleft()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, nargs="*", default=[8, 64])
    parser.add_argument("--samples", type=int, default=54_931, help="of the pool; default: as many as MM-Eureka has")
    parser.add_argument("--rollouts", type=int, default=5)
    parser.add_argument("--places", type=int, default=128, help="responses that an engine decodes at a time")
    parser.add_argument("--median", type=int, default=350, help="tokens of the median response")
    parser.add_argument("--sigma", type=float, default=0.8, help="of the lengths' logarithms")
    parser.add_argument("--prompt", type=int, default=500, help="tokens of a prompt")
    parser.add_argument(
        "--vllm", action="store_true", help="one real vLLM on problems of the demo pool, and no simulation"
    )
    options = parser.parse_args()
    if options.vllm:
        compare_vllm()
        return
    config = load_config(flags={"sampling.rollouts": options.rollouts})
    print(f"{options.samples:,} samples, 2 x {options.rollouts} responses, {options.places} places per engine")
    print(f"{'engines':>8} {'windows':>9} {'fed':>9} {'time, windows : fed':>20} {'in flight':>10}")
    for lanes in options.engines:
        entries, lengths = make_work(options, config)
        windows = SimulatedEngine(lanes, options.places, lengths)
        for batch in in_windows(entries, PER_ENGINE * lanes // options.rollouts):
            one_each = [(prompt_of(entry, tokens=1), entry[1]) for entry in batch]
            run(windows, one_each, config, PROMPTS_AT_A_TIME)
        fed, bound = SimulatedEngine(lanes, options.places, lengths), tokens_in_flight(config, PER_ENGINE)
        run(fed, entries, config, bound)
        assert fed.decoded == windows.decoded
        print(
            f"{lanes:>8} {windows.utilisation(options.places):>9.1%} {fed.utilisation(options.places):>9.1%} "
            f"{windows.now / fed.now:>18.2f}x {bound:>10,}"
        )


def run(engine: Engine, entries: Iterable[Entry], config: RunConfig, bound: int) -> None:
    for _ in feed(engine, ListSource(entries), config, bound):  # type: ignore[arg-type]
        pass


def make_work(options: argparse.Namespace, config: RunConfig) -> tuple[list[Entry], dict[str, list[int]]]:
    """Every prompt of both arms in the order of the plan, window by window, and the lengths of its responses."""
    chance = random.Random(1)
    most = config.sampling.max_new_tokens
    entries: list[Entry] = []
    lengths: dict[str, list[int]] = {}
    rollouts = tuple(range(options.rollouts))
    scale = chance.lognormvariate
    for start in range(0, options.samples, 64):
        for arm in reversed(ARMS):
            for number in range(start, min(start + 64, options.samples)):
                name = f"{number:032x}"
                mean = options.median
                drawn = [max(1, min(most, round(mean * scale(0, options.sigma)))) for _ in rollouts]
                lengths[arm + name] = drawn
                tokens = options.rollouts * (options.prompt + most)
                batch = Batch(arm, (BatchItem(number, number, name, rollouts, tokens=tokens),), (start,))
                entries.append((batch, (Request(Prompt(name, arm, ""), rollouts), None)))
    return entries, lengths


def prompt_of(entry: Entry, tokens: int) -> Batch:
    item = entry[0].items[0]
    return Batch(entry[0].arm, (BatchItem(item.sample, item.row, item.id, item.rollouts, tokens=tokens),), ())


def in_windows(entries: list[Entry], size: int) -> Iterator[list[Entry]]:
    """The batches that were waited for one after the other."""
    by_window: dict[tuple[int, str], list[Entry]] = {}
    for entry in entries:
        by_window.setdefault((entry[0].items[0].row // WINDOW, entry[0].arm), []).append(entry)
    for window in by_window.values():
        for start in range(0, len(window), size):
            yield window[start : start + size]


def compare_vllm() -> None:
    """Prints tokens per second of one vLLM over the demo pool: in batches of 32 responses, and with as many in flight."""
    import os

    os.environ.setdefault("VLLM_CPU_CI_ENV", "1")
    from rap_plugin.demo import MODEL_DIR, POOL_PATH
    from rap_plugin.engines import open_vllm
    from rap_plugin.executors.batches import SampleReader, make_sampling
    from rap_plugin.executors.local import LocalExecutor
    from rap_plugin.plugins import get_plugins
    from rap_plugin.samples.ingest import load_samples
    from rap_plugin.samples.opening import open_pool

    problems, rollouts, responses = 64, 4, 32
    config = load_config(
        flags={
            "pool.path": str(POOL_PATH),
            "model.id": str(MODEL_DIR),
            "model.engine": "vllm",
            "model.options": {"max_num_seqs": 16, "max_model_len": 512},
            "prompt.instruction": "",
            "sampling.rollouts": rollouts,
            "sampling.max_prompt_tokens": 256,
            "sampling.max_new_tokens": 96,
            "sampling.temperature": 1.5,
            "ace.enabled": False,
        }
    )
    pool, formats = open_pool(config.pool), get_plugins().registry().things["formats"]
    samples = load_samples(pool, config.pool, range(problems), formats)
    engine = open_vllm(config.model)
    executor = LocalExecutor(engine, SampleReader(pool, config.pool, formats), config)
    executor.start()
    most = rollouts * (config.sampling.max_prompt_tokens + config.sampling.max_new_tokens)
    items = [
        BatchItem(n, sample.row, sample.id, tuple(range(rollouts)), tokens=most) for n, sample in enumerate(samples)
    ]
    batches = [Batch("blind", (item,), tuple(range(problems))) for item in items]
    together = responses // rollouts
    print(
        f"{problems} problems x {rollouts} responses, vLLM with 16 places, {responses} responses in a window or in flight"
    )
    seeds = make_sampling(config).seed
    for name in ("warm-up", "windows", "fed"):
        # A seed of its own for the warm-up alone: the other two draw the same responses.
        config.sampling.seed = seeds + (name == "warm-up")
        config.execution.tokens_in_flight = responses * most // rollouts
        groups = [batches] if name == "fed" else [batches[at : at + together] for at in range(0, problems, together)]
        started, drawn = time.perf_counter(), []
        for group in groups:
            drawn += [r for done in executor.run(group) for row in done.responses for r in row]
        seconds, tokens = time.perf_counter() - started, sum(len(response.token_ids) for response in drawn)
        if name != "warm-up":
            print(f"{name:>8}: {tokens:,} tokens in {seconds:.1f} s, {tokens / seconds:,.0f} a second", flush=True)
    engine.close()


if __name__ == "__main__":
    main()
