"""What only a GPU reaches in engine hf: its device and format, memory that runs out for real, a GPU that stops."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

torch = pytest.importorskip("torch")

from gpu_check.steps import shrink  # noqa: E402

from rap_plugin.cli.doctor import _device  # noqa: E402
from rap_plugin.config import ModelConfig  # noqa: E402
from rap_plugin.engines import ace  # noqa: E402
from rap_plugin.engines.hf.engine import BATCH_SIZE, open_hf  # noqa: E402
from rap_plugin.errors import RapError  # noqa: E402
from rap_plugin.rollout import Prompt, Request, Sampling  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def test_a_gpu_is_taken_where_nothing_is_said_and_in_bfloat16(tiny_folder, monkeypatch):
    monkeypatch.setattr("rap_plugin.engines.hf.engine.SMALL_MODEL", 0)
    engine = open_hf(ModelConfig(id=str(tiny_folder("qwen2_5_vl"))))
    [[response]] = engine.generate([Request(Prompt("a" * 32, "blind", "How many?"), (0,))], Sampling(max_new_tokens=4))
    network = engine._model().network
    assert response.status == "ok"
    assert network.device.type == "cuda"
    assert network.dtype == torch.bfloat16
    assert engine.identity.dtype == "bfloat16"
    assert engine.batch_size == BATCH_SIZE["cuda"]
    engine.close()


def test_doctor_names_the_card():
    assert _device() == f"cuda ({torch.cuda.get_device_name(0)})"


def test_the_gpus_larger_blocks_give_what_the_cpus_give():
    draws = torch.Generator().manual_seed(0)
    query, key = (torch.randn((3, heads, 700, 32), generator=draws) for heads in (8, 2))
    here = ace.measure(query[:, :, 300:], key, 0.2)
    there = ace.measure(query[:, :, 300:].cuda(), key.cuda(), 0.2)
    for one, other in zip(here, there, strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-4)


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost():
    found = {}
    shrink(found.update, small=False)
    assert found["widest_without"] < found["widest_with_room"] == found["asked"] == found["finished"]


def test_weights_that_do_not_fit_are_one_line(tiny_folder):
    engine = open_hf(ModelConfig(id=str(tiny_folder("llava")), device="cuda"))
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0)
    try:
        with pytest.raises(RapError, match="of weights do not fit on cuda"):
            engine.generate([Request(Prompt("a" * 32, "blind", "How many?"), (0,))], Sampling(max_new_tokens=4))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        engine.close()


STOPS = """
    import sys, torch
    from rap_plugin.config import ModelConfig
    from rap_plugin.engines.hf.engine import open_hf
    from rap_plugin.errors import RapError
    from rap_plugin.rollout import Prompt, Request, Sampling

    engine = open_hf(ModelConfig(id=sys.argv[1], device="cuda"))
    request = Request(Prompt("a" * 32, "blind", "How many?"), (0, 1, 2, 3))
    engine.generate([request], Sampling(max_new_tokens=4))

    def stop(*_):
        torch.nn.functional.embedding(torch.tensor([9], device="cuda"), torch.zeros((2, 2), device="cuda"))
        torch.cuda.synchronize()

    engine._model().network.register_forward_pre_hook(stop)
    try:
        engine.generate([request], Sampling(max_new_tokens=4))
    except RapError as error:
        print("said:", error)
"""


def test_a_gpu_that_stopped_is_said_at_once_and_not_tried_response_by_response(tiny_folder):
    command = [sys.executable, "-c", textwrap.dedent(STOPS), str(tiny_folder("llava"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "said: the GPU stopped working" in done.stdout, done.stderr[-2000:]
