"""Engine `hf`: any vision-language model of Transformers' AutoModelForImageTextToText, in this process.

Draws are a function of `rollout_seed` and the model's logits. The logits of one row still move in their last bits
with the shape of the batch (kernels sum in another order), so another batch size can change a draw that sits on
an edge: rare in float32, less so in bfloat16.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rap_plugin.config import ModelConfig
from rap_plugin.engines.weights import find_model, identify
from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling, rollout_seed

try:
    import torch
    import transformers

    from rap_plugin.engines.hf import chat, decoding
    from rap_plugin.engines.hf.last_layer import LastLayer
except ImportError as missing:
    raise RapError(
        f"engine hf needs torch and transformers ({missing}); install them with: pip install 'rap-plugin[hf]'"
    ) from None

T = TypeVar("T")
U = TypeVar("U")

BATCH_SIZE = {"cuda": 128, "mps": 32, "cpu": 16}
"""Responses decoded together by default; the engine halves what does not fit."""

SMALL_MODEL, SMALL_BATCH = 50_000_000, 128
"""Parameters up to which a decoding step is mostly overhead: such models take more rows at once, on any device."""

FORCED_TOKENS = 2**15
"""Response tokens in one teacher-forced forward: bounds its activations."""


def open_hf(config: ModelConfig) -> HFEngine:
    """Opens `config.id`, a folder or a hub id, without loading its weights. Raises RapError where that cannot work."""
    return HFEngine(config)


class HFEngine:
    """Both arms, M rollouts each, and their attention; see `engines.base.Engine` for the contract."""

    name = "hf"
    measures_attention = True

    def __init__(self, config: ModelConfig) -> None:
        if config.options:
            raise RapError(f"engine hf takes no model.options (got {', '.join(sorted(config.options))}); remove them")
        self._config = config
        self._device = pick_device(config.device)
        self._dtype = pick_dtype(config.dtype, self._device)
        folder = find_model(config.id, config.revision, code=config.trust_remote_code)
        self._folder = folder
        self.identity: ModelIdentity = identify(config.id, folder)
        self._processor = load_processor(config, folder)
        usual = SMALL_BATCH if self.identity.parameters <= SMALL_MODEL else BATCH_SIZE.get(self._device.type, 32)
        self.batch_size: int = config.batch_size or usual
        self._start()

    def _start(self) -> None:
        self._loaded: decoding.Model | None = None
        self._fits: float = float("inf")
        """Rows x tokens that are known to fit; falls when memory runs out."""
        self.prepare_prompt: Callable[[Prompt, Any, Any], chat.Prepared] = chat.prepare
        """From (prompt, processor, network) to tensors; a host that makes its prompts itself sets its own."""

    @property
    def processor(self) -> Any:
        """What turns prompts into tensors and tokens into text; a host may have one of its own."""
        return self._processor

    @processor.setter
    def processor(self, processor: Any) -> None:
        self._processor = processor

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        return [[response for response, _ in row] for row in self._sample(requests, sampling, measure=False)]

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, with attention measured from the queries and keys of the same pass."""
        rows = self._sample(requests, sampling, measure=True)
        later: list[tuple[int, list[int]]] = []
        for at, row in enumerate(rows):
            missing = [n for n, (response, seen) in enumerate(row) if response.status == "ok" and seen is None]
            if missing:
                later.append((at, missing))
        # A last layer whose cache forgets keys cannot be measured on the way: those get a pass of their own.
        again = [(requests[at].prompt, [rows[at][n][0].token_ids for n in missing]) for at, missing in later]
        for (at, missing), found in zip(later, self.attention(again, sampling), strict=True):
            for n, attention in zip(missing, found, strict=True):
                rows[at][n] = (rows[at][n][0], attention)
        return [[(response, seen or not_measured(response.error)) for response, seen in row] for row in rows]

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        """Measures given responses, teacher-forced; one list per prompt, one entry per response."""
        if not prompts:
            return []
        model = self._model()
        if model.last_layer.reason:
            return [[not_measured(model.last_layer.reason) for _ in responses] for _, responses in prompts]
        out: list[list[Attention | None]] = [[None] * len(responses) for _, responses in prompts]
        jobs: list[tuple[int, int, chat.Prepared]] = []
        for at, (prompt, responses) in enumerate(prompts):
            prepared = self._prepare(prompt, sampling)
            if isinstance(prepared, Response):
                out[at] = [not_measured(prepared.error) for _ in responses]
            else:
                jobs += [(at, n, prepared) for n in range(len(responses))]

        def run(batch: Sequence[tuple[int, int, chat.Prepared]]) -> None:
            groups = [(group[0], [n for _, n, _ in group]) for group in _by_prompt(batch)]
            given = [(first[2], [prompts[first[0]][1][n] for n in wanted]) for first, wanted in groups]
            for (first, wanted), found in zip(groups, decoding.teacher_forced(model, given), strict=True):
                for n, statistics in zip(wanted, found, strict=True):
                    out[first[0]][n] = Attention(statistics)

        def fail(job: tuple[int, int, chat.Prepared], reason: str) -> None:
            out[job[0]][job[1]] = not_measured(reason)

        def tokens(job: tuple[int, int, chat.Prepared]) -> int:
            return job[2].length + len(prompts[job[0]][1][job[1]])

        self._in_batches(jobs, tokens, run, fail, cap=FORCED_TOKENS)
        return [[seen or not_measured("not measured") for seen in row] for row in out]

    def close(self) -> None:
        """Lets the weights go, and takes back the one name that was registered with Transformers."""
        if self._loaded is not None:
            self._loaded.last_layer.remove()
            self._loaded = None
            _release(self._device)

    # -- sampling -------------------------------------------------------------------------------------------------

    def _sample(
        self, requests: Sequence[Request], sampling: Sampling, *, measure: bool
    ) -> list[list[tuple[Response, Attention | None]]]:
        if not requests:
            return []
        model = self._model()
        decode = self._processor.tokenizer.decode
        out: list[dict[int, tuple[Response, Attention | None]]] = [{} for _ in requests]
        jobs: list[tuple[int, int, chat.Prepared]] = []
        for at, request in enumerate(requests):
            prepared = self._prepare(request.prompt, sampling)
            if isinstance(prepared, Response):
                for rollout in request.rollouts:
                    out[at][rollout] = (_for_rollout(prepared, rollout), None)
            else:
                jobs += [(at, rollout, prepared) for rollout in request.rollouts]

        def run(batch: Sequence[tuple[int, int, chat.Prepared]]) -> None:
            groups = _by_prompt(batch)
            given = []
            for group in groups:
                prompt = requests[group[0][0]].prompt
                seeds = [rollout_seed(sampling.seed, prompt.sample_id, prompt.arm, n) for _, n, _ in group]
                given.append((group[0][2], seeds))
            drawn = decoding.sample(
                model,
                given,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_new_tokens=sampling.max_new_tokens,
                measure=measure,
            )
            for group, rows in zip(groups, drawn, strict=True):
                for (at, rollout, prepared), row in zip(group, rows, strict=True):
                    out[at][rollout] = _answer(rollout, prepared.length, row, decode)

        def fail(job: tuple[int, int, chat.Prepared], reason: str) -> None:
            at, rollout, prepared = job
            out[at][rollout] = (
                Response(rollout, prompt_tokens=prepared.length, status="engine_error", error=reason),
                None,
            )

        def tokens(job: tuple[int, int, chat.Prepared]) -> int:
            return job[2].length + sampling.max_new_tokens

        self._in_batches(jobs, tokens, run, fail)
        return [[rows[rollout] for rollout in request.rollouts] for request, rows in zip(requests, out, strict=True)]

    def _prepare(self, prompt: Prompt, sampling: Sampling) -> chat.Prepared | Response:
        """The prompt's tensors, or the response that says why there are none."""
        try:
            prepared = self.prepare_prompt(prompt, self._processor, self._model().network)
        except Exception as error:
            return Response(0, status="engine_error", error=f"the processor failed: {one_line(error)}")
        if prepared.length > sampling.max_prompt_tokens:
            reason = f"the prompt has {prepared.length} tokens, max_prompt_tokens is {sampling.max_prompt_tokens}"
            return Response(0, prompt_tokens=prepared.length, status="overlong", error=reason)
        return prepared

    def _in_batches(
        self,
        jobs: Sequence[tuple[int, int, chat.Prepared]],
        tokens: Callable[[tuple[int, int, chat.Prepared]], int],
        run: Callable[[Sequence[tuple[int, int, chat.Prepared]]], None],
        fail: Callable[[tuple[int, int, chat.Prepared], str], None],
        cap: float = float("inf"),
    ) -> None:
        """Runs all jobs, longest first, in batches that fit; a batch that fails is halved until single jobs fail.

        The jobs of one prompt stay side by side, so that they share its prefill.
        """
        ordered = sorted(jobs, key=lambda job: (-job[2].length, job[0], job[1]))
        waiting = list(ordered)
        while waiting:
            size, longest = 0, 0
            for job in waiting[: self.batch_size]:
                wider = max(longest, tokens(job))
                if size and wider * (size + 1) > min(self._fits, cap):
                    break
                longest, size = wider, size + 1
            batch, waiting = waiting[:size], waiting[size:]
            reason, memory = _attempt(run, batch)
            if not reason:
                continue
            if memory:
                _release(self._device)
                self._fits = min(self._fits, longest * size / 2)
            if size == 1:
                fail(batch[0], f"out of memory with one response: {reason}" if memory else reason)
            else:
                half = size // 2
                if memory:
                    waiting = batch + waiting
                else:
                    # Not a matter of size: look for the one that fails, in halves, and go on with the others.
                    self._bisect((batch[:half], batch[half:]), run, fail)

    def _bisect(
        self,
        halves: Iterable[Sequence[tuple[int, int, chat.Prepared]]],
        run: Callable[[Sequence[tuple[int, int, chat.Prepared]]], None],
        fail: Callable[[tuple[int, int, chat.Prepared], str], None],
    ) -> None:
        for part in halves:
            reason, _ = _attempt(run, part)
            if reason and len(part) == 1:
                fail(part[0], reason)
            elif reason:
                half = len(part) // 2
                self._bisect((part[:half], part[half:]), run, fail)

    def _model(self) -> decoding.Model:
        if self._loaded is None:
            self._loaded = load_model(self._config, self._folder, self._processor, self._device, self._dtype)
        return self._loaded


