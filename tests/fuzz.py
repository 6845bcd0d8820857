"""Random input for every parser, a fixed number of tries in the tests and as many as wanted by `make fuzz`.

python -m tests.fuzz [--examples 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some

from rap_plugin.config import PoolConfig, load_config
from rap_plugin.engines.checkpoint import count_parameters, require_sound, shard_names
from rap_plugin.errors import RapError
from rap_plugin.evidence.records import ProbeKey
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.grading.reading.answers import find_answer
from rap_plugin.grading.reading.chosen_option import read_option
from rap_plugin.grading.reading.formulas import quick_compare, read_formula
from rap_plugin.grading.reading.golds import plain_value
from rap_plugin.grading.reading.numbers import read_number
from rap_plugin.grading.reading.question_options import parse_options
from rap_plugin.grading.reading.yes_no import read_yes_no
from rap_plugin.rollout import ModelIdentity, Response, Sampling
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.samples.clauses import in_words, read_clauses
from rap_plugin.samples.formats import BUILTIN_FORMATS
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.sample import Sample, sample_id
from rap_plugin.vlm_r3.boxes import read_box

WORDS = [
    *(
        "<image>",
        "\\boxed{",
        "}",
        "{",
        "$",
        "\\frac",
        "answer",
        "A.",
        "(B)",
        "yes",
        "-",
        "1/2",
        "1e999",
        "٣",
        "\u202e",
        "\ud800",
    ),
    *(
        "<think>",
        "</think>",
        "bbox_2d",
        "[",
        "]",
        '"',
        "\\",
        "\n",
        "0" * 40,
        "^",
        "null",
        "NaN",
        "None",
        "选",
        "½",
        "<answer>",
    ),
]
text = some.one_of(some.text(max_size=80), some.lists(some.sampled_from(WORDS), max_size=30).map("".join))
value = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | text,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def _line(error: RapError) -> None:
    assert "\n" not in str(error), str(error)[:200]
    assert len(str(error)) < 2000


def answers(response: str, question: str) -> None:
    """What was said, by every reader."""
    answer = find_answer(response)
    assert 0 <= answer.start <= answer.end <= len(response)
    read_option(response, parse_options(question) or {"A": "1", "B": "2"})
    read_number(response, question)
    read_yes_no(response, question)
    read_formula(response)
    quick_compare(question[:64], response[:64])
    plain_value(response)


def boxes(said: str) -> None:
    """The box that a model asks for, bare and in an otherwise sound text."""
    read_box(said)
    read_box(f'look {{"bbox_2d": [{said}]}}')


def clauses(said: str, found: list[Any]) -> None:
    """Facts of a diagram in words."""
    for clause in (said, f"{said}={said}"):
        in_words(clause)
    read_clauses(found, [said, *found])


def rows(records: list[Any]) -> None:
    """A pool of any rows under every format: as many rows out as in, or one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        for name in ("auto", *BUILTIN_FORMATS):
            config = PoolConfig(path=str(path), format=name)
            try:
                found = list(ingest(open_pool(config), config, formats=BUILTIN_FORMATS, threads=1))
            except RapError as error:
                _line(error)
            else:
                assert [item.row for item in found] == list(range(len(found)))


def options(tree: Any, raw: str) -> None:
    """A YAML file of options, from a tree and from text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "options.yaml"
        for content in (yaml.safe_dump(tree), raw.encode("utf-8", "replace").decode()):
            path.write_text(content, encoding="utf-8")
            try:
                load_config(path)
            except RapError as error:
                _line(error)


def about(tree: Any, raw: bytes) -> None:
    """run.json, from a tree and from bytes."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        for content in (
            json.dumps(tree).encode(),
            json.dumps({"config": tree, "model": tree, "schema_version": 1}).encode(),
            raw,
        ):
            (run / "run.json").write_bytes(content)
            try:
                config_of(read_run(run), run)
            except RapError as error:
                _line(error)


