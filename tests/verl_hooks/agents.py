"""An agent loop of verl, made as verl's own workers make it."""

from __future__ import annotations

from typing import Any


def open_agent(entry: Any, config: Any, client: Any, processor: Any) -> Any:
    """The agent loop that an entry of an agent file names, over a client in the place of verl's rollout servers."""
    import hydra
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap
    from verl.utils.dataset.rl_dataset import RLHFDataset

    return hydra.utils.instantiate(
        {name: value for name, value in entry.items() if name != "name"},
        trainer_config=DictConfigWrap(config=config),
        server_manager=client,
        tokenizer=processor.tokenizer,
        processor=processor,
        hf_model_type="qwen2_5_vl",
        dataset_cls=RLHFDataset,
        data_config=DictConfigWrap(config.data),
    )
