"""What the YAML files of all tasks name: a prepared row as prompt, images and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rap_plugin.evaluation.judge import judge_from_environment
from rap_plugin.evaluation.measures import record_of
from rap_plugin.evaluation.prepared_data import item_of
from rap_plugin.evaluation.prompts import prompt_text
from rap_plugin.evaluation.scoring import score_response

Doc = Mapping[str, Any]


def doc_to_text(doc: Doc, lmms_eval_specific_kwargs: Mapping[str, Any] | None = None) -> str:
    """The prompt. A task of the direct form brings its official instruction as `direct`."""
    direct = (lmms_eval_specific_kwargs or {}).get("direct")
    return prompt_text(doc["question"], doc["kind"], "direct" if direct else "reasoned", direct)


def doc_to_visual(doc: Doc) -> list[Any]:
    """The image, upright and RGB as everywhere in this package; nothing for a problem without one."""
    image = doc["image"]
    if image is None:
        return []
    from PIL import ImageOps

    return [ImageOps.exif_transpose(image).convert("RGB")]


def doc_to_visual_blind(doc: Doc) -> list[Any]:
    """Nothing: the same prompt without its image."""
    return []


def doc_to_target(doc: Doc) -> str:
    """The gold answer."""
    return str(doc["gold"])


class Carrier(str):
    """A problem's id that carries its record to the aggregation of one more measure: log files then hold the record
    once, under `accuracy`, and not once a measure."""

    record: dict[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return carry, (self.record,)


def carry(record: dict[str, Any]) -> Carrier:
    """The carrier of a record."""
    carrier = Carrier(record["id"])
    carrier.record = record
    return carrier


def process_results(doc: Doc, results: Sequence[str], measures: Sequence[str]) -> dict[str, Any]:
    """The record of one problem for every measure of its benchmark."""
    item = item_of({**doc, "image": None})
    judge = judge_from_environment()
    # A model that failed may give None: that says nothing, and not "None".
    said = ["" if response is None else str(response) for response in results]
    record = record_of(item, [score_response(item, response, judge) for response in said])
    held = {name: value for name, value in record.items() if value is not None}
    return {name: held if name == "accuracy" else carry(record) for name in measures}
