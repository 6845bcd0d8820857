"""Engine vllm on a GPU: compiled, with CUDA graphs, attention is read in the pass that samples, and the engine can sleep."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from .models import build_for_vllm  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

CODE = """
    import json, sys
    from rap_plugin.config import ModelConfig
    from rap_plugin.engines.hf.engine import open_hf
    from rap_plugin.engines.vllm.engine import open_vllm
    from tests.engines.vllm.scenario import SAMPLING, requests

    if __name__ == "__main__":
        options = {"gpu_memory_utilization": 0.3, "max_num_seqs": 16, "sleep": True, "engine_args": json.loads(sys.argv[2])}
        engine = open_vllm(ModelConfig(id=sys.argv[1], engine="vllm", options=options))
        rows = engine.generate_with_attention(requests(), SAMPLING)
        missed = dict(engine._running.missed)
        engine.sleep()
        again = engine.generate(requests(), SAMPLING)
        engine.close()
        other = open_hf(ModelConfig(id=sys.argv[1], device="cuda", dtype="bfloat16"))
        given = [(one.prompt, [r.token_ids for r, _ in row]) for one, row in zip(requests(), rows)]
        far = 0.0
        for row, alone in zip(rows, other.attention(given, SAMPLING)):
            for (_, seen), wanted in zip(row, alone):
                assert not seen.error, seen.error
                for name, value in seen.statistics.items():
                    if value is not None:
                        far = max(far, abs(value - wanted.statistics[name]) / max(1.0, abs(value)))
        same = [[r.token_ids for r, _ in row] for row in rows] == [[r.token_ids for r in row] for row in again]
        print("FOUND " + json.dumps({"missed": missed, "far": far, "same": same}))
"""


@pytest.mark.parametrize("mode", ["", "FULL_AND_PIECEWISE"])
def test_no_response_is_read_twice_whatever_cuda_graphs_vllm_uses(mode, tmp_path):
    folder = build_for_vllm("qwen2_5_vl", tmp_path / "model")
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(CODE))
    arguments = {"compilation_config": {"cudagraph_mode": mode}} if mode else {}
    command = [sys.executable, str(script), str(folder), json.dumps(arguments)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=500)
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), "")
    assert line, done.stderr[-3000:]
    found = json.loads(line.removeprefix("FOUND "))
    assert found["missed"] == {}
    assert found["far"] < 0.2
    assert found["same"], "an engine that slept draws the same"
