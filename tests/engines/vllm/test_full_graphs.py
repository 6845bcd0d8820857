"""While attention is captured vLLM chooses no full CUDA graph, and afterwards the ones it chose before."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

CHOICES = """
    from types import SimpleNamespace as Names
    from vllm.config import CompilationConfig, CUDAGraphMode
    from vllm.v1.cudagraph_dispatcher import CudagraphDispatcher
    from vllm.v1.worker.gpu.cudagraph_utils import CudaGraphManager
    from rap_plugin.engines.vllm.full_graphs import CannotPutAside, put_aside_full_graphs

    def config(mode):
        compilation = CompilationConfig(
            mode=3, cudagraph_mode=mode, cudagraph_capture_sizes=[1, 2, 4, 8], max_cudagraph_capture_size=8
        )
        compilation.splitting_ops = ["vllm::unified_attention_with_output"]
        return Names(
            compilation_config=compilation,
            num_speculative_tokens=0,
            lora_config=None,
            speculative_config=None,
            scheduler_config=Names(max_num_seqs=8),
        )

    def first_runner(mode):
        settings = config(mode)
        settings.compilation_config.is_attention_compiled_piecewise = lambda: True
        dispatcher = CudagraphDispatcher(settings)
        dispatcher.initialize_cudagraph_keys(settings.compilation_config.cudagraph_mode)
        worker = Names(vllm_config=settings, model_runner=Names(cudagraph_dispatcher=dispatcher))
        return worker, lambda: dispatcher.dispatch(3, uniform_decode=True)[0].name

    def second_runner(mode):
        settings = config(mode)
        manager = CudaGraphManager.__new__(CudaGraphManager)  # its own __init__ asks for a GPU
        manager.__dict__ |= dict(
            vllm_config=settings,
            compilation_config=settings.compilation_config,
            cudagraph_mode=settings.compilation_config.cudagraph_mode,
            max_num_reqs=8,
            decode_query_len=1,
            varlen_decode=False,
            lora_capture_cases=[0],
            _lora_dispatch_map={},
            _max_lora_case=0,
            _candidates={},
            _capture_descs={},
            _graphs_captured=True,
        )
        manager._init_candidates()
        worker = Names(vllm_config=settings, model_runner=Names(cudagraph_manager=manager))
        return worker, lambda: manager.dispatch(3, 3, 1, 0).cg_mode.name

    for runner in (first_runner, second_runner):
        for mode, between in (("FULL_AND_PIECEWISE", "PIECEWISE"), ("FULL_DECODE_ONLY", "NONE"), ("FULL", "NONE")):
            worker, choice = runner(mode)
            assert choice() == "FULL", (runner, mode, choice())
            restore = put_aside_full_graphs(worker)
            assert choice() == between, (runner, mode, choice())
            restore()
            assert choice() == "FULL"
        worker, choice = runner("PIECEWISE")
        put_aside_full_graphs(worker)()
        assert choice() == "PIECEWISE"
    # A vLLM in which nothing is where it was: a reason and no exception, which would look like a broken engine.
    from rap_plugin.engines.vllm.capture import CaptureExtension

    class Worker(CaptureExtension):
        vllm_config = Names()

    print("moved:", Worker().rap_attention_start()["reason"])
    Worker().rap_attention_stop()
    worker, _ = first_runner("FULL_AND_PIECEWISE")
    worker.model_runner = Names()
    try:
        put_aside_full_graphs(worker)
    except CannotPutAside as error:
        print("cannot:", error)
"""


@pytest.fixture(scope="module")
def said():
    """What the script above prints, its assertions held."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    code = textwrap.dedent(CHOICES)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_full_graphs_are_put_aside_and_come_back_in_both_model_runners_of_vllm(said):
    assert "cannot: " in said


def test_names_of_vllm_that_moved_are_a_reason_and_no_broken_engine(said):
    assert "moved: this vLLM is not as expected" in said
