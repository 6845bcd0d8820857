"""verl: `prompt` as messages, `images`, and the gold answer in `reward_model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row, RowProblem
from rap_plugin.samples.formats.messages import problem_of, read_messages
from rap_plugin.samples.formats.values import from_json, gold_of, gold_text, good_values, images_of, source_of
from rap_plugin.samples.sample import RawSample


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """`prompt` and a `reward_model` that holds a ground truth."""
    if not {"prompt", "reward_model"} <= set(columns):
        return False
    rewards = [from_json(value) for value in good_values(first_rows, "reward_model")]
    return any(isinstance(reward, Mapping) and "ground_truth" in reward for reward in rewards)


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """A row as verl's RLHFDataset takes it; `images` holds {bytes, path}, `{image: ..}` parts or paths."""
    column = columns.question or "prompt"
    images = images_of(row, columns.images or ("images" if "images" in row else "image"))
    prompt = row.get(column)
    if prompt is None:
        raise RowProblem(f"the question is empty (column {column!r})")
    # Some tools write a plain text where verl itself wants messages.
    if isinstance(prompt, str) and not isinstance(from_json(prompt), list):
        question, references = prompt, images
    else:
        question, references = problem_of(read_messages(prompt), images)
    return RawSample(question, _gold(row, columns), references, source_of(row))


def _gold(row: Row, columns: ColumnChoice) -> str:
    if columns.answer is not None:
        return gold_of(row, columns.answer)
    reward = from_json(row.get("reward_model"))
    if not isinstance(reward, Mapping):
        raise RowProblem("reward_model is not an object with a ground_truth")
    return gold_text(reward.get("ground_truth"))


VERL = Format("verl", "verl: prompt messages, images, reward_model.ground_truth", detect, read)
