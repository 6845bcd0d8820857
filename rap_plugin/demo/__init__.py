"""The demo that ships with the package: a 1.7 M-parameter vision-language model and a pool whose roles are known.

Both are made by scripts of the repository (`train_demo_model.py`, `make_demo_pool.py`) from scikit-learn's handwritten digits; the pool
shows digits that the model was not trained on. `model/README.md` is the model's card.
"""

from pathlib import Path

__all__ = ["MODEL_DIR", "POOL_PATH"]

MODEL_DIR: Path = Path(__file__).parent / "model"
"""Folder of the demo model, as `AutoModelForImageTextToText.from_pretrained` reads it."""

POOL_PATH: Path = Path(__file__).parent / "pool.parquet"
"""The demo pool: columns id, problem (one `<image>` placeholder), answer, images, role, needs_image, kind."""
