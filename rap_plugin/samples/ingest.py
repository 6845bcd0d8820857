"""Ingest: every row of a pool becomes exactly one sample or one quarantined row, in order, as a stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rap_plugin.config import PoolConfig
from rap_plugin.errors import Option, RapError, one_line, without_secrets
from rap_plugin.samples.facts import find_facts
from rap_plugin.samples.formats import BUILTIN_FORMATS
from rap_plugin.samples.formats.base import ColumnChoice, FactsOf, Format, RowProblem
from rap_plugin.samples.images import check_image, image_bytes, image_size
from rap_plugin.samples.other_media import other_medium
from rap_plugin.samples.pool import BadRow, Pool, Row
from rap_plugin.samples.sample import IMAGE, ImageProblem, Quarantined, RawSample, Sample, sample_id

CheckGold = Callable[[str, str], "str | None"]
"""`check_gold(gold, question)`: why the grader cannot use this gold answer, or None."""

MAX_GOLD = 64_000
"""Characters of a gold answer: of a response only so many are read, so that a longer one is never met."""

READ_ROWS = 16
"""Rows read from the container at once."""

MAX_THREADS = 8
MAX_IMAGES = 64
"""Images of one sample: more is a broken row, not a problem."""


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of one pool: its format and its columns."""

    format: Format
    columns: ColumnChoice
    root: Path
    allow_urls: bool
    own_instruction: str | None = None
    """`remove` takes off what the pool itself asks for in its questions."""
    facts: FactsOf | None = None
    """What reads a row's facts, where they are asked for."""
    confined: bool = False
    """No image outside `root` is read."""

    def raw(self, row: Row) -> RawSample:
        """The row as a problem with exactly one placeholder per image. Raises RowProblem."""
        if isinstance(row, BadRow):
            raise RowProblem(row.reason)
        try:
            raw = self.format.read(row, self.columns)
            facts = tuple(self.facts(row)) if self.facts is not None else ()
        except RowProblem:
            raise
        except Exception as error:
            raise RowProblem(f"not readable as {self.format.name} ({one_line(error)})") from None
        if len(raw.images) > MAX_IMAGES:
            raise RowProblem(f"{len(raw.images)} images; a sample may have {MAX_IMAGES}")
        texts = [("question", raw.question), ("gold answer", raw.gold), ("source", raw.source)]
        for what, text in (*texts, *(("facts", fact) for fact in facts)):
            if not _is_unicode(text):
                raise RowProblem(
                    f"the {what} has half a character in it (a lone surrogate), which no model can be given"
                )
        if other := other_medium(row, raw):
            raise RowProblem(other)
        question = raw.question
        if self.own_instruction == "remove":
            question = self.format.without_own_instruction(question)
        return RawSample(placed(question, len(raw.images)), raw.gold.strip(), raw.images, raw.source, facts)


@dataclass(frozen=True)
class _Loaded:
    raw: RawSample
    images: tuple[bytes, ...]
    sizes: tuple[tuple[int, int], ...]


def choose_format(pool: Pool, config: PoolConfig, formats: Mapping[str, Format]) -> RowReader:
    """Finds the format and the columns of a pool, by name or from its first rows.

    Formats that plugins brought are asked first (they know their pool better), the plain one last. Raises RapError for
    an unknown format, a column that does not exist, and columns that cannot be told apart.
    """
    rows = [row for row in pool.head if not isinstance(row, BadRow)]
    if not rows and pool.head:
        what = f"none of the first {len(pool.head)} rows can be read ({_bad(pool.head[0])})"
        raise RapError(f"{pool.path}: {what}; is this a {pool.kind} file?")
    for name, column in (("question", config.question), ("answer", config.answer), ("images", config.images)):
        if column is not None and column not in pool.columns:
            raise RapError(
                f"{pool.path}: no column {column!r} (", Option(f"pool.{name}"), f"); columns: {', '.join(pool.columns)}"
            )
    given = ColumnChoice(config.question, config.answer, config.images)
    chosen = _named(config.format, formats) if config.format != "auto" else _detected(pool, rows, formats)
    try:
        columns = chosen.choose(pool.columns, rows, given)
    except RapError as error:
        raise RapError(f"{pool.path}: ", error) from None
    except Exception as error:
        raise _failed(chosen, pool, error) from error
    facts = find_facts(config.facts, chosen.facts, pool.columns, pool.path) if config.facts else None
    return RowReader(chosen, columns, pool.root, config.allow_urls, config.own_instruction, facts, config.confined)