class LoadedEngine(HFEngine):
    """The same over a network in memory that belongs to the caller, who may go on training it after `close`.

    The network is sampled as it is: in eval mode if the caller has put it there, with its own weights at this moment,
    which `identity` is a hash of.
    """

    def __init__(self, network: Any, processor: Any, name: str, batch_size: int | None = None) -> None:
        self._network, self._processor, self._device = network, processor, network.device
        self.identity = identify_loaded(name, network)
        usual = SMALL_BATCH if self.identity.parameters <= SMALL_MODEL else BATCH_SIZE.get(self._device.type, 32)
        self.batch_size = batch_size or usual
        self._start()

    def _model(self) -> decoding.Model:
        if self._loaded is None:
            self._loaded = describe_model(self._network, self._processor)
        return self._loaded


def _attempt(run: Callable[[Sequence[T]], None], batch: Sequence[T]) -> tuple[str, bool]:
    """Runs a batch; returns the reason of its failure (empty: none) and whether memory ran out.

    The exception itself, whose frames hold tensors, is let go here.
    """
    try:
        run(batch)
    except Exception as error:
        if is_fatal(error):
            raise RapError(
                f"the GPU stopped working ({one_line(error)}); start the command again, stored rollouts are kept"
            ) from None
        return one_line(error), is_out_of_memory(error)
    return "", False


