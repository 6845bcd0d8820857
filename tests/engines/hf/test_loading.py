"""Opening engine hf: what is known before the weights are loaded, and what a user reads when it cannot work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from rap_plugin.config import ModelConfig  # noqa: E402
from rap_plugin.engines import weights  # noqa: E402
from rap_plugin.engines.base import Engine  # noqa: E402
from rap_plugin.engines.hf.engine import open_hf  # noqa: E402
from rap_plugin.engines.hf.loading import pick_device, pick_dtype  # noqa: E402
from rap_plugin.errors import RapError  # noqa: E402


@pytest.fixture
def llava(tiny_folder, tmp_path):
    """A copy of the tiny LLaVA that a test may spoil."""
    return shutil.copytree(tiny_folder("llava"), tmp_path / "llava")


def fails(folder, **options):
    with pytest.raises(RapError) as caught:
        open_hf(ModelConfig(id=str(folder), device="cpu", **options))._model()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_opening_loads_no_weights_and_knows_the_identity(open_tiny):
    engine = open_tiny("llava", batch_size=7)
    assert isinstance(engine, Engine)
    assert engine._loaded is None
    assert engine.batch_size == 7
    assert engine.identity.revision == engine.identity.weights_hash[:12]
    assert engine.identity.parameters == sum(weight.numel() for weight in engine._model().network.parameters())


def test_one_changed_byte_of_the_weights_is_another_model(llava):
    before = weights.identify("x", llava)
    assert weights.identify("y", llava).weights_hash == before.weights_hash
    file = llava / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert weights.identify("x", llava).weights_hash != before.weights_hash


def test_a_folder_of_the_hub_cache_gives_its_commit_and_is_not_read(llava, tmp_path):
    blobs, snapshot = tmp_path / "cache/blobs", tmp_path / "cache/snapshots/0123abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    known = weights._file_hash(llava / "model.safetensors")
    shutil.move(llava / "model.safetensors", blobs / known)
    (snapshot / "model.safetensors").symlink_to(blobs / known)
    found = weights.identify("owner/name", snapshot)
    assert found.revision == "0123abc"
    shutil.copy(blobs / known, llava / "model.safetensors")
    assert found.weights_hash == weights.identify("x", llava).weights_hash


def test_split_weights_are_found_through_their_index(tiny_folder, tmp_path):
    from transformers import LlavaForConditionalGeneration

    network = LlavaForConditionalGeneration.from_pretrained(tiny_folder("llava"))
    network.save_pretrained(tmp_path, max_shard_size="200KB")
    (tmp_path / "left_over.safetensors").write_bytes(b"not part of the model")
    files = weights.weight_files(tmp_path)
    assert len(files) > 1
    assert "left_over.safetensors" not in {file.name for file in files}
    assert weights.identify("x", tmp_path).parameters == sum(weight.numel() for weight in network.parameters())


def test_a_missing_folder_is_named(tmp_path):
    assert str(tmp_path / "absent") in fails(tmp_path / "absent")


def test_a_folder_without_a_configuration_is_not_a_model(tmp_path):
    assert "no config.json" in fails(tmp_path)


def test_a_hub_id_that_cannot_be_fetched_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "not fetched from the hub" in fails("rap-nobody/absent", revision="v7")


def test_a_model_without_safetensors_is_refused_and_no_pickle_is_read(llava):
    (llava / "model.safetensors").rename(llava / "pytorch_model.bin")
    assert "no *.safetensors" in fails(llava)


def test_weights_cut_short_are_refused(llava):
    file = llava / "model.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    assert "not a safetensors file" in fails(llava)


def test_weights_that_end_too_early_are_refused_before_they_are_loaded(llava):
    file = llava / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-400])
    assert "not a safetensors file (it describes" in fails(llava)


def test_a_text_model_is_not_a_vision_language_model(tmp_path, llava):
    from transformers import LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(
        LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)
    ).save_pretrained(tmp_path / "text")
    assert "not a vision-language model" in fails(tmp_path / "text")


def test_a_model_without_a_chat_template_is_refused(llava):
    (llava / "chat_template.jinja").unlink()
    for name in ("processor_config.json", "tokenizer_config.json"):
        if (llava / name).exists():
            content = json.loads((llava / name).read_text())
            content.pop("chat_template", None)
            (llava / name).write_text(json.dumps(content))
    assert "no chat template" in fails(llava)


def test_a_model_without_an_image_processor_is_refused(llava):
    for name in ("processor_config.json", "preprocessor_config.json"):
        (llava / name).unlink(missing_ok=True)
    assert "image processor" in fails(llava) or "processor cannot be loaded" in fails(llava)


def test_an_unknown_architecture_is_named(llava):
    content = json.loads((llava / "config.json").read_text())
    (llava / "config.json").write_text(json.dumps({**content, "model_type": "llava_of_tomorrow"}))
    assert "llava_of_tomorrow" in fails(llava)


def test_code_from_the_repository_runs_only_when_asked(llava, tmp_path):
    trap = tmp_path / "ran"
    (llava / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nclass C: pass\n")
    content = json.loads((llava / "config.json").read_text())
    content |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForImageTextToText": "evil.C"}}
    (llava / "config.json").write_text(json.dumps(content))
    fails(llava)
    assert not trap.exists()


def test_unknown_engine_options_are_refused_by_name(tiny_folder):
    assert "speed" in fails(tiny_folder("llava"), options={"speed": 9})


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(RapError, match="device nonsense cannot be used"):
        pick_device("nonsense")


def test_auto_number_formats():
    assert pick_dtype("auto", torch.device("cpu")) is torch.float32
    assert pick_dtype("auto", torch.device("cuda")) is torch.bfloat16
    assert pick_dtype("auto", torch.device("mps")) is torch.bfloat16
    assert pick_dtype("float16", torch.device("cpu")) is torch.float16


def test_without_torch_the_message_says_what_to_install(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from rap_plugin.config import ModelConfig\n"
        "from rap_plugin.engines import open_hf\n"
        "from rap_plugin.errors import RapError\n"
        "try: open_hf(ModelConfig(id='x'))\n"
        "except RapError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "pip install 'rap-plugin[hf]'" in done.stdout


def test_bfloat16_weights_sample_and_measure(open_tiny, tiny_folder, picture):
    from rap_plugin.rollout import Prompt, Request, Sampling

    engine = open_hf(ModelConfig(id=str(tiny_folder("llava")), device="cpu", dtype="bfloat16"))
    assert engine._model().network.dtype is torch.bfloat16
    request = Request(Prompt("a" * 32, "image", "<image>?", (picture(30, 30),)), (0, 1))
    for response, attention in engine.generate_with_attention([request], Sampling(max_new_tokens=16))[0]:
        assert response.status == "ok"
        assert not attention.error
    engine.close()


def test_a_model_that_also_speaks_is_sampled_by_its_thinker(tiny_folder, open_tiny, picture, tmp_path):
    """Releases of Qwen-Omni hold the thinker beside a talker and a vocoder."""
    from safetensors.torch import load_file, save_file

    from rap_plugin.rollout import Prompt, Request, Sampling

    omni = shutil.copytree(tiny_folder("qwen2_5_omni_thinker"), tmp_path / "omni")
    settings = json.loads((omni / "config.json").read_text())
    whole = {"model_type": "qwen2_5_omni", "thinker_config": settings, "enable_audio_output": False}
    (omni / "config.json").write_text(json.dumps(whole))
    weights_of_thinker = load_file(omni / "model.safetensors")
    whole_weights = {f"thinker.{name}": value for name, value in weights_of_thinker.items()}
    save_file({**whole_weights, "talker.head.weight": torch.ones(2)}, omni / "model.safetensors", {"format": "pt"})
    request = [Request(Prompt("a" * 32, "image", "<image>?", (picture(60, 40),)), (0, 1))]
    engine = open_hf(ModelConfig(id=str(omni), device="cpu"))
    assert engine.attention_problem(Sampling()) == ""
    assert engine.generate(request, Sampling(max_new_tokens=12)) == open_tiny("qwen2_5_omni_thinker").generate(
        request, Sampling(max_new_tokens=12)
    )
    engine.close()
