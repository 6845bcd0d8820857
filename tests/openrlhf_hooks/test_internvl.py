"""InternVL through OpenRLHF: its rollout actor as installed, a tiny model, Hugging Face's eager attention beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
pytest.importorskip("vllm", reason="vLLM is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    from tests.engines.tiny_models import build

    folder = build("internvl", tmp_path_factory.mktemp("internvl"), size=128)
    done = subprocess.run(
        [sys.executable, "-m", "tests.openrlhf_hooks.internvl_scenario", str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_openrlhf_has_each_image_of_internvl_wrapped_twice(outcome):
    # What docs/openrlhf.md says of 0.11.2; with an OpenRLHF that mends it, that paragraph goes.
    assert outcome["added"] == 2 * 2


def test_attention_is_read_at_the_right_rows_all_the_same(outcome):
    assert outcome["reason"] == ""
    for found, wanted in zip(outcome["found"], outcome["wanted"], strict=True):
        assert found == pytest.approx(wanted, rel=1e-4)


def test_the_first_stored_responses_are_measured_too(outcome):
    assert outcome["fresh"][0]["psi_window_max_10"] is not None


def test_a_whole_batch_of_seeded_prompts_does_not_end_vllms_cpu_build(outcome):
    assert outcome["crowd"]["ok"] == 80
    assert outcome["crowd"]["errors"] == ["ValueError: a reward that raises"]


def test_little_memory_is_never_passed_and_what_finds_no_room_is_read_again(outcome):
    assert outcome["crowd"]["unmeasured"] == []
    assert 0 < outcome["crowd"]["held"]["bytes"] <= 2**19


def test_nothing_is_kept_of_a_rollout_that_failed_or_was_measured(outcome):
    assert outcome["crowd"]["held"] | {"bytes": 0} == {"bytes": 0, "rows": 0, "ended": 0}
