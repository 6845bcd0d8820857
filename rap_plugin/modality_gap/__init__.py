"""The modality gap (arXiv 2510.22836): the facts of a diagram in words beside it, or in the diagram alone."""

from __future__ import annotations

from rap_plugin.modality_gap.diagrams import MODEL_DIR, POOL_DIR, Diagram, make_pool

__all__ = ["MODEL_DIR", "POOL_DIR", "Diagram", "make_pool"]
