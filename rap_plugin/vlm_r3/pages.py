"""HTML pages that need nothing beside them: one row's looks, and what looking is worth.

Everything that a model or a pool says is escaped by the template; pictures are data URLs, and the page forbids all else.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from rap_plugin.vlm_r3.crops import CropLimits, crop
from rap_plugin.vlm_r3.trace import Look, Trace

if TYPE_CHECKING:
    from PIL.Image import Image

WIDEST = 1600
"""Pixels of an image's longer side in a page."""

ENDS = {
    "answer": "It ended with its answer",
    "end": "It ended its turn without a closed answer",
    "tokens": "It used up its tokens",
    "segments": "It used up its looks",
    "context": "There was no more room",
    "cancelled": "It was stopped",
    "engine_error": "The engine failed",
    "overlong": "The prompt is too long",
}


def trace_page(trace: Trace, question: str, images: Sequence[Image], model: str = "") -> str:
    """One row: the images with numbered boxes, and every text with the crop that it asked for."""
    numbers = {look.segment: at for at, look in enumerate(trace.looks, 1)}
    shown = []
    for number, image in enumerate(images):
        marks = [
            _mark(look, numbers[look.segment], image.width)
            for look in trace.looks
            if look.region and look.image == number
        ]
        width, height = image.size
        shown.append(
            {"data": data_url(_bounded(image)), "width": width, "height": height, "marks": marks, "number": number + 1}
        )
    steps = []
    for text, look, _ in trace.steps():
        step: dict[str, Any] = {"text": text.strip() or text}
        if look is not None:
            step |= {"number": numbers[look.segment], "problem": look.problem, "instead": look.instead}
            if look.shown is not None and look.region is not None and not look.instead:
                part = crop(images[look.image], look.region, CropLimits()).resize(look.shown)
                step |= {"crop": data_url(_bounded(part)), "width": look.shown[0], "height": look.shown[1]}
        steps.append(step)
    return _render(
        "trace.html.j2",
        question=question,
        images=shown,
        steps=steps,
        answer=trace.answer,
        ended=f"{ENDS[trace.ended]}{f' ({trace.error})' if trace.error else ''}",
        tokens=trace.tokens,
        crops=trace.crops,
        model=model,
    )


def looking_page(title: str, verdict: str, tables: Sequence[dict[str, Any]], about: str) -> str:
    """The page of `rap r3 faithfulness`, and the report of a run of the region loop."""
    return _render("faithfulness.html.j2", title=title, verdict=verdict, tables=tables, about=about)


def looking_part(verdict: str, tables: Sequence[dict[str, Any]], about: str) -> str:
    """The same as a part of another page, under a heading of that page."""
    return _render("looking.html.j2", heading="h3", verdict=verdict, tables=tables, about=about)


def data_url(image: Image) -> str:
    """A picture as PNG inside the page."""
    buffer = io.BytesIO()
    (image if image.mode in ("RGB", "L") else image.convert("RGB")).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _mark(look: Look, number: int, width: int) -> dict[str, Any]:
    assert look.region is not None
    left, top, right, bottom = look.region
    return {
        "number": number,
        "left": left,
        "top": top,
        "width": right - left,
        "height": bottom - top,
        "size": max(8, width // 36),
        "refused": bool(look.problem),
    }


def _bounded(image: Image) -> Image:
    scale = WIDEST / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _render(name: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("rap_plugin.vlm_r3", "templates"), autoescape=True)
    css = (files("rap_plugin.vlm_r3") / "templates" / "page.css").read_text("utf-8")
    return environment.get_template(name).render(css=css, **values)
