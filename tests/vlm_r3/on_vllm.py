"""Runs the looker's rows on engine `vllm`: `python -m tests.vlm_r3.on_vllm MODEL OUT.json`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from rap_plugin.config import ModelConfig
from rap_plugin.engines.vllm.engine import open_vllm
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3.coordinates import frame_of
from rap_plugin.vlm_r3.driver import run_rows
from rap_plugin.vlm_r3.loop import RegionRow
from tests.vlm_r3 import looker


def main(model: str, out: str) -> None:
    engine = open_vllm(ModelConfig(id=model, engine="vllm", batch_size=7, options={"kv_cache_gb": 0.3}))
    frame, options = frame_of(engine.vision()), looker.loop_options()
    rows = [RegionRow.of(looker.prompt(number), frame, options, seed=number) for number in range(16)]
    long = Prompt("overlong", "image", "<image>" + "y" * 400, (looker.picture(0),))
    rows.append(RegionRow.of(long, frame, options))
    cut = replace(looker.prompt(2), sample_id="cut")
    rows.append(RegionRow.of(cut, frame, replace(options, max_new_tokens=20)))
    done: dict[str, str] = {}

    def keep(row: RegionRow) -> None:
        done[row.key] = row.trace().to_json()

    heard: list[str] = []
    rows[2].turn.heard = heard.append
    run_rows(engine, rows, looker.sampling(), keep)
    done["heard"] = json.dumps(heard)
    tight = RegionRow.of(replace(looker.prompt(2), sample_id="tight"), frame, options)
    run_rows(engine, [tight], looker.sampling(max_prompt_tokens=80, max_new_tokens=20), keep)
    engine.close()
    Path(out).write_text(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
