"""The region loop for evaluation hosts: questions in, answers out, and a file of traces beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig, in_plain_words
from rap_plugin.errors import RapError
from rap_plugin.evaluation.prompts import without_form
from rap_plugin.plugins import get_plugins
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3 import settings
from rap_plugin.vlm_r3.ask import question_row
from rap_plugin.vlm_r3.driver import run_rows
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.measures import looks_of
from rap_plugin.vlm_r3.trace import Trace


class RegionAnswerer:
    """A model behind the region loop, made from the flat arguments that evaluation hosts pass on."""

    def __init__(self, pretrained: str, *, traces: str = "", **arguments: Any) -> None:
        """`arguments` are options of the sections `r3`, `model` and `sampling` by their short names; others go to the
        engine's options. `traces` names a JSON-lines file. Raises RapError for what no section takes.
        """
        self.config = flat_config(pretrained, arguments)
        self._engine = get_plugins().registry().get("engines", self.config.model.engine)(self.config.model)
        self._frame = settings.make_frame(self.config, self._engine)
        self._file = Path(os.path.expanduser(traces)) if traces else None
        self.told: list[Trace] = []
        """Of all answers so far."""

    def answer(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        done: Callable[[int], None] = lambda count: None,
    ) -> list[Trace]:
        """One trace per prompt, in order; what the model is asked is the prompt's text without a form of its own."""
        config = self.config
        if max_new_tokens is not None:
            config = config.model_copy(
                update={"sampling": config.sampling.model_copy(update={"max_new_tokens": max_new_tokens})}
            )
        if temperature is not None:
            config = config.model_copy(update={"r3": config.r3.model_copy(update={"temperature": temperature})})
        found: dict[int, Trace] = {}

        def rows() -> Iterator[RegionRow]:
            for at, prompt in enumerate(prompts):
                text = without_form(prompt.text)
                row = question_row(text, prompt.images, config, self._frame, system=prompt.system, key=str(at))
                yield row

        def keep(row: RegionRow) -> None:
            at = int(row.key)
            found[at] = row.trace()
            self._write(prompts[at].sample_id, found[at])
            done(1)

        run_rows(self._engine, rows(), settings.make_sampling(config), keep)
        self.told += [found[at] for at in range(len(prompts))]
        return [found[at] for at in range(len(prompts))]

    def summary(self) -> dict[str, Any]:
        """Crops per answer, valid boxes, ends."""
        return looks_of(self.told)

    def close(self) -> None:
        """Lets the model go."""
        self._engine.close()

    def _write(self, name: str, trace: Trace) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"id": name, "answer": trace.answer, "trace": json.loads(trace.to_json())})
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def flat_config(pretrained: str, arguments: Mapping[str, Any]) -> RunConfig:
    """A configuration from arguments by their short names."""
    tree: dict[str, dict[str, Any]] = {"r3": {}, "model": {"id": pretrained, "options": {}}, "sampling": {}}
    empty = RunConfig()
    for name, value in arguments.items():
        section = next(
            (one for one in ("r3", "model", "sampling") if name in type(getattr(empty, one)).model_fields), None
        )
        (tree["model"]["options"] if section is None else tree[section])[name] = value
    # Benchmarks bring large images: the prompt has the room that evaluation needs.
    tree["sampling"].setdefault("max_prompt_tokens", 16_384)
    try:
        return RunConfig.model_validate(tree)
    except ValueError as error:
        first = str(error).splitlines()
        with suppress(AttributeError, IndexError):
            problem = error.errors()[0]  # type: ignore[attr-defined]
            raise RapError(f"{'.'.join(map(str, problem['loc']))}: {in_plain_words(problem)}") from None
        raise RapError(first[0]) from None
