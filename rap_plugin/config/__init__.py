"""The configuration of a run: one YAML file = the command line flags."""

from rap_plugin.config.loading import (
    UNREADABLE,
    field_of,
    given_options,
    in_plain_words,
    load_config,
    option_names,
    read_yaml,
)
from rap_plugin.config.sections import (
    AceConfig,
    ExecutionConfig,
    GradingConfig,
    ModelConfig,
    PoolConfig,
    PromptConfig,
    R3Config,
    RunConfig,
    SamplingConfig,
    Section,
    SelectionConfig,
    StorageConfig,
)

__all__ = [
    "UNREADABLE",
    "AceConfig",
    "ExecutionConfig",
    "GradingConfig",
    "ModelConfig",
    "PoolConfig",
    "PromptConfig",
    "R3Config",
    "RunConfig",
    "SamplingConfig",
    "Section",
    "SelectionConfig",
    "StorageConfig",
    "field_of",
    "given_options",
    "in_plain_words",
    "load_config",
    "option_names",
    "read_yaml",
]
