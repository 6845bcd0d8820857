"""What is opened once: device, number format, processor, weights, and what sampling needs to know of a model."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from rap_plugin.config import ModelConfig
from rap_plugin.engines.chat_template import require_ending
from rap_plugin.engines.hf.last_layer import SOFTMAX_KINDS, LastLayer, find_last_attention
from rap_plugin.engines.hf.memory import is_out_of_memory
from rap_plugin.errors import Option, RapError, one_line
from rap_plugin.rollout import ModelIdentity


@dataclass
class LoadedModel:
    """A loaded model and the few facts about it that sampling needs."""

    network: Any
    last_layer: LastLayer
    end_ids: frozenset[int]
    """Tokens that end a response."""
    pad_id: int
    takes_positions: bool
    """forward has position_ids."""
    takes_keep: bool
    """forward has logits_to_keep."""
    pads: bool
    """Prompts may share a batch: nothing flows from padding into what follows it, nor from image to image."""
    own_generate: str
    """Why only the model's own `generate` knows how to read one more token; empty where plain steps do."""
    tried: bool = False
    """Whether `pads` was seen to hold, with images."""
    joins: bool = True
    """Rows may join a batch that is at work; false once one could not."""
    keeps: bool = True
    """What was read of a turn may be kept while the turn goes on; false once that was seen to change its logits."""
    tried_keeping: bool = False
    reads_together: dict[str, bool] = field(default_factory=dict)
    """What its processor was seen to read in one call as it does in one call each; see `together`."""


def pick_device(wanted: str) -> torch.device:
    """The device asked for, or CUDA, else MPS, else the CPU. Raises RapError where it is not there."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise RapError(f"device {wanted} cannot be used ({one_line(error)}); use auto, cpu, cuda or mps") from None
    return device


def pick_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The number format asked for; auto is bfloat16 on CUDA and MPS, float32 on a CPU."""
    if wanted == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]


def load_processor(config: ModelConfig, folder: Path) -> Any:
    """The model's processor; raises RapError where the model takes no images or has no chat template."""
    where, code = str(folder), config.trust_remote_code
    try:
        settings = model_settings(config, folder)
    except Exception as error:
        raise RapError(
            f"{config.id}: its config.json cannot be used ({one_line(error)}); check ", Option("model.id")
        ) from None
    auto = transformers.AutoModelForImageTextToText
    known = type(settings) in getattr(auto, "_model_mapping", {type(settings): None})
    if not known and "AutoModelForImageTextToText" not in (getattr(settings, "auto_map", None) or {}):
        raise RapError(
            f"{config.id}: {settings.model_type} is not a vision-language model that Transformers "
            f"{transformers.__version__} knows; for InternVL take the -hf form, else upgrade transformers"
        )
    try:
        processor = transformers.AutoProcessor.from_pretrained(where, trust_remote_code=code)
    except ImportError as error:
        package = "torchvision" if "torchvision" in str(error).lower() else "what it names"
        raise RapError(f"{config.id}: its processor needs {package} ({one_line(error)}); install it") from None
    except Exception as error:
        raise RapError(f"{config.id}: its processor cannot be loaded ({one_line(error)}); check the folder") from None
    if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
        raise RapError(f"{config.id}: has no image processor (preprocessor_config.json); use a vision-language model")
    if not getattr(processor, "chat_template", None):
        raise RapError(f"{config.id}: has no chat template; use an instruction-tuned model or add chat_template.jinja")
    require_ending(config.id, processor.chat_template)
    return processor


def model_settings(config: ModelConfig, folder: Path) -> Any:
    """The configuration of what answers: of a model that also speaks (Qwen-Omni) that is its thinker."""
    settings = transformers.AutoConfig.from_pretrained(str(folder), trust_remote_code=config.trust_remote_code)
    return getattr(settings, "thinker_config", None) or settings


def attention_problem(config: ModelConfig, folder: Path) -> str | None:
    """Why the attention of a model of this configuration and class cannot be measured, empty where it can.

    The network is built without memory for its weights. None where its class cannot be built so.
    """
    auto = transformers.AutoModelForImageTextToText
    try:
        with torch.device("meta"):
            network = auto.from_config(model_settings(config, folder), trust_remote_code=config.trust_remote_code)
    except Exception:
        return None
    return find_last_attention(network)[1]


