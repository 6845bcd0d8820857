"""Engine `openai`: any server that speaks OpenAI's chat completions (vLLM, SGLang, llama.cpp, Ollama, OpenAI).

It measures no attention, so CDE and DRM decide and ACE is reported as not measured. Every rollout is a request of its
own with a seed of its own, so that any subset of the rollouts draws the same, as far as the server honours seeds.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import io
import json
import os
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from rap_plugin.config import ModelConfig
from rap_plugin.engines.base import not_measured
from rap_plugin.engines.bounded_client import bounded_client
from rap_plugin.engines.pixels import pixel_bounds, resized
from rap_plugin.errors import Option, RapError, one_line, without_secrets
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling, rollout_seed
from rap_plugin.samples.sample import IMAGE

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, RateLimitError

T = TypeVar("T")

OPTIONS: dict[str, str] = {
    "base_url": "address of the server, such as http://localhost:8000/v1 (default: the variable OPENAI_BASE_URL)",
    "concurrency": "requests under way at a time (default 32)",
    "retries": "attempts after the first, with exponential backoff that heeds Retry-After (default 5)",
    "timeout_s": "seconds for one attempt, from the first byte sent to the last one received (default 600)",
}
"""Names in `model.options`, with what they mean."""

KEYS = ("RAP_OPENAI_API_KEY", "OPENAI_API_KEY")
"""Environment variables that hold the API key, first one first. It is sent to the server and kept nowhere."""

IDENTIFYING = ("id", "root", "owned_by", "revision", "sha", "fingerprint", "system_fingerprint")
"""What a server may say about a model in GET /models that stays the same while the model does."""

ENDED = ("stop", "eos", "eos_token", "stop_sequence", "end_turn")
"""What servers call a response that the model ended."""

CUT = ("length", "max_tokens")
"""What servers call a response that was cut at its most tokens."""

SEED_BITS = 31
"""Some servers take 32-bit seeds only."""

GONE_S = 60.0
"""Within so many seconds a server that is there lists its models."""

MOST_COUNTED = 2**31
"""Tokens and their numbers are below: what the evidence can hold."""

TOO_LONG = ("context length", "maximum model length", "context window", "context size", "too long", "too many tokens")
"""How servers say that a prompt does not fit."""


def open_openai(config: ModelConfig) -> OpenAIEngine:
    """Asks the server of `config.options.base_url` for its models; raises RapError where it does not answer."""
    return OpenAIEngine(config)


class OpenAIEngine:
    """Both arms, M rollouts each, from a server; see `engines.base.Engine` for the contract."""

    name = "openai"
    measures_attention = False

    def __init__(self, config: ModelConfig) -> None:
        unknown = sorted(set(config.options) - set(OPTIONS))
        if unknown:
            raise RapError(f"engine openai has no option {unknown[0]!r} in model.options; known: {', '.join(OPTIONS)}")
        if importlib.util.find_spec("openai") is None:
            raise RapError("engine openai needs the openai package; install it with: pip install 'rap-plugin[openai]'")
        options = config.options
        self._address = str(options.get("base_url") or os.environ.get("OPENAI_BASE_URL") or "")
        self._url = without_secrets(self._address)
        """What people are shown."""
        if not self._address:
            raise RapError("engine openai needs a server; set model.options.base_url or OPENAI_BASE_URL")
        self._concurrency = _positive(options, "concurrency", 32)
        self._retries = _positive(options, "retries", 5, least=0)
        self._timeout = float(_positive(options, "timeout_s", 600))
        self.batch_size: int = config.batch_size or 8 * self._concurrency
        self._bounds = pixel_bounds(config)
        self._limit_name = "max_tokens"
        self._model, self._served, described = self._find(config)
        self.identity: ModelIdentity = ModelIdentity(self._model, config.revision or described)

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        return _run(self._generate(requests, sampling))

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        """Nothing is measured: a server shows no attention."""
        nothing = not_measured("engine openai shows no attention; use hf or vllm")
        return [[nothing for _ in responses] for _, responses in prompts]

    def close(self) -> None:
        """Nothing stays open between calls."""

    # -- requests -------------------------------------------------------------------------------------------------

    async def _generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        slots = asyncio.Semaphore(self._concurrency)
        async with self._client(self._retries) as client:
            rows = [asyncio.ensure_future(self._row(client, slots, request, sampling)) for request in requests]
            try:
                return list(await asyncio.gather(*rows))
            finally:
                # One that stops the run (no server, no permission) stops the others too.
                for row in rows:
                    row.cancel()

    async def _row(
        self, client: AsyncOpenAI, slots: asyncio.Semaphore, request: Request, sampling: Sampling
    ) -> list[Response]:
        """The first rollout alone, which fills the server's prefix cache or shows that the prompt is too long."""
        if not request.rollouts:
            return []
        try:
            messages = chat_messages(request.prompt, self._bounds)
        except Exception as error:
            return [_failed(rollout, error) for rollout in request.rollouts]
        first, *others = request.rollouts
        answer = await self._one(client, slots, request.prompt, messages, first, sampling)
        if answer.status == "overlong":
            rest = [
                Response(rollout, prompt_tokens=answer.prompt_tokens, status="overlong", error=answer.error)
                for rollout in others
            ]
            return [answer, *rest]
        wanted = (self._one(client, slots, request.prompt, messages, rollout, sampling) for rollout in others)
        return [answer, *await asyncio.gather(*wanted)]

    async def _one(
        self,
        client: AsyncOpenAI,
        slots: asyncio.Semaphore,
        prompt: Prompt,
        messages: list[Any],
        rollout: int,
        sampling: Sampling,
    ) -> Response:
        import openai

        seed = rollout_seed(sampling.seed, prompt.sample_id, prompt.arm, rollout) & (2**SEED_BITS - 1)
        async with slots:
            try:
                answer = await self._ask(client, messages, prompt.template_options, seed, sampling)
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise RapError(f"{self._url}: refused ({_message(error)}); set {KEYS[0]} to its API key") from None
            except openai.BadRequestError as error:
                if any(sign in _message(error).lower() for sign in TOO_LONG):
                    return Response(rollout, status="overlong", error=_message(error) + _shorter(prompt))
                return _failed(rollout, error)
            except openai.RateLimitError as error:
                return _failed(rollout, error, _asked_to_wait(error))
            except openai.APIStatusError as error:
                self._require_no_redirect(error)
                return _failed(rollout, error)
            except openai.APIConnectionError as error:
                # A server that is gone would turn every later rollout into a stored failure.
                if await self._gone():
                    raise RapError(
                        f"{self._url}: the server stopped answering; start it and run the command again, "
                        "stored rollouts are kept"
                    ) from None
                return _failed(rollout, error.__cause__ or error)
            except Exception as error:
                return _failed(rollout, error)
        return _read(answer, rollout, prompt, sampling)

    async def _ask(
        self,
        client: AsyncOpenAI,
        messages: list[Any],
        template_options: Mapping[str, Any],
        seed: int,
        sampling: Sampling,
    ) -> Any:
        import openai

        settings: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        if self._served == "vllm":
            # vLLM applies a repository's own sampling defaults unless told not to, and says which tokens it drew.
            settings["extra_body"] = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "return_token_ids": True}
        if template_options:
            settings.setdefault("extra_body", {})["chat_template_kwargs"] = dict(template_options)
        name = self._limit_name
        try:
            return await client.chat.completions.create(**settings, **{name: sampling.max_new_tokens})
        except openai.BadRequestError as error:
            if name != "max_tokens" or "max_completion_tokens" not in str(error):
                raise
            self._limit_name = "max_completion_tokens"
            return await client.chat.completions.create(**settings, max_completion_tokens=sampling.max_new_tokens)

    async def _gone(self) -> bool:
        try:
            async with self._client(1, GONE_S) as client:
                await client.models.list()
        except Exception as error:
            return not hasattr(error, "status_code")
        return False

    def _client(self, retries: int, timeout_s: float | None = None) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        key, seconds = next(iter(api_keys()), "none"), timeout_s or self._timeout
        # The time for a single read is longer than that for the whole, which is the one that is told.
        http = bounded_client(seconds)
        return AsyncOpenAI(
            base_url=self._address, api_key=key, max_retries=retries, timeout=2 * seconds, http_client=http
        )

    def _require_no_redirect(self, error: APIStatusError) -> None:
        """Raises RapError for an answer that sends us to another address, which is not followed."""
        if 300 <= error.status_code < 400:
            where = without_secrets(str(error.response.headers.get("location", "")), api_keys())
            raise RapError(
                f"{self._url}: redirects to {one_line(where) or 'nowhere'}, which is not followed; give the address that "
                "answers as base_url"
            ) from None

    # -- opening --------------------------------------------------------------------------------------------------

    def _find(self, config: ModelConfig) -> tuple[str, str, str]:
        """(model id, who serves it, revision) from GET /models."""
        import openai

        async def ask() -> list[Any]:
            async with self._client(1) as client:
                # Servers are not trusted to send what the protocol says.
                return [model for model in (await client.models.list()).data if isinstance(model.id, str)]

        try:
            models = _run(ask())
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise RapError(f"{self._url}: refused ({_message(error)}); set {KEYS[0]} to its API key") from None
        except Exception as error:
            if isinstance(error, openai.APIStatusError):
                self._require_no_redirect(error)
            raise RapError(
                f"{self._url}: no OpenAI-compatible server answers ({_message(error)}); start it, or check base_url"
            ) from None
        names = [model.id for model in models]
        wanted = config.id or (names[0] if len(names) == 1 else "")
        if wanted not in names:
            shown = ", ".join(names[:5]) + (", .." if len(names) > 5 else "")
            raise RapError(
                f"{self._url}: does not serve {wanted or 'one model only'}; give ",
                Option("model.id"),
                f" one of: {shown}",
            )
        said = models[names.index(wanted)].model_dump()
        kept = {name: said[name] for name in IDENTIFYING if said.get(name)}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()
        return wanted, str(said.get("owned_by") or ""), digest[:12]


