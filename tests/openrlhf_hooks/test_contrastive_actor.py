"""The contrastive loss in OpenRLHF's own actor trainer: its `Actor`, replay buffer, windows and policy loss on a CPU."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

import torch

from rap_plugin.modality_gap.contrastive import FORMS, SAMPLERS, ContrastiveLoss
from rap_plugin.openrlhf_hooks.row_prompts import RowPrompt

from .command import arguments, run_command

TEMPERATURE = 0.8
SAID = [[70, 71, 72, 73], [80, 81], [90, 91, 92, 93, 94, 95], [75, 76, 77], [65], [66, 67, 68, 69]]
REWARDS = [1.0, 0.0, 1.0, 1.0, 1.0, 0.9]
"""Of six responses; the fourth has no other prompt."""
CHOSEN = [0, 2, 4]


class Strategy:
    """What a training step asks of `DeepspeedStrategy`, without DeepSpeed: it divides by the micro-batches of a step, too."""

    ring_attn_group = None

    def __init__(self, args, accumulated=1):
        self.args, self.accumulated_gradient, self.done = args, accumulated, 0

    def is_rank_0(self):
        return False

    def all_reduce(self, values):
        return values

    def backward(self, loss, model, optimizer):
        (loss / self.accumulated_gradient).backward()

    def optimizer_step(self, optimizer, model, scheduler, name):
        self.done += 1

    def get_grad_norm(self, model):
        return 0.0


@pytest.fixture(scope="module")
def actor(tiny_model):
    return actor_of(tiny_model)


def actor_of(tiny_model):
    from openrlhf.models import Actor

    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = Actor(str(tiny_model), attn_implementation="eager", temperature=TEMPERATURE).float()
    made.train()
    return made


def image(number):
    from PIL import Image

    return Image.new("RGB", (56 + 28 * (number % 2), 56), (40 * number, 90, 200 - 30 * number))


@pytest.fixture
def experience(processor):
    return batch_of(processor)


def batch_of(processor, rows=None):
    """Responses as OpenRLHF batches them, behind prompts of different lengths."""
    from openrlhf.trainer.ppo_utils.experience import Experience
    from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator
    from openrlhf.utils.vlm_utils import process_prompt_with_images

    singles = []
    for number in range(len(SAID)) if rows is None else rows:
        said, reward = SAID[number], REWARDS[number]
        text, other = (
            processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": words}]}],
                tokenize=False,
                add_generation_prompt=True,
            )
            for words in (
                f"AB = {'1' * number}, answer the question: Find x.",
                f"Look {'well ' * (number % 3)}. Find x.",
            )
        )
        prompt = pickle.loads(pickle.dumps(RowPrompt(text, number, other if number != 3 else None)))
        ids, pixels, _ = process_prompt_with_images(processor, prompt, [image(number)])
        response = {
            "prompt": prompt,
            "label": "1",
            "images": [image(number)],
            "mm_train_inputs": pixels,
            "reward": reward,
            "scores": reward,
            "observation_tokens": ids + said,
            "action_ranges": [(len(ids), len(ids) + len(said))],
            "rollout_log_probs": None,
            "truncated": False,
        }
        singles.append(SamplesGenerator._process_response_into_experience(None, response, max_len=256))
    made = Experience.concat_experiences(singles, processor.tokenizer.pad_token_id)
    made.action_log_probs = torch.full(made.action_mask.shape, -3.0)
    made.advantages = torch.zeros(made.action_mask.shape)
    return made


def trainer_of(actor, processor, monkeypatch, micro, accumulated, **contrastive):
    """Our trainer as `PolicyModelActor` makes it; the only thing of CUDA that it asks for is its name."""
    from rap_plugin.openrlhf_hooks.contrastive_actor import ContrastiveActorTrainer

    args = run_command(arguments("model", "train.jsonl", "--train.micro_batch_size", str(micro)))
    args.rap_contrastive = contrastive
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr("openrlhf.trainer.ray.ppo_actor.torch_dist_barrier_and_cuda_sync", lambda: None)
    made = ContrastiveActorTrainer(
        Strategy(args, accumulated),
        actor,
        None,
        None,
        SimpleNamespace(get_last_lr=lambda: [0.0]),
        micro_train_batch_size=micro,
        tokenizer=processor,
        dataloader_pin_memory=False,
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")
    return made


def gradients(actor):
    return {name: p.grad.clone() for name, p in actor.named_parameters() if p.grad is not None and p.grad.any()}


def trained(actor, processor, experience, monkeypatch, micro=6, accumulated=1, **contrastive):
    """(status, gradients) of one optimiser step of the host's own `ppo_train`."""
    made = trainer_of(actor, processor, monkeypatch, micro, accumulated, **contrastive)
    made.replay_buffer.append(copy.deepcopy(experience))
    actor.zero_grad(set_to_none=True)
    status = made.ppo_train(0.0)
    return status, gradients(actor)


