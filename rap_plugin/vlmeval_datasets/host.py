"""The classes that VLMEvalKit sees. It has no plugin mechanism: its registries are lists and dictionaries that are
read when a name is looked up, so entries added before its program runs are as good as its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.evaluation.task_names import DATASETS
from rap_plugin.vlmeval_datasets.r3_model import prompt_of, r3_model_class
from rap_plugin.vlmeval_datasets.score import score_file
from rap_plugin.vlmeval_datasets.tsv import write_tsv


def register() -> None:
    """Adds our data sets (`RAP_..`) and the model classes `RapModel` and `RapR3Model` to the VLMEvalKit that can be imported."""
    import vlmeval.dataset
    import vlmeval.vlm

    if "RAP_MMStar" in vlmeval.dataset.SUPPORTED_DATASETS:
        return
    dataset = dataset_class()
    vlmeval.dataset.DATASET_CLASSES.append(dataset)
    vlmeval.dataset.SUPPORTED_DATASETS.extend(dataset.supported_datasets())
    vlmeval.dataset.RapDataset = dataset
    vlmeval.vlm.RapModel = model_class()
    vlmeval.vlm.RapR3Model = r3_model_class()


def dataset_class() -> Any:
    """The class of all our data sets."""
    from vlmeval.dataset.image_base import ImageBaseDataset
    from vlmeval.smp import LMUDataRoot, load

    from rap_plugin.evaluation.prompts import prompt_text

    class RapDataset(ImageBaseDataset):  # type: ignore[misc]
        """A part of a benchmark; rows without an image are kept and asked without one."""

        TYPE = "VQA"
        DEFAULT_JUDGE = None
        # Our prompt is part of the benchmark: a model's own prompt would be another one.
        force_use_dataset_prompt = True

        def __init__(self, dataset: str = "RAP_MMStar", skip_noimg: bool = False) -> None:
            super().__init__(dataset=dataset, skip_noimg=False)

        @classmethod
        def supported_datasets(cls) -> list[str]:
            return list(DATASETS)

        def load_data(self, dataset: str) -> Any:
            try:
                path = write_tsv(dataset, Path(LMUDataRoot()))
            except RapError as error:
                raise SystemExit(f"rap: {error}") from None
            data = load(str(path))
            for column in ("id", "question", "answer", "kind"):
                data[column] = [str(value) for value in data[column]]
            # The base class takes a column of images for granted to be whole, so those without one stand aside.
            self.images = dict(zip(data["index"], data.pop("image"), strict=True))
            return data

        def dump_image(self, line: Any) -> list[str]:
            image = self.images.get(int(line["index"]))
            if not isinstance(image, str) or not image:
                return []
            return list(super().dump_image({"index": int(line["index"]), "image": image}))

        def build_prompt(self, line: Any) -> list[dict[str, str]]:
            line = self.data.iloc[line] if isinstance(line, int) else line
            shown = [{"type": "image", "value": path} for path in self.dump_image(line)]
            text = prompt_text(line["question"], line["kind"])
            return [*shown, {"type": "text", "value": text}]

        def evaluate(self, eval_file: str, **judge_kwargs: Any) -> dict[str, float]:
            try:
                return score_file(self.dataset_name, Path(eval_file), judge_kwargs)
            except RapError as error:
                raise SystemExit(f"rap: {error}") from None

        @classmethod
        def report_primary_metric(cls, metrics: dict[str, Any] | None) -> dict[str, Any]:
            # The headline comes first in what `evaluate` gives.
            return dict(list((metrics or {}).items())[:1])

    return RapDataset


def model_class() -> Any:
    """A model class for `--config`: any of our engines."""
    from vlmeval.vlm.base import BaseModel

    from rap_plugin.config import ModelConfig
    from rap_plugin.plugins import get_plugins
    from rap_plugin.rollout import Request, Sampling

    class RapModel(BaseModel):  # type: ignore[misc]
        """{"class": "RapModel", "pretrained": "ID", "engine": "hf", "max_new_tokens": 8192, "temperature": 0}."""

        INTERLEAVE = True

        def __init__(
            self,
            pretrained: str,
            engine: str = "hf",
            max_new_tokens: int = 8192,
            max_prompt_tokens: int = 32_768,
            temperature: float = 0.0,
            top_p: float = 1.0,
            seed: int = 0,
            **config: Any,
        ) -> None:
            super().__init__()
            settings = ModelConfig.model_validate({"id": pretrained, "engine": engine, **config})
            self._engine = get_plugins().registry().get("engines", engine)(settings)
            self._sampling = Sampling(temperature or 1e-4, top_p, max_prompt_tokens, max_new_tokens, seed)

        def generate_inner(self, message: list[dict[str, str]], dataset: str | None = None) -> str:
            prompt = prompt_of(message, dataset)
            response = self._engine.generate([Request(prompt, (0,))], self._sampling)[0][0]
            return response.text if response.status == "ok" else f"Failed to obtain answer: {response.error}"

    return RapModel