def _by_prompt(batch: Sequence[tuple[int, int, chat.Prepared]]) -> list[list[tuple[int, int, chat.Prepared]]]:
    """Splits a batch into runs of the same prompt."""
    groups: list[list[tuple[int, int, chat.Prepared]]] = []
    for job in batch:
        if groups and groups[-1][0][0] == job[0]:
            groups[-1].append(job)
        else:
            groups.append([job])
    return groups


def _answer(
    rollout: int, prompt_tokens: int, row: decoding.Drawn, decode: Callable[..., str]
) -> tuple[Response, Attention | None]:
    if row.error:
        return Response(rollout, prompt_tokens=prompt_tokens, status="engine_error", error=row.error), None
    said = row.token_ids[:-1] if row.finish == "stop" else row.token_ids
    text = decode(said, skip_special_tokens=True)
    response = Response(rollout, text, tuple(row.token_ids), row.finish, prompt_tokens)
    return response, None if row.statistics is None else Attention(row.statistics)


def _for_rollout(response: Response, rollout: int) -> Response:
    return Response(rollout, prompt_tokens=response.prompt_tokens, status=response.status, error=response.error)


def not_measured(reason: str) -> Attention:
    """Every statistic None, and why."""
    return Attention(dict.fromkeys(STATISTIC_COLUMNS), reason)


