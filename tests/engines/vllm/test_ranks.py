"""Tensor-parallel ranks as real processes over gloo: what fails on one is an error on all, and none waits."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]

RANK = """
    import json, os, sys, time
    from pathlib import Path
    import torch, torch.distributed as dist
    from rap_plugin.engines import ace
    from rap_plugin.engines.vllm import reduction
    from rap_plugin.engines.vllm.ranks import Ranks
    from rap_plugin.engines.vllm.row_pool import RowPool
    from rap_plugin.engines.vllm.tracked import PlannedRows, TrackedRequest, TrackedRequests

    rank, size, address, fails = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    dist.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=size)
    torch.manual_seed(0)
    heads, head_size, first = 4 // size, 8, 5
    mine = slice(rank * heads, (rank + 1) * heads)
    requests = TrackedRequests(RowPool(heads * head_size, torch.float32, "cpu", 2**20), heads, head_size)
    for name, rows in (("short", 12), ("long", 40), ("last", 41), ("lost", 42)):
        tracked = TrackedRequest(name, first, [], computed=first + rows)
        query, key = torch.randn(rows, 4, head_size), torch.randn(first + rows, 4, head_size)
        requests.running[name] = tracked
        requests.write(requests.reserve([PlannedRows(tracked, first, first + rows)]), query[:, mine])
        requests.end(name, lambda tracked, count: key[:count, mine])
    reduction.BATCH_BYTES = 1  # a batch each
    ace.SCRATCH_BYTES["cpu"] = 4 * heads * 45 * 16  # several chunks each
    compute, failed = ace.head_rows, False

    def failing(*args, **options):
        global failed
        # The second chunk of the second response, on one rank; the others wait for that chunk.
        if fails == "yes" and rank == 1 and args[1].shape[2] > first + 16 and not failed:
            failed = True
            raise RuntimeError("out of memory")
        return compute(*args, **options)

    ace.head_rows = failing
    if fails == "yes" and rank == 0:
        requests.lose(requests.ended["lost"], "gone")
    wanted = [("short", 12), ("long", 40), ("last", 41), ("lost", 42)]
    shape = reduction.AttentionShape(heads, heads, head_size, 0.3, None)
    ranks = Ranks(size, dist.group.WORLD, dist.group.WORLD)
    print(json.dumps(reduction.measure_all(requests, wanted, shape, ranks)), flush=True)
    # A rank that goes first takes the connection away from under the other's threads, and taking gloo down
    # sometimes aborts ("terminate called without an active exception"): both leave at once, when both have answered.
    Path(f"{address}.{rank}").touch()
    while not all(Path(f"{address}.{other}").exists() for other in range(size)):
        time.sleep(0.02)
    os._exit(0)
"""


def measured(size: int, fails: str, folder: Path) -> list[list]:
    """What every rank answers; a rank that waits for another for ever fails the test."""
    command = [sys.executable, "-c", textwrap.dedent(RANK)]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(size), str(folder / f"{size}-{fails}"), fails],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        answers = [rank.communicate(timeout=240) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * size, answers
    return [json.loads(out.splitlines()[-1]) for out, _ in answers]


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory) -> list:
    return measured(1, "no", tmp_path_factory.mktemp("one"))[0]


def test_two_ranks_with_half_the_heads_each_measure_what_one_measures(one_rank, tmp_path):
    for answer in measured(2, "no", tmp_path):
        for found, expected in zip(answer, one_rank, strict=True):
            assert found == pytest.approx(expected, rel=1e-5)


def test_a_rank_that_fails_is_an_error_on_both_and_the_next_response_is_measured(one_rank, tmp_path):
    first, second = measured(2, "yes", tmp_path)
    assert "another rank failed" in first[1]
    assert "out of memory" in second[1]
    # What one rank has lost is measured by none.
    assert (first[3], second[3]) == ("gone", "another rank did not see it")
    for answer in (first, second):
        assert answer[0] == pytest.approx(one_rank[0], rel=1e-5)
        assert answer[2] == pytest.approx(one_rank[2], rel=1e-5)
