"""A tiny Qwen2.5-VL, chat pools of real images, and one small Ray for the tests that need actors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

TEMPLATE = """{% for m in messages %}<|im_start|>{{ m['role'] }}
{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}\
<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""Texts and lists of parts, as the templates of Qwen2.5-VL and InternVL3 take them."""


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a random Qwen2.5-VL of half a million parameters, with processor."""
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
    from tests.engines import tiny_models

    folder = tmp_path_factory.mktemp("model")
    # Heads of 32 numbers: the smallest that vLLM's CPU attention takes.
    tiny_models.build("qwen2_5_vl", folder, size=128)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="session")
def processor(tiny_model):
    """The model's processor as OpenRLHF loads it."""
    from openrlhf.utils.utils import get_tokenizer

    return get_tokenizer(str(tiny_model), None, "left", None)


@pytest.fixture
def write_chat_pool(tmp_path):
    """`write_chat_pool(n)`: a JSON-lines file of n chat rows with real PNG files, in the form that OpenRLHF reads."""
    from PIL import Image, ImageDraw

    def write(n=12, name="train.jsonl", start=0, **columns):
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        lines = []
        for number in range(start, start + n):
            picture = Image.new("RGB", (56, 56), (number * 53 % 256, number * 97 % 256, 90))
            ImageDraw.Draw(picture).text((8, 20), str(number), fill="white")
            path = folder / f"{number}.png"
            picture.save(path)
            row = {
                "prompt": [{"role": "user", "content": f"<image>What is number {number}?"}],
                "label": str(number),
                "images": [str(path)],
                "source_row": number,
            }
            lines.append(json.dumps({**row, **columns}) + "\n")
        file = tmp_path / name
        file.write_text("".join(lines))
        return file

    return write


@pytest.fixture(scope="session")
def ray_here():
    """A Ray of this process alone."""
    ray = pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="rap-ray-")  # short: Ray puts sockets below it
    root = str(Path(__file__).resolve().parents[2])
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=folder,
        runtime_env={"env_vars": {"PYTHONPATH": root}},
    )
    yield ray
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stand_ins(ray_here):
    """`stand_ins([options, ..])`: that many actors that answer by rule, taken from those that are up already."""
    from .stand_in import StandIn

    idle = []

    def get(wanted):
        while len(idle) < len(wanted):
            idle.append(ray_here.remote(StandIn).options(num_cpus=0).remote())
        for at, options in enumerate(wanted):
            try:
                ray_here.get(idle[at].configure.remote(**options))
            except ray_here.exceptions.RayActorError:  # one that an earlier test let die
                idle[at] = ray_here.remote(StandIn).options(num_cpus=0).remote()
                ray_here.get(idle[at].configure.remote(**options))
        return idle[: len(wanted)]

    return get