def evidence(at: float, content: bytes, cut: bool) -> None:
    """A store that is cut, or overwritten somewhere: read whole, or told in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "evidence.sqlite"
        path.write_bytes(_STORE or _store())
        with path.open("r+b") as file:
            place = int(at * path.stat().st_size)
            if cut:
                file.truncate(place)
            else:
                file.seek(place)
                file.write(content)
        try:
            store = EvidenceStore(path)
        except RapError as error:
            return _line(error)
        try:
            store.samples(), store.quarantine(), store.ledger(), store.rollout_count()
        except RapError as error:
            _line(error)
        finally:
            store.close()
    return None


_STORE = b""


def _store() -> bytes:
    global _STORE
    with tempfile.TemporaryDirectory() as folder:
        store = EvidenceStore(Path(folder) / "evidence.sqlite", create=True)
        picture = b"picture"
        samples = [
            Sample(sample_id(f"q{i}", "g", (picture,)), i, f"q{i}", "g", (picture,), "", ((1, 1),)) for i in range(40)
        ]
        store.replace_pool(samples, "fingerprint")
        key = ProbeKey.of("image", "recipe", ModelIdentity("m", "r"), Sampling())
        probe = store.probe(key)
        store.add_rollouts(probe, [(i + 1, [Response(0, f"answer {i}", (1, 2))]) for i in range(40)])
        store.copy_to(Path(folder) / "copy")
        store.close()
        _STORE = (Path(folder) / "copy").read_bytes()
    return _STORE


def checkpoints(tree: Any, raw: bytes) -> None:
    """The files of a model that are looked at before a library reads them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for content in (json.dumps(tree).encode(), raw):
            for file in (
                "config.json",
                "generation_config.json",
                "preprocessor_config.json",
                "model.safetensors.index.json",
            ):
                (folder / file).write_bytes(content)
            (folder / "model.safetensors").write_bytes(len(content).to_bytes(8, "little") + content + raw)
            looks: list[Callable[[], Any]] = [
                lambda: require_sound("m", folder),
                lambda: shard_names(folder / "model.safetensors.index.json"),
                lambda: count_parameters(folder / "model.safetensors"),
            ]
            for look in looks:
                try:
                    look()
                except RapError as error:
                    _line(error)


COLUMNS = (
    "question",
    "problem",
    "answer",
    "image",
    "images",
    "conversations",
    "messages",
    "options",
    "prompt",
    "id",
    "solution",
)
row = some.dictionaries(some.sampled_from(COLUMNS), value, max_size=6) | value
SECTIONS = (
    "pool",
    "model",
    "prompt",
    "sampling",
    "grading",
    "selection",
    "ace",
    "execution",
    "storage",
    "r3",
    "plugins",
)
section = some.dictionaries(
    some.sampled_from(("path", "id", "rollouts", "seed", "lambda_c", "keep", "window")) | text, value, max_size=4
)
tree = some.dictionaries(some.sampled_from(SECTIONS), section | value, max_size=5) | value
tensor = (
    some.fixed_dictionaries({"dtype": some.sampled_from(["F32", "X"]), "shape": value, "data_offsets": value}) | value
)
model = (
    some.dictionaries(text | some.sampled_from(["weight_map", "eos_token_id", "num_hidden_layers"]), tensor, max_size=4)
    | value
)

PARSERS: dict[Callable[..., None], tuple[Any, ...]] = {
    answers: (text, text),
    boxes: (text | value.map(json.dumps),),
    clauses: (text, some.lists(value, max_size=4)),
    rows: (some.lists(row, min_size=1, max_size=5),),
    options: (tree, text),
    about: (tree, some.binary(max_size=200)),
    evidence: (some.floats(0, 1), some.binary(min_size=1, max_size=4096), some.booleans()),
    checkpoints: (model, some.binary(max_size=64)),
}
"""Every parser with what it is given."""


def fuzz(parser: Callable[..., None], examples: int, number: int | None = None) -> None:
    """Gives a parser so many random inputs; raises what it raised for the smallest one that it failed on."""
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    quiet = settings(
        max_examples=examples, deadline=None, database=None, phases=phases, suppress_health_check=list(HealthCheck)
    )
    run = quiet(given(*PARSERS[parser])(parser))
    (seed(number)(run) if number is not None else run)()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--examples", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=0)
    given_ = arguments.parse_args()
    for parser in PARSERS:
        began = time.perf_counter()
        fuzz(parser, given_.examples, given_.seed)
        print(f"{parser.__name__}: {given_.examples:,} inputs, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