def chat_messages(prompt: Prompt, bounds: tuple[int, int] | None = None) -> list[dict[str, Any]]:
    """The prompt as OpenAI messages: images in their places as PNG data URLs. Raises ValueError on a wrong count.

    `bounds` are the least and most pixels of an image, which is resized here: a server cannot be told.
    """
    texts = prompt.text.split(IMAGE)
    if len(texts) - 1 != len(prompt.images):
        raise ValueError(f"{len(texts) - 1} {IMAGE} placeholders for {len(prompt.images)} images")
    content: list[dict[str, Any]] = []
    for at, text in enumerate(texts):
        if at:
            buffer = io.BytesIO()
            image = prompt.images[at - 1] if bounds is None else resized(prompt.images[at - 1], bounds)
            (image if image.mode == "RGB" else image.convert("RGB")).save(buffer, "PNG", compress_level=1)
            data = base64.b64encode(buffer.getvalue()).decode()
            content.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
        if text:
            content.append({"type": "text", "text": text})
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": content if prompt.images else prompt.text}]


def _read(answer: Any, rollout: int, prompt: Prompt, sampling: Sampling) -> Response:
    """A response from a chat completion; servers are not trusted to send what the protocol says."""
    try:
        choice, usage = answer.choices[0], answer.usage
        prompt_tokens = _counted(usage.prompt_tokens) if usage is not None else 0
        drawn = _counted(usage.completion_tokens or 0) if usage is not None else 0
        ids = tuple(_counted(token) for token in getattr(choice, "token_ids", None) or ())
        ended = None if choice.finish_reason is None else str(choice.finish_reason)
        text = _text(choice.message)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        return Response(rollout, status="engine_error", error=f"not a chat completion ({_message(error)})")
    response = Response(rollout, text, ids, "stop", prompt_tokens)
    if prompt_tokens > sampling.max_prompt_tokens:
        reason = f"the prompt has {prompt_tokens} tokens, max_prompt_tokens is {sampling.max_prompt_tokens}"
        return Response(rollout, prompt_tokens=prompt_tokens, status="overlong", error=reason + _shorter(prompt))
    if ended is not None and ended not in (*ENDED, *CUT):
        reason = f"the server ended it with {without_secrets(ended, api_keys())[:40]}"
        return Response(rollout, prompt_tokens=prompt_tokens, status="engine_error", error=reason)
    if not text.strip() and not ids:
        # A model can end at once, which is a wrong answer; but then the server shows the token that it drew.
        return Response(rollout, prompt_tokens=prompt_tokens, status="engine_error", error="the server gave no text")
    if ended in CUT or (ended is None and drawn >= sampling.max_new_tokens):
        return replace(response, finish="length")
    return response