def reference(actor, processor, experience, form, sampled_by):
    """The loss in float64, response by response without padding, through the model's plain forward; the teacher is another model."""
    from openrlhf.utils.vlm_utils import process_prompt_with_images

    student, teacher = copy.deepcopy(actor.model).double(), copy.deepcopy(actor.model).double()
    total, count = torch.zeros((), dtype=torch.float64), 0
    for row in CHOSEN:
        prompts = [experience.prompts[row], experience.prompts[row].other]
        read = []
        for network, prompt in zip(
            (teacher, student), prompts if sampled_by == "teacher" else prompts[::-1], strict=True
        ):
            ids, pixels, _ = process_prompt_with_images(processor, str(prompt), [image(row)])
            sequence = torch.tensor([ids + SAID[row]])
            kinds = (sequence == actor._vlm_config.image_token_id).int()
            given = {**pixels, "pixel_values": pixels["pixel_values"].double(), "mm_token_type_ids": kinds}
            logits = network(sequence, attention_mask=torch.ones_like(sequence), **given).logits[0]
            read.append((logits[len(ids) - 1 : -1] / TEMPERATURE).log_softmax(-1))
        for at, word in enumerate(SAID[row]):
            t, v = read[0][at].detach(), read[1][at]
            if form == "k3":
                r = (t[word] - v[word]).clamp(-20, 20)
                total = total + (r.exp() - r - 1).clamp(-10, 10)
            else:
                total = total + ((t.exp() * (t - v)).sum() if form == "forward_kl" else -v[word])
            count += 1
    (total / count).backward()
    assert all(p.grad is None for p in teacher.parameters())
    return (total / count).item(), {
        f"model.{name}": p.grad for name, p in student.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize("sampled_by", SAMPLERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_training_step_of_openrlhf_adds_the_loss_of_the_reference(
    actor, processor, experience, monkeypatch, form, sampled_by
):
    options = {"form": form, "sampled_by": sampled_by, "coefficient": 0.5}
    status, found = trained(actor, processor, experience, monkeypatch, **options)
    loss, wanted = reference(actor, processor, experience, form, sampled_by)
    assert status["contrastive_loss"] == pytest.approx(loss, abs=1e-5)
    assert status["contrastive_chosen"] == pytest.approx(len(CHOSEN) / len(SAID))
    # Advantages are 0, so the policy loss has no gradient of its own.
    assert found.keys() <= wanted.keys()
    for name, gradient in wanted.items():
        assert torch.allclose(found.get(name, torch.zeros(())).double(), 0.5 * gradient, atol=2e-5), name


def test_micro_batches_and_accumulation_change_nothing(actor, processor, experience, monkeypatch):
    _, whole = trained(actor, processor, experience, monkeypatch)
    for micro, accumulated in ((2, 3), (1, 6), (3, 2)):
        _, found = trained(actor, processor, experience, monkeypatch, micro=micro, accumulated=accumulated)
        assert found.keys() == whole.keys()
        for name, gradient in whole.items():
            assert torch.allclose(found[name], gradient, atol=1e-7), (micro, name)


def train_a_share(rank, tiny_model, folder):
    """One of two ranks with every second response: rank 1 has no chosen one. Writes the averaged gradients."""
    import torch.distributed as dist
    from openrlhf.utils.utils import get_tokenizer

    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    actor, processor = actor_of(tiny_model), get_tokenizer(str(tiny_model), None, "left", None)
    with pytest.MonkeyPatch.context() as monkeypatch:
        mine = batch_of(processor, range(rank, len(SAID), 2))
        _, found = trained(actor, processor, mine, monkeypatch, micro=1, accumulated=3)
    averaged = {}
    for name, parameter in actor.named_parameters():
        gradient = found.get(name, torch.zeros_like(parameter))
        dist.all_reduce(gradient)
        averaged[name] = gradient / 2
    torch.save(averaged, folder / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.long
def test_two_gloo_ranks_make_the_gradient_of_one(actor, processor, experience, monkeypatch, tiny_model, tmp_path):
    torch.multiprocessing.spawn(train_a_share, (tiny_model, tmp_path), nprocs=2)
    _, whole = trained(actor, processor, experience, monkeypatch)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"rank{rank}.pt")
        for name, gradient in found.items():
            assert torch.allclose(gradient, whole.get(name, torch.zeros(())), atol=1e-6), (rank, name)


def test_where_no_response_is_right_the_term_is_zero_and_the_policy_loss_is_openrlhfs(
    actor, processor, experience, monkeypatch
):
    from openrlhf.trainer.ray.ppo_actor import ActorPPOTrainer

    experience.rewards = torch.zeros(len(SAID))
    experience.advantages = torch.randn(experience.action_mask.shape, generator=torch.Generator().manual_seed(1))
    experience.action_log_probs = experience.action_log_probs - 2
    status, found = trained(actor, processor, experience, monkeypatch)
    assert status["contrastive_loss"] == 0 == status["contrastive_chosen"]
    plain = trainer_of(actor, processor, monkeypatch, 6, 1)
    plain.actor_loss_fn = plain._policy_loss
    plain.replay_buffer.append(copy.deepcopy(experience))
    actor.zero_grad(set_to_none=True)
    assert ActorPPOTrainer.ppo_train(plain, 0.0)["policy_loss"] == pytest.approx(status["policy_loss"], abs=1e-5)
    wanted = gradients(actor)
    assert found.keys() == wanted.keys()
    assert wanted
    assert all(torch.allclose(found[name], wanted[name], atol=1e-6) for name in wanted)


def test_the_loss_that_flags_name_is_the_default_one():
    from rap_plugin.openrlhf_hooks.additions import contrastive_of

    none = dict.fromkeys(("contrastive", "contrastive_coefficient", "contrastive_sampled_by", "contrastive_key"))
    assert contrastive_of(none) is None
    assert contrastive_of({**none, "contrastive": "k3"}) == ContrastiveLoss()
    assert contrastive_of({**none, "contrastive": "nll", "contrastive_coefficient": 0.1}).coefficient == 0.1
