"""The batch arithmetic against OpenRLHF's own splitters, and its own gradient accumulation on two ranks."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

import torch
import torch.multiprocessing as multiprocessing

from rap_plugin.hosts.batches import RolloutBatch

PATIENCE = 5
"""Seconds after which gloo gives up a rank that waits for another one; an hour in OpenRLHF."""


class _Actor:
    """Keeps what a rank is sent, as a `PolicyModelActor` would."""

    def __init__(self):
        self.got = []
        self.execute_batch = SimpleNamespace(remote=self._receive)

    def _receive(self, method, data, start, end):
        self.got += data["experience"][start:end]


@pytest.fixture
def shared_by_openrlhf(monkeypatch):
    """`shared(batch, rows)`: responses of each rank, dealt out by OpenRLHF's functions; no Ray, no tensors."""
    from openrlhf.trainer.ppo_utils import experience_maker
    from openrlhf.trainer.ray import launcher

    monkeypatch.setattr(launcher.ray, "put", lambda value: value)
    monkeypatch.setattr(experience_maker.Experience, "concat_experiences", lambda samples, pad: samples)

    def shared(batch, rows):
        args = SimpleNamespace(
            train=SimpleNamespace(dynamic_batch_enable=False),
            rollout=SimpleNamespace(micro_batch_size=batch.rollout_micro),
        )
        maker = SimpleNamespace(args=args, tokenizer=SimpleNamespace(pad_token_id=0))
        responses = [SimpleNamespace() for _ in range(rows * batch.samples)]
        experiences = experience_maker.RemoteExperienceMaker.split_rollout_samples(maker, responses)
        group = SimpleNamespace(_actor_handlers=[_Actor() for _ in range(batch.ranks)], duplicate_actors=1)
        launcher.RayActorGroup.async_run_method_batch(group, "append", experience=experiences)
        return [[response for experience in actor.got for response in experience] for actor in group._actor_handlers]

    return shared


def test_the_micro_batches_of_every_rank_are_those_of_openrlhfs_own_splitters(shared_by_openrlhf):
    draws = random.Random(1)
    even = 0
    for _ in range(3000):
        batch = RolloutBatch(
            rows=64,
            samples=draws.randint(1, 8),
            rollout_micro=draws.randint(1, 8),
            train_micro=draws.randint(1, 6),
            train_batch=8,
            ranks=draws.randint(1, 9),
        )
        rows = draws.randint(1, 80)
        if -(-rows * batch.samples // batch.rollout_micro) < batch.ranks:
            with pytest.raises(ValueError, match="Insufficient batch size"):
                shared_by_openrlhf(batch, rows)
            assert not batch.fits(rows)
            continue
        # As in `ppo_train`: DataLoader(replay_buffer, batch_size=micro_train_batch_size, drop_last=True).
        loaders = [
            torch.utils.data.DataLoader(range(len(items)), batch_size=batch.train_micro, drop_last=True)
            if items
            else ()
            for items in shared_by_openrlhf(batch, rows)
        ]
        theirs = [len(loader) for loader in loaders]
        assert batch.micro_batches(rows) == theirs, (batch, rows)
        assert batch.fits(rows) == (len(set(theirs)) == 1 and theirs[0] > 0)
        even += batch.fits(rows)
    assert 300 < even < 2700


def train_as_openrlhf_does(rank, cases, folder):
    """One of two ranks: `ppo_train`'s loop without its model, once per case of (micro-batches of rank 0, of rank 1).

    The host's gradient accumulation and its all-reduce run as they are; only the device is the processor. Writes
    "ended" or "stopped" per case; a rank that ended waits for the other one, as it would for the next weights.
    """
    from datetime import timedelta

    import torch.distributed as dist
    from openrlhf.utils.deepspeed.deepspeed import DeepspeedStrategy
    from openrlhf.utils.loss_utils import iter_grad_accum_global_norm

    torch.cuda.current_device = lambda: "cpu"
    strategy = DeepspeedStrategy.__new__(DeepspeedStrategy)
    strategy.world_size = 2
    for number, case in enumerate(cases):
        store = dist.FileStore(str(folder / f"store{number}"), 2)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=PATIENCE))
        try:
            masks = [torch.ones(2, 3) for _ in range(case[rank])]
            for _, info in iter_grad_accum_global_norm(masks, strategy, 4, lambda mask: mask):
                strategy.all_reduce({"policy_loss": 1.0})
                assert info["dp_size"] == 2
            outcome = "ended"
        except RuntimeError:
            outcome = "stopped"
        (folder / f"{number}.{rank}").write_text(outcome)
        dist.distributed_c10d._get_default_store().set(f"out{rank}", "x")
        dist.distributed_c10d._get_default_store().wait([f"out{1 - rank}"], timedelta(seconds=60))
        dist.destroy_process_group()


@pytest.mark.long
def test_two_ranks_of_openrlhfs_gradient_accumulation_end_on_a_size_that_fits_and_stop_on_one_that_does_not(tmp_path):
    batch = RolloutBatch(rows=64, samples=5, rollout_micro=4, train_micro=4, train_batch=32, ranks=2)
    fits = batch.row_counts().above(10)
    cases = [tuple(batch.micro_batches(fits)), tuple(batch.micro_batches(10))]
    assert cases == [(10, 10), (7, 5)]
    multiprocessing.spawn(train_as_openrlhf_does, (cases, tmp_path), nprocs=2)
    outcomes = [[(tmp_path / f"{case}.{rank}").read_text() for rank in (0, 1)] for case in (0, 1)]
    assert outcomes == [["ended", "ended"], ["stopped", "ended"]]