def ingest(
    pool: Pool,
    config: PoolConfig,
    *,
    check_gold: CheckGold | None = None,
    formats: Mapping[str, Format],
    on_progress: Callable[[int], None] | None = None,
    threads: int | None = None,
    keep_duplicates: bool = False,
) -> Iterator[Sample | Quarantined]:
    """Every row in order as a `Sample` or a `Quarantined`, `config.limit` applied.

    Images are loaded and decoded whole on `threads` threads (default: the cores, at most 8); a few rows a thread are in
    memory at a time. An empty gold answer is refused even without `check_gold`. Of rows with the same images, question
    and gold answer the first stays, or with `keep_duplicates` all. `on_progress` is called with the number of rows done. RapError for what the user
    must mend comes before the first row; after that one bad row never stops the stream.
    """
    reader = choose_format(pool, config, formats)
    count = min(len(pool), config.limit or len(pool))
    threads = threads or min(MAX_THREADS, os.cpu_count() or 1)
    judge = partial(_judge, check_gold=check_gold, first_rows=None if keep_duplicates else {})
    return _stream(pool, reader, count, config.max_pixels, judge, on_progress, threads)


def load_samples(
    pool: Pool,
    config: PoolConfig,
    rows: Sequence[int],
    formats: Mapping[str, Format],
    ids: Sequence[str] | None = None,
) -> list[Sample]:
    """Samples that an earlier `ingest` has passed, again and without its checks, in the order of `rows`.

    With `ids`, the samples' known ids, a changed row is noticed. Raises RapError that names a row which has changed or
    vanished.
    """
    reader = choose_format(pool, config, formats)

    def load(number: int, row: Row) -> Sample:
        try:
            raw = reader.raw(row)
            images = tuple(
                image_bytes(image, reader.root, allow_urls=reader.allow_urls, confined=reader.confined)
                for image in raw.images
            )
            sizes = tuple(map(image_size, images))
        except (RowProblem, ImageProblem) as problem:
            raise RapError(
                f"{pool.path}: row {number} was usable before ({problem.reason}); restore it or start a new run"
            ) from None
        return Sample(
            sample_id(raw.question, raw.gold, images),
            number,
            raw.question,
            raw.gold,
            images,
            raw.source,
            sizes,
            raw.facts,
        )

    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as executor:
        samples = list(executor.map(load, rows, pool.rows(rows)))
    for sample, known in zip(samples, ids or [], strict=ids is not None):
        if sample.id != known:
            raise RapError(
                f"{pool.path}: row {sample.row} has changed since it was ingested; restore it or start a new run"
            )
    return samples


def placed(question: str, images: int) -> str:
    """The question with exactly one `<image>` per image, missing ones put in front. Raises RowProblem."""
    places = question.count(IMAGE)
    if places > images:
        raise RowProblem(
            f"{places} {IMAGE} placeholder{'s' * (places > 1)} for {images or 'no'} image{'s' * (images != 1)}"
        )
    if not question.replace(IMAGE, "").strip():
        raise RowProblem("the question is empty")
    return IMAGE * (images - places) + question