# -- opening ------------------------------------------------------------------------------------------------------


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
        settings = transformers.AutoConfig.from_pretrained(where, trust_remote_code=code)
    except Exception as error:
        raise RapError(f"{config.id}: its config.json cannot be used ({one_line(error)}); check --model") from None
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
    return processor


def load_model(
    config: ModelConfig, folder: Path, processor: Any, device: torch.device, dtype: torch.dtype
) -> decoding.Model:
    """Loads the weights onto the device, with SDPA attention where the architecture has it."""
    auto = transformers.AutoModelForImageTextToText
    options = {"dtype": dtype, "trust_remote_code": config.trust_remote_code, "use_safetensors": True}
    try:
        with _bar_on_terminals():
            try:
                network = auto.from_pretrained(str(folder), attn_implementation="sdpa", **options)
            except ValueError as error:
                if "scaled_dot_product_attention" not in str(error):
                    raise
                network = auto.from_pretrained(str(folder), **options)
        network = network.to(device).eval().requires_grad_(False)
    except Exception as error:
        if is_out_of_memory(error):
            raise RapError(
                f"{config.id}: {_giga(folder)} GB of weights do not fit on {device}; use a smaller one or model.device"
            ) from None
        raise RapError(f"{config.id}: the weights cannot be loaded ({one_line(error)}); check the folder") from None
    return describe_model(network, processor)


def describe_model(network: Any, processor: Any) -> decoding.Model:
    """What sampling needs to know of a model in memory; its last layer can be seen until `last_layer.remove()`."""
    # Of the class: a trainer may have wrapped the forward of this one object.
    taken = inspect.signature(type(network).forward).parameters
    tokenizer = processor.tokenizer
    ends = decoding.end_tokens(network, tokenizer)
    pad = tokenizer.pad_token_id
    return decoding.Model(
        network,
        LastLayer(network),
        ends,
        pad if pad is not None else min(ends, default=0),
        "position_ids" in taken,
        "logits_to_keep" in taken,
    )


def identify_loaded(name: str, network: Any) -> ModelIdentity:
    """The identity of weights in memory: SHA-256 over name, number format, shape and bytes of every tensor, by name."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    found = digest.hexdigest()
    return ModelIdentity(name, found[:12], found, sum(parameter.numel() for parameter in network.parameters()))


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch could work: CUDA's and MPS's own exception, or the CPU allocator's message."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in text for sign in ("out of memory", "can't allocate memory", "invalid buffer size", "not enough memory")
    )


def is_fatal(error: BaseException) -> bool:
    """Whether every later call on this device would fail too: CUDA reports such errors for the rest of the process."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error) and not is_out_of_memory(error)


def _release(device: torch.device) -> None:
    """Gives memory back that dropped tensors still hold: those of a failed batch may hang in reference cycles."""
    if device.type == "cpu":
        gc.collect(1)  # such cycles are young, and a whole collection takes a second where much is imported
        return
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
