"""What our data set and replay buffer need of verl, name by name, so that a change there is found before training starts."""

from __future__ import annotations

from rap_plugin.hosts.contract import Host, Requirements, refuse, unmet

VERL = Host(
    name="verl",
    distribution="verl",
    tested=("0.9.1",),
    ours="rap_plugin.verl_hooks",
    instead="train on what `rap export RUN --to verl` writes, without data.custom_cls",
)

_DATASET = "verl.utils.dataset.rl_dataset:RLHFDataset"
_TRAINER = "verl.trainer.ppo.v1.trainer_base:PPOTrainer"
_BUFFER = "verl.trainer.ppo.v1.replay_buffer:ReplayBuffer"

DATASET: Requirements = {
    f"{_DATASET}.__init__": (
        ("data_files", "tokenizer", "config", "processor", "max_samples"),
        ("_read_files_and_tokenize", "filter_overlong_prompts", "shuffle", "seed"),
    ),
    f"{_DATASET}._read_files_and_tokenize": ((), ("max_samples", "dataframe", "maybe_filter_out_long_prompts")),
    f"{_DATASET}.maybe_filter_out_long_prompts": (("dataframe",), ("filter_overlong_prompts",)),
}
"""What `RapDataset` overrides and relies on."""

TRAINER: Requirements = {
    f"{_TRAINER}._build_replay_buffer": ((), ("custom_sampler", "_add_prompts_to_generate")),
    f"{_TRAINER}._init_dataloader": ((), ("train_dataset", "create_rl_dataset", "create_rl_sampler")),
    f"{_BUFFER}.sample": (("global_steps", "partition_id", "batch_size"), ("_evict_terminal_groups",)),
    f"{_BUFFER}._evict_terminal_groups": (("global_steps", "partition_id", "eviction_reasons"), ("_clear_groups",)),
    "transfer_queue:kv_batch_get": (("keys", "partition_id", "select_fields"), ()),
}
"""What `RapReplayBuffer` wraps and reads."""


def require(requirements: Requirements) -> None:
    """Raises RapError, one line, that names the first thing that verl no longer has, and the way around it."""
    refuse(VERL, unmet(requirements))
