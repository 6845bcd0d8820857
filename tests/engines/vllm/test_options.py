"""What engine `vllm` can be told reaches vLLM, and is documented."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from rap_plugin.config import ModelConfig
from rap_plugin.engines.vllm import options
from rap_plugin.engines.vllm.options import OPTIONS, engine_arguments, known_dtype


def test_every_option_reaches_vllm():
    given = {
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.5,
        "kv_cache_gb": 3,
        "max_num_seqs": 7,
        "max_num_batched_tokens": 999,
        "enforce_eager": True,
        "sleep": True,
        "engine_args": {"quantization": "fp8"},
    }
    # Those that vLLM itself is not told.
    ours = {"max_model_len", "attention_gb", "second_copy"}
    assert set(given) | ours == set(OPTIONS)
    arguments = engine_arguments(ModelConfig(id="m", options=given), "folder", 640, "cuda")
    expected = {
        "model": "folder",
        "max_model_len": 640,
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.5,
        "kv_cache_memory_bytes": 3 * 2**30,
        "max_num_seqs": 7,
        "max_num_batched_tokens": 999,
        "enforce_eager": True,
        "enable_sleep_mode": True,
        "quantization": "fp8",
        "dtype": "bfloat16",
    }
    assert {name: arguments[name] for name in expected} == expected
    assert arguments["compilation_config"] == {"cudagraph_mode": "PIECEWISE"}


@pytest.mark.parametrize(
    ("config", "build", "expected"),
    [
        ({}, "0.29.0+cpu", "float32"),
        ({}, "0.29.0", "bfloat16"),
        ({"dtype": "float16"}, "0.29.0", "float16"),
        ({"options": {"engine_args": {"dtype": "half"}}}, "0.29.0", "float16"),
        ({"options": {"engine_args": {"dtype": "auto"}}}, "0.29.0", ""),
    ],
)
def test_the_number_format_is_known_before_vllm_starts(monkeypatch, config, build, expected):
    monkeypatch.setattr(options, "version", lambda name: build)
    assert known_dtype(ModelConfig(id="m", **config)) == expected


def test_the_cpu_build_is_known_by_its_name_too(monkeypatch):
    def of(name):
        if name == "vllm":
            raise PackageNotFoundError(name)
        return "0.29.0"

    monkeypatch.setattr(options, "version", of)
    assert known_dtype(ModelConfig(id="m")) == "float32"


def test_configured_pixels_stand_beside_what_engine_args_say():
    config = ModelConfig(id="m", options={"engine_args": {"mm_processor_kwargs": {"do_rescale": True}}})
    arguments = engine_arguments(config, "folder", 640, "cuda", (3136, 50176))
    bounds = {"min_pixels": 3136, "max_pixels": 50176}
    assert arguments["mm_processor_kwargs"] == {"do_rescale": True, **bounds}
    assert "mm_processor_kwargs" not in engine_arguments(ModelConfig(id="m"), "folder", 640, "cuda")


def test_no_cuda_setting_is_given_to_the_cpu_build(monkeypatch):
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    arguments = engine_arguments(ModelConfig(id="m"), "folder", 640, "cpu")
    assert "gpu_memory_utilization" not in arguments
    assert "compilation_config" not in arguments
    assert (arguments["dtype"], arguments["kv_cache_memory_bytes"]) == ("float32", 2 * 2**30)


def test_every_option_is_documented():
    section = (Path(__file__).parents[3] / "docs" / "engines.md").read_text().split("\n## vllm\n")[1].split("\n## ")[0]
    assert [option for option in OPTIONS if f"| `{option}` |" not in section] == []