def _counted(number: Any) -> int:
    """A number of tokens, or the number of one. Raises ValueError for one that no tokeniser has."""
    if not 0 <= int(number) < MOST_COUNTED:
        raise ValueError("a number of tokens, or of one, that no model has")
    return int(number)


def _text(message: Any) -> str:
    """What the model said. Where a server splits the thinking off and nothing else came, the thinking is all there is.

    Raises TypeError for what is no text.
    """
    said = message.content
    if said is not None and not isinstance(said, str):
        raise TypeError(f"its content is no text but {type(said).__name__}")
    if said:
        return said
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return f"<think>{thought}" if isinstance(thought, str) and thought.strip() else ""


def _shorter(prompt: Prompt) -> str:
    return "; model.max_pixels shortens a prompt with images" if prompt.images else ""


def _failed(rollout: int, error: BaseException, more: str = "") -> Response:
    return Response(rollout, status="engine_error", error=_message(error) + more)


def _asked_to_wait(error: RateLimitError) -> str:
    """What a busy server asks for: the package does not wait for more than a minute or two."""
    asked = str(error.response.headers.get("retry-after", ""))
    return f"; the server asks to wait {asked} s" if asked.isdecimal() and len(asked) < 20 else ""


def _message(error: BaseException) -> str:
    """One line; for what the server answered, its own message without the rest of the body."""
    body = getattr(error, "body", None)
    said = str(body.get("message") or "") if isinstance(body, dict) else ""
    return one_line(without_secrets(said or str(error), api_keys()) or error)


def api_keys() -> list[str]:
    """The keys of the environment, first the one that is sent: servers may repeat it, and it is kept nowhere."""
    return [os.environ[name] for name in KEYS if os.environ.get(name)]


def _positive(options: dict[str, Any], name: str, default: int, least: int = 1) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise RapError(f"model.options.{name}: a number of at least {least} is needed (got {value!r})")
    return int(value)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, also where the caller's thread has an event loop already (notebooks, actors)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, "rap-openai") as pool:
        return pool.submit(asyncio.run, work).result()
