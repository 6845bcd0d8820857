"""How many rows the run's batch sizes can train on, and what a training of so many rows does."""

from __future__ import annotations

from types import SimpleNamespace

from rap_plugin.errors import RapError
from rap_plugin.hosts.batches import RolloutBatch
from rap_plugin.selectors.row_count import RowCounts


def rollout_batch(args: SimpleNamespace) -> RolloutBatch:
    """One rollout batch of a run, from the arguments of the PPO command."""
    copies = args.ds.ring_attn_size * args.ds.tensor_parallel_size

    def ranks(model: SimpleNamespace) -> int:
        return max(1, model.num_nodes * model.num_gpus_per_node // copies)

    readers = [args.actor]
    if args.algo.kl.init_coef > 0:
        readers.append(args.ref)
    if not args.reward.remote_url:
        readers.append(args.reward)
    return RolloutBatch(
        rows=args.rollout.batch_size,
        samples=args.rollout.n_samples_per_prompt,
        rollout_micro=args.rollout.micro_batch_size,
        train_micro=args.train.micro_batch_size,
        train_batch=args.train.batch_size,
        ranks=ranks(args.actor),
        forward_ranks=tuple(ranks(model) for model in readers),
        sharded=args.ds.zero_stage > 2,
        dynamic=args.train.dynamic_batch_enable,
    )


def fitting_rows(args: SimpleNamespace) -> RowCounts:
    """The numbers of rows that the run can train on. Raises RapError where its full batches are uneven already."""
    batch = rollout_batch(args)
    counts = batch.row_counts()
    if counts is None:
        sizes = ", ".join(map(str, batch.batches_that_fit())) or "none near it"
        raise RapError(
            f"--rollout.batch_size {batch.rows}: {batch.rows} x {batch.samples} responses are no equal share for "
            f"{' and '.join(map(str, sorted({batch.ranks, *batch.forward_ranks})))} ranks at --rollout.micro_batch_size "
            f"{batch.rollout_micro} and --train.micro_batch_size {batch.train_micro}, and the ranks would wait for each "
            f"other for ever; batch sizes that fit: {sizes}"
        )
    return counts


def planned(args: SimpleNamespace, rows: int) -> str:
    """What a training on so many rows does, in one line of numbers."""
    samples, episodes = args.rollout.n_samples_per_prompt, args.train.num_episodes
    # As `prepare_datasets` counts them for the learning rate's schedule.
    steps = rows * samples // args.train.batch_size * episodes * args.train.max_epochs
    rollouts = -(-rows // args.rollout.batch_size) * episodes
    return (
        f"{steps:,} optimizer steps in {episodes} episode{'s' if episodes > 1 else ''}: {rollouts:,} rollout batches, "
        f"{rows * samples * episodes:,} responses"
    )
