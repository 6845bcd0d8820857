"""The contrastive loss in verl's own FSDP engine: its micro-batches, model inputs, outputs and policy loss, on a CPU in float64.

Only what asks for a GPU is replaced: the device's name, and FSDP's wrapping of the module.
"""

from __future__ import annotations

import contextlib
import copy
from functools import partial
from types import SimpleNamespace

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("tensordict", reason="verl needs tensordict")

import torch

from rap_plugin.modality_gap.contrastive import FORMS, SAMPLERS

TEMPERATURE = 0.8
SAID = [[70, 71, 72, 73], [80, 81], [90, 91, 92, 93, 94, 95], [75, 76, 77], [65, 66], [66, 67, 68, 69]]
REWARDS = [1.0, 0.0, 1.0, 1.0, 1.0, 0.9]
"""Of six responses; the fourth has no other prompt."""
CHOSEN = [0, 2, 4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tests.engines.tiny_models import build

    return build("qwen2_5_vl", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def processor(folder):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    from transformers import AutoModelForImageTextToText

    torch.set_num_threads(1)
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory):
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("gloo") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def read(processor, words, number):
    from PIL import Image

    picture = Image.new("RGB", (56 + 28 * (number % 2), 56), (40 * number, 90, 200 - 30 * number))
    text = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": words}]}], add_generation_prompt=True
    )
    found = processor(text=[text], images=[picture], return_tensors="pt")
    return found["input_ids"][0], {
        "pixel_values": found["pixel_values"].double(),
        "image_grid_thw": found["image_grid_thw"],
    }


def positions(model, ids, pixels):
    """(4, length), as verl's worker makes them: the text's positions before the three of the image."""
    kinds = (ids == model.config.image_token_id).int()[None]
    axes, _ = model.model.get_rope_index(
        ids[None],
        image_grid_thw=pixels["image_grid_thw"],
        attention_mask=torch.ones_like(ids)[None],
        mm_token_type_ids=kinds,
    )
    return torch.cat([torch.arange(len(ids))[None, None], axes]).squeeze(1)


@pytest.fixture(scope="module")
def problems(model, processor):
    """(sampled prompt, other prompt, pixels) of every response."""
    made = []
    for number in range(len(SAID)):
        sampled, pixels = read(processor, f"AB = {'1' * number}, answer the question: Find x.", number)
        other, _ = read(processor, f"Look {'well ' * (number % 3)}. Find x.", number)
        made.append((sampled, other if number != 3 else None, pixels))
    return made


def batch(model, problems, micro, **loss):
    """A mini-batch as it comes from TransferQueue: responses nested by their lengths, the loop's note in `extra_fields`."""
    from verl.utils import tensordict_utils as tu

    from rap_plugin.verl_hooks.contrastive_engine import _jagged

    fields = {name: [] for name in ("prompts", "responses", "input_ids", "position_ids", "response_mask", "rm_scores")}
    pixels, notes = [], []
    for (sampled, other, seen), said, reward in zip(problems, SAID, REWARDS, strict=True):
        words = torch.tensor(said)
        whole = torch.cat([sampled, words])
        scores = torch.zeros(len(said))
        scores[-1] = reward
        made = [sampled, words, whole, positions(model, whole, seen), torch.ones_like(words), scores]
        for name, value in zip(fields, made, strict=True):
            fields[name].append(value)
        pixels.append(seen)
        note = {"loss": loss, "ids": None, "position_ids": None}
        if other is not None:
            both = torch.cat([other, words])
            note |= {"ids": other.tolist(), "position_ids": positions(model, both, seen)}
        notes.append({"turn_scores": [], "rap_contrastive": note})
    nested = {
        name: _jagged(rows) if name == "position_ids" else torch.nested.as_nested_tensor(rows, layout=torch.jagged)
        for name, rows in fields.items()
    }
    zeros = torch.nested.as_nested_tensor(
        [torch.zeros(len(said), dtype=torch.float64) for said in SAID], layout=torch.jagged
    )
    settings = {
        "use_remove_padding": False,
        "use_dynamic_bsz": False,
        "micro_batch_size_per_gpu": micro,
        "temperature": TEMPERATURE,
        "global_batch_size": len(SAID),
        "pad_token_id": 0,
    }
    return tu.get_tensordict(
        {
            **nested,
            "loss_mask": nested["response_mask"],
            "old_log_probs": zeros - 3,
            "advantages": zeros,
            "multi_modal_inputs": pixels,
            "extra_fields": notes,
        },
        non_tensor_dict=settings,
    )