def load_model(
    config: ModelConfig, folder: Path, processor: Any, device: torch.device, dtype: torch.dtype
) -> LoadedModel:
    """Loads the weights onto the device, with SDPA attention where the architecture has it."""
    auto = transformers.AutoModelForImageTextToText
    options = {"dtype": dtype, "trust_remote_code": config.trust_remote_code, "use_safetensors": True}
    options |= {"output_loading_info": True}
    try:
        options["config"] = model_settings(config, folder)
        with _bar_on_terminals():
            try:
                network, found = auto.from_pretrained(str(folder), attn_implementation="sdpa", **options)
            except ValueError as error:
                if "scaled_dot_product_attention" not in str(error):
                    raise
                network, found = auto.from_pretrained(str(folder), **options)
        if missing := sorted(found["missing_keys"]):
            # Transformers draws them at random, and every answer would be noise.
            raise ValueError(f"{len(missing)} of them are not in its files, {missing[0]} for one")
        network = network.to(device).eval().requires_grad_(False)
    except Exception as error:
        if is_out_of_memory(error):
            raise RapError(
                f"{config.id}: {_giga(folder)} GB of weights do not fit on {device}; use a smaller one or model.device"
            ) from None
        raise RapError(f"{config.id}: the weights cannot be loaded ({one_line(error)}); check the folder") from None
    return describe_model(network, processor)


def describe_model(network: Any, processor: Any) -> LoadedModel:
    """What sampling needs to know of a model in memory; its last layer can be seen until `last_layer.remove()`."""
    # Of the class: a trainer may have wrapped the forward of this one object.
    taken = inspect.signature(type(network).forward).parameters
    tokenizer = processor.tokenizer
    ends = end_tokens(network, tokenizer)
    pad = tokenizer.pad_token_id
    return LoadedModel(
        network,
        LastLayer(network),
        ends,
        pad if pad is not None else min(ends, default=0),
        "position_ids" in taken,
        "logits_to_keep" in taken,
        not has_running_state(network),
        only_own_generate(network),
    )


def has_running_state(network: Any) -> bool:
    """Whether a layer hands a state from token to token: linear attention or convolutions beside the softmax."""
    layers = getattr(network.config.get_text_config(), "layer_types", None) or ()
    return bool(getattr(network, "_is_stateful", False)) or not set(layers) <= SOFTMAX_KINDS


MAKES_IMAGES_TOO = {"JanusForConditionalGeneration"}
"""Classes whose own `generate` is the usual one as long as text is asked for."""


def only_own_generate(network: Any) -> str:
    """Why a model needs its own `generate`, empty where reading tokens with positions, a mask and a cache is all."""
    from transformers.generation import GenerationMixin

    kind = type(network)
    if network.config.is_encoder_decoder:
        return "an encoder and a decoder"
    for name in ("generate", "_update_model_kwargs_for_generation"):
        if getattr(kind, name) is not getattr(GenerationMixin, name) and kind.__name__ not in MAKES_IMAGES_TOO:
            return f"its own {name.strip('_')}"
    if "position_ids" not in inspect.signature(kind.forward).parameters:
        return "no position_ids"
    return ""


def identify_loaded(name: str, network: Any, *, hashed: bool = True) -> ModelIdentity:
    """The identity of weights in memory: SHA-256 over name, number format, shape and bytes of every tensor, by name.

    Without the hash, only the name and the number of parameters are known.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if not hashed:
        return ModelIdentity(name, "", parameters=parameters)
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    found = digest.hexdigest()
    return ModelIdentity(name, found[:12], found, parameters)


@contextmanager
def _bar_on_terminals() -> Iterator[None]:
    """Transformers draws a bar of carriage returns while it loads weights: noise in a log file."""
    logs = transformers.utils.logging
    if sys.stderr.isatty() or not logs.is_progress_bar_enabled():
        yield
        return
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.enable_progress_bar()


def _giga(folder: Path) -> str:
    return f"{sum(file.stat().st_size for file in folder.glob('*.safetensors')) / 1e9:.1f}"


def end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """All tokens that end a response: those of the generation configuration and of the tokenizer."""
    ends: set[int] = set()
    for source in (getattr(network, "generation_config", None), tokenizer):
        value = getattr(source, "eos_token_id", None)
        ends.update(value if isinstance(value, Collection) else [] if value is None else [value])
    return frozenset(ends)
