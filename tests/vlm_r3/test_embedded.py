"""The embedded model that looks again: it answers at once after installation, and needs its crops."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from rap_plugin.config import ModelConfig
from rap_plugin.rollout import Prompt, Sampling
from rap_plugin.vlm_r3.coordinates import frame_of
from rap_plugin.vlm_r3.driver import run_rows
from rap_plugin.vlm_r3.evidence_boxes import shown_share
from rap_plugin.vlm_r3.interventions import shower
from rap_plugin.vlm_r3.loop import LoopOptions, RegionRow
from rap_plugin.vlm_r3.scenes import EXAMPLE_PATH, MODEL_DIR, make_scenes
from rap_plugin.vlm_r3.settings import instruction

SCENES = make_scenes(60, "held_out", seed=11)


def test_the_weights_are_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in MODEL_DIR.iterdir()) < 5_000_000
    assert EXAMPLE_PATH.stat().st_size < 100_000


@pytest.fixture(scope="module")
def answered() -> dict[str, list[RegionRow]]:
    """Every scene with the model's own crops and with blank ones, greedy; half of the questions with the instruction."""
    from rap_plugin.engines.hf.engine import HFEngine

    engine = HFEngine(ModelConfig(id=str(MODEL_DIR), device="cpu"))
    frame = frame_of(engine.vision())
    found = {}
    for crops in ("own", "blank"):
        rows = [
            RegionRow.of(
                Prompt(
                    scene.id,
                    "image",
                    f"<image>{scene.question}" + (f" {instruction(frame.scale)}" if number % 2 else ""),
                    (scene.open(),),
                ),
                frame,
                LoopOptions(max_new_tokens=96),
                show=shower(crops),  # type: ignore[arg-type]
                instead="" if crops == "own" else crops,
            )
            for number, scene in enumerate(SCENES)
        ]
        run_rows(engine, rows, Sampling(temperature=0.0, max_prompt_tokens=512, max_new_tokens=512), lambda row: None)
        found[crops] = rows
    engine.close()
    return found


def right(rows: list[RegionRow]) -> float:
    return sum(row.trace().answer == scene.answer for row, scene in zip(rows, SCENES, strict=True)) / len(rows)


def test_it_answers_scenes_of_digits_it_was_not_trained_on_by_looking_where_the_frames_are(
    answered: dict[str, list[RegionRow]],
) -> None:
    rows = answered["own"]
    shares = [shown_share(scene.boxes, row.trace()) or 0.0 for scene, row in zip(SCENES, rows, strict=True)]
    assert right(rows) > 0.6
    assert sum(shares) / len(shares) > 0.7


def test_without_its_crops_it_is_lost(answered: dict[str, list[RegionRow]]) -> None:
    assert right(answered["own"]) - right(answered["blank"]) > 0.25


def test_the_command_asks_it_where_no_model_is_named(tmp_path: Path) -> None:
    from rap_plugin.cli import cli

    page = tmp_path / "looks.html"
    done = CliRunner().invoke(
        cli, ["r3", "ask", str(EXAMPLE_PATH), "Which framed digit is larger?", "--html", str(page)]
    )
    assert done.exit_code == 0, done.output
    assert "looks at" in done.output
    assert "answer: " in done.output
    assert page.is_file()