def _stream(
    pool: Pool,
    reader: RowReader,
    count: int,
    max_pixels: int,
    judge: Callable[[int, Future[_Loaded]], Sample | Quarantined],
    on_progress: Callable[[int], None] | None,
    threads: int,
) -> Iterator[Sample | Quarantined]:
    waiting: deque[tuple[int, Future[_Loaded]]] = deque()
    executor = ThreadPoolExecutor(threads, thread_name_prefix="rap-ingest")

    def finished() -> Sample | Quarantined:
        number, future = waiting.popleft()
        item = judge(number, future)
        if on_progress is not None:
            on_progress(number + 1)
        return item

    try:
        for start in range(0, count, READ_ROWS):
            numbers = range(start, min(start + READ_ROWS, count))
            for number, row in zip(numbers, pool.rows(numbers), strict=True):
                waiting.append((number, executor.submit(_load, reader, row, max_pixels)))
                if len(waiting) > 2 * threads:
                    yield finished()
        while waiting:
            yield finished()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _load(reader: RowReader, row: Row, max_pixels: int) -> _Loaded:
    raw = reader.raw(row)
    if not any(character.isprintable() and not character.isspace() for character in raw.gold[:MAX_GOLD]):
        raise RowProblem("the gold answer is empty", "ungradable_gold")
    if len(raw.gold) > MAX_GOLD:
        reason = (
            f"the gold answer is {len(raw.gold):,} characters long, more than {MAX_GOLD:,} (what is read of a response)"
        )
        raise RowProblem(reason, "ungradable_gold")
    images: list[bytes] = []
    sizes: list[tuple[int, int]] = []
    for position, reference in enumerate(raw.images):
        try:
            data = image_bytes(reference, reader.root, allow_urls=reader.allow_urls, confined=reader.confined)
            sizes.append(check_image(data, max_pixels))
        except ImageProblem as problem:
            name = f"image {position + 1} of {len(raw.images)}" if len(raw.images) > 1 else "image"
            raise RowProblem(f"{name}{_called(reference)}: {problem.reason}", problem.status) from None
        images.append(data)
    return _Loaded(raw, tuple(images), tuple(sizes))


def _judge(
    number: int, future: Future[_Loaded], check_gold: CheckGold | None, first_rows: dict[str, int] | None
) -> Sample | Quarantined:
    try:
        loaded = future.result()
    except RowProblem as problem:
        return Quarantined(number, problem.status, _printable(problem.reason))
    except Exception as error:
        return Quarantined(number, "malformed_row", f"not readable ({one_line(error)})")
    raw = loaded.raw
    identity = sample_id(raw.question, raw.gold, loaded.images)
    # Seen first, so that a copy of an ungradable row is ungradable too and not the copy of a row that is not there.
    reason = _gold_problem(check_gold, raw)
    if reason is not None:
        return Quarantined(number, "ungradable_gold", _printable(reason), identity)
    first = number if first_rows is None else first_rows.setdefault(identity, number)
    if first != number:
        return Quarantined(number, "duplicate", f"same images, question and answer as row {first}", identity)
    return Sample(identity, number, raw.question, raw.gold, loaded.images, raw.source, loaded.sizes, raw.facts)


def _gold_problem(check_gold: CheckGold | None, raw: RawSample) -> str | None:
    if check_gold is None:
        return None
    try:
        return check_gold(raw.gold, raw.question)
    except RapError:
        raise
    except Exception as error:
        return f"the grader failed on the gold answer ({one_line(error)})"


def _named(name: str, formats: Mapping[str, Format]) -> Format:
    if name not in formats:
        raise RapError(f"unknown format {name!r} (", Option("pool.format"), f"); known: {', '.join(formats)}")
    return formats[name]


def _detected(pool: Pool, rows: Sequence[Mapping[str, Any]], formats: Mapping[str, Format]) -> Format:
    brought = [format for name, format in formats.items() if name not in BUILTIN_FORMATS]
    builtin = [formats[name] for name in BUILTIN_FORMATS if name in formats]
    for candidate in (*brought, *builtin):
        try:
            if candidate.detect(pool.columns, rows):
                return candidate
        except Exception as error:
            raise _failed(candidate, pool, error) from error
    raise RapError(
        f"{pool.path}: no format fits; columns: {', '.join(pool.columns)}; choose one with ", Option("pool.format")
    )


def _failed(chosen: Format, pool: Pool, error: Exception) -> RapError:
    """What a format of a plugin raised."""
    what = f"format {chosen.name!r} failed on {pool.path} ({one_line(error)}); choose one with "
    return RapError(what, Option("pool.format"))


def _called(reference: Any) -> str:
    """The image's name in front of what is wrong with it, where it has a short one."""
    if isinstance(reference, Mapping):
        reference = reference.get("path") or reference.get("image") or reference.get("url")
    text = str(reference) if isinstance(reference, str) or type(reference).__name__ == "FirstOf" else ""
    return f" {text[:200]}" if text and len(text) < 1000 and not text.startswith("data:") else ""


def _bad(row: Row) -> str:
    return row.reason if isinstance(row, BadRow) else ""


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> str:
    """A reason fit for a terminal and a file: reasons quote file names and bytes of the data."""
    line = without_secrets(" ".join(text[:2000].split()))
    return "".join(character if character.isprintable() else "?" for character in line)[:500]