@pytest.fixture
def train(model, problems, one_rank, monkeypatch):
    """`train(micro, **loss)`: (metrics, gradients) of one `forward_backward_batch` of the engine with verl's own policy loss."""
    from verl.workers.config import FSDPActorConfig, OptimizerConfig
    from verl.workers.engine.fsdp import transformer_impl
    from verl.workers.utils.losses import ppo_loss

    from rap_plugin.verl_hooks import contrastive_engine

    for module in (transformer_impl, contrastive_engine):
        monkeypatch.setattr(module, "get_device_id", lambda: "cpu", raising=False)
    monkeypatch.setattr(contrastive_engine, "_device", lambda: "cpu")
    monkeypatch.setattr(transformer_impl, "get_device_name", lambda: "cpu")
    config = FSDPActorConfig(
        strategy="fsdp",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=1,
        use_dynamic_bsz=False,
        optim=OptimizerConfig(lr=1e-6),
    )

    def run(micro=6, change=None, **loss):
        engine = contrastive_engine.ContrastiveEngine.__new__(contrastive_engine.ContrastiveEngine)
        engine.module, engine.scaler, engine._autocast_dtype = model, None, torch.float32
        engine.engine_config = SimpleNamespace(entropy_checkpointing=False)
        engine.use_ulysses_sp, engine.ulysses_sequence_parallel_size, engine.pad_to_length = False, 1, False
        engine.get_data_parallel_group = lambda: torch.distributed.group.WORLD
        engine.get_data_parallel_size = lambda: 1
        engine._gradient_sync_context = lambda **options: contextlib.nullcontext()
        data = batch(model, problems, micro, **loss)
        if change is not None:
            change(data)
        model.zero_grad(set_to_none=True)
        output = engine.forward_backward_batch(data, partial(ppo_loss, config))
        return output["metrics"], {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    return run


def reference(model, problems, form, sampled_by):
    """The loss response by response through the model's plain forward; the teacher is another model."""
    student, teacher = copy.deepcopy(model), copy.deepcopy(model)
    total, count = torch.zeros((), dtype=torch.float64), 0
    for row in CHOSEN:
        sampled, other, pixels = problems[row]
        read = []
        prompts = (sampled, other) if sampled_by == "teacher" else (other, sampled)
        for network, prompt in zip((teacher, student), prompts, strict=True):
            ids = torch.cat([prompt, torch.tensor(SAID[row])])[None]
            kinds = (ids == model.config.image_token_id).int()
            logits = network(ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=kinds, **pixels).logits[0]
            read.append((logits[len(prompt) - 1 : -1] / TEMPERATURE).log_softmax(-1))
        for at, word in enumerate(SAID[row]):
            t, v = read[0][at].detach(), read[1][at]
            if form == "k3":
                r = (t[word] - v[word]).clamp(-20, 20)
                total = total + (r.exp() - r - 1).clamp(-10, 10)
            else:
                total = total + ((t.exp() * (t - v)).sum() if form == "forward_kl" else -v[word])
            count += 1
    (total / count).backward()
    return (total / count).item(), {n: p.grad for n, p in student.named_parameters() if p.grad is not None}


def number(metric):
    values = getattr(metric, "values", metric)
    return float(sum(values)) if isinstance(values, list) else float(values)


@pytest.mark.parametrize("sampled_by", SAMPLERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_mini_batch_of_verl_adds_the_loss_of_the_reference(train, model, problems, form, sampled_by):
    metrics, found = train(form=form, sampled_by=sampled_by, coefficient=0.5)
    loss, wanted = reference(model, problems, form, sampled_by)
    assert number(metrics["actor/contrastive_loss"]) == pytest.approx(loss, abs=1e-6)
    assert number(metrics["actor/contrastive_chosen"]) == pytest.approx(len(CHOSEN) / len(SAID))
    # Advantages are 0, so the policy loss has no gradient of its own.
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], 0.5 * gradient, atol=1e-6), name


def test_micro_batches_change_nothing(train):
    _, whole = train(form="k3")
    for micro in (1, 2, 3):
        _, found = train(micro=micro, form="k3")
        assert all(torch.allclose(found[name], gradient, atol=1e-9) for name, gradient in whole.items()), micro


def test_where_no_response_is_right_nothing_is_added(train):
    def nobody(data):
        data["rm_scores"] = data["rm_scores"] * 0.5

    metrics, found = train(change=nobody, form="k3")
    assert "actor/contrastive_loss" not in metrics
    assert "actor/pg_loss" in metrics
    assert all(not gradient.any() for gradient in found.values())


def test_verl_takes_the_engine_by_its_vendor(monkeypatch):
    from verl.workers.engine.base import EngineRegistry

    from rap_plugin.verl_hooks.contrastive_engine import ContrastiveEngine

    monkeypatch.setenv("VERL_ENGINE_DEVICE", "cuda")
    monkeypatch.setenv("VERL_ENGINE_VENDOR", "rap")
    for backend in ("fsdp", "fsdp2"):
        assert EngineRegistry.get_engine_cls("language_model", backend) is ContrastiveEngine
    monkeypatch.delenv("VERL_ENGINE_VENDOR")
    assert EngineRegistry.get_engine_cls("language_model", "fsdp") is not ContrastiveEngine
