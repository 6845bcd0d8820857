"""The options of a run, by section.

Every option is a field here, with its unit and reason beside it; the command line, YAML files and the
documentation's tests are all made from these models.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

THINK_AND_BOX = (
    "First think about the problem inside <think></think>, then give the final answer on its own in \\boxed{}, as in "
    "<think>...</think> \\boxed{...}."
)

PRESET_INSTRUCTIONS = {"paper": THINK_AND_BOX, "released": THINK_AND_BOX}
"""What a preset puts behind every question: the method's training prompt, which asks for what its format reward looks for."""

SET_BY_RAP = {"add_generation_prompt", "return_dict", "return_tensors", "tokenize"}
"""Arguments of chat templates that an engine sets itself."""


class Section(BaseModel):
    """A part of the configuration; unknown names are errors, so that a typing slip is never silent."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)


class PoolConfig(Section):
    path: str = Field("", description="file, folder or hub id of the pool")
    format: str = Field("auto", description="name of a registered format, or auto")
    question: str | None = Field(None, description="column of the question, where detection is wrong")
    answer: str | None = Field(None, description="column of the gold answer")
    images: str | None = Field(None, description="column of the image or images")
    facts: str | None = Field(
        None,
        description="facts of the image in words: a column's name, file.py:function (row -> texts), or auto (what the "
        "format knows, else a column facts); nothing is read where it is not given",
    )
    image_root: str | None = Field(None, description="folder that relative image paths start from")
    split: str | None = Field(None, description="split of a datasets folder or hub id")
    limit: int | None = Field(None, ge=1, description="use the first N rows only")
    max_pixels: int = Field(64_000_000, ge=1, description="images with more pixels are quarantined undecoded")
    allow_urls: bool = Field(False, description="fetch images given as http(s) URLs, and pools from the hub")
    confined: bool = Field(
        False,
        description="read no image outside the pool's folder (or image_root), also through links: for pools of strangers",
    )
    own_instruction: Literal["keep", "remove"] | None = Field(
        None,
        description="what a pool itself asks for in its questions (MM-Eureka's <answer> tags); default: removed where "
        "prompt.instruction replaces it",
    )


class ModelConfig(Section):
    id: str = Field("", description="hub id or folder of the vision-language model")
    revision: str | None = Field(None, description="branch, tag or commit on the hub")
    engine: str = Field("hf", description="name of a registered engine")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on CUDA and MPS, float32 on a CPU"
    )
    device: str = Field("auto", description="auto: cuda, else mps, else cpu")
    batch_size: int | None = Field(
        None,
        ge=1,
        description="responses handed to the engine at a time, room for the longest; default: the engine's own",
    )
    min_pixels: int | None = Field(
        None,
        ge=1,
        description="images are enlarged to at least so many pixels for the model; default: its processor's own",
    )
    max_pixels: int | None = Field(
        None,
        ge=1,
        description="images are reduced to at most so many pixels for the model; default: its processor's own",
    )
    trust_remote_code: bool = Field(False, description="run code that the model's repository brings")
    options: dict[str, Any] = Field(default_factory=dict, description="further options of the chosen engine")


class SamplingConfig(Section):
    rollouts: int = Field(5, ge=1, le=62, description="M: responses per arm")
    temperature: float = Field(1.0, gt=0, description="sampling temperature")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling")
    max_prompt_tokens: int = Field(2048, ge=1, description="longer prompts are quarantined as overlong, never cut")
    max_new_tokens: int = Field(2048, ge=1, description="longest response")
    seed: int = Field(0, ge=0, lt=2**63, description="of all rollouts; part of the evidence key")
    attempts: int = Field(
        3,
        ge=1,
        description="how often a rollout or measurement that the engine fails on is tried, once a run, before it is final",
    )
    curtail: bool | None = Field(
        None,
        description="stop sampling a sample once its verdict is settled; default: on where no verdict depends on other "
        "samples (random, band, RAP without DRM)",
    )
    budget_rollouts: float | str | None = Field(
        None,
        description="score by instalments: so many rollouts in all, or a share of all as in 0.4 or 40%; spent where a "
        "verdict is open",
    )

    @field_validator("budget_rollouts", mode="before")
    @classmethod
    def _number_or_share(cls, given: Any) -> float | None:
        if given is None:
            return None
        text = str(given).strip()
        try:
            value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf or (value > 1 and (text.endswith("%") or value != int(value))):
            raise ValueError("a number of rollouts is expected, or a share of them as in 0.4 or 40%")
        return value

    def rollouts_of_budget(self, whole: int) -> int | None:
        """The budget as a number of rollouts, where all of them are `whole`; None without a budget."""
        if self.budget_rollouts is None:
            return None
        value = float(self.budget_rollouts)
        return min(whole, int(value) if value > 1 else max(1, int(value * whole + 0.5)))


class PromptConfig(Section):
    instruction: str | None = Field(
        None,
        description="put after every question, behind one space; default: the preset's, which asks for <think></think> and "
        "\\boxed{}, and none where a host builds the prompts",
    )
    system: str = Field("", description="system message")
    blind: Literal["drop", "blank", "noise", "shuffle"] = Field(
        "drop", description="the counterfactual: images dropped, or blank / noise / another sample's"
    )
    template_options: dict[str, Any] = Field(
        default_factory=dict, description="arguments of the model's chat template, as in {enable_thinking: false}"
    )
    host_recipe: str = Field("", description="hash of a host's own prompt recipe, where the host builds the prompts")

    @field_validator("template_options")
    @classmethod
    def _not_raps_own(cls, options: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(SET_BY_RAP & set(options)):
            raise ValueError(f"{', '.join(taken)} is set by rap itself")
        return options


class GradingConfig(Section):
    grader: str = Field("auto", description="math, choice, text, auto, a registered name, or file.py:function")
    timeout_s: float = Field(5.0, gt=0, description="seconds for one response")
    workers: int = Field(2, ge=1, description="worker processes")
    format_weight: float | None = Field(
        None, ge=0, le=1, description="share of the format reward; default 0, 0.1 under preset released"
    )
    rtol: float = Field(
        0.0, ge=0, description="relative tolerance of numbers beside the grader's own; PGPS9K's is 0.01"
    )
    alternatives: bool = Field(False, description="a gold answer holds several, separated by / (VLM-R3)")
    right_at: float = Field(0.5, description="a user function's reward from which a response counts as right")


class AceConfig(Section):
    enabled: bool | None = Field(
        None,
        description="measure attention where the engine can; default: where the selection reads it (the paper's RAP with "
        "ACE, top by psi or entropy, a plugin's selector)",
    )
    reduction: Literal["window", "suffix"] = Field(
        "window", description="psi over windows of w rows, or over each column's whole suffix"
    )
    heads: Literal["max", "mean"] = Field("max", description="how attention heads become one map")
    window: Literal[5, 10, 20] = Field(10, description="w rows")
    sigma: float = Field(2.0, gt=0, description="factor on every attention weight")
    over_rollouts: Literal["max", "mean"] = Field("max", description="a sample's psi from its rollouts' psi")


class SelectionConfig(Section):
    selector: str = Field("rap", description="name of a registered selector")
    preset: Literal["paper", "released"] = Field("paper", description="RAP as the paper or the released script has it")
    lambda_c: float = Field(0.5, ge=-1, le=1, description="CDE: keep where discrepancy is above")
    lambda_a: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        0.1, description="ACE: discard where psi is above; auto = psi_quantile of the pool"
    )
    psi_quantile: Annotated[float, Field(gt=0, lt=1)] = Field(0.95, description="the quantile that lambda_a=auto takes")
    keep: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="budget as a share of the usable samples; it thins the selection evenly, or lowers lambda_c to widen it",
    )
    min_graded: int | None = Field(
        None, ge=1, description="graded rollouts that an arm needs to be judged on; default: more than half of M"
    )
    unmeasured: Literal["pass", "discard"] = Field(
        "pass", description="ACE: what becomes of a sample whose psi was not measured"
    )
    cde: bool = Field(True, description="off: no causal discrepancy test (ablation)")
    ace: bool = Field(True, description="off: no attention test (ablation)")
    drm: bool = Field(True, description="off: no difficulty-aware replacement (ablation)")
    hard_requires_discrepancy: bool = Field(False, description="hard replacements need a positive discrepancy")
    hard_requires_confidence: bool = Field(True, description="hard replacements have to pass ACE, as in the paper")
    band: tuple[float, float] = Field((0.2, 0.8), description="selector band: image accuracy from .. to, inclusive")
    limr_threshold: float = Field(0.6, le=1, description="selector limr: alignment score from which a sample is kept")
    size_multiple: int = Field(
        1, ge=1, description="bring the number of selected rows to a multiple of this; hosts set it from their batches"
    )
    size_minimum: int = Field(0, ge=0, description="bring the number of selected rows to at least this")
    size_by: Literal["fill", "cut", "repeat"] = Field(
        "fill", description="how: fill up with the next best samples, cut the last, or have hosts repeat rows"
    )
    score: str = Field("discrepancy", description="selector top: the score to rank by")
    seed: int = Field(42, ge=0, lt=2**63, description="of the selectors random and follow, and of released's draw")

    @field_validator("band")
    @classmethod
    def _in_order(cls, band: tuple[float, float]) -> tuple[float, float]:
        low, high = band
        if not 0 <= low <= high <= 1:
            raise ValueError("two accuracies between 0 and 1 are expected, the lower one first")
        return band


class ExecutionConfig(Section):
    executor: Literal["local", "ray"] = Field(
        "local", description="where responses are sampled: in this process, or by Ray workers with an engine each"
    )
    workers: int = Field(1, ge=1, description="Ray workers; the result is the same for any number")
    gpus_per_worker: float | None = Field(
        None,
        ge=0,
        description="GPUs of each Ray worker; default: tensor_parallel_size of the engine, else 1, where the cluster has any",
    )
    cpus_per_worker: int | None = Field(
        None,
        ge=1,
        description="processor threads of each Ray worker; default: this machine's shared out, 1 on an existing cluster",
    )
    tokens_in_flight: int | None = Field(
        None,
        ge=1,
        description="tokens of prompts and longest responses at work in one engine that streams (vllm, OpenRLHF's); default: "
        "model.batch_size times the longest prompt and response",
    )
    answer_within_s: float = Field(
        7200.0,
        gt=0,
        description="a Ray worker or OpenRLHF engine with work that ends nothing for so many seconds is given up as hung; so are engines "
        "hf and vllm when one step takes longer",
    )
    address: str | None = Field(
        None,
        description="an existing Ray cluster: auto or host:port; default: $RAY_ADDRESS, else a local cluster for this run",
    )


class StorageConfig(Section):
    evidence: Literal["auto", "direct", "local"] = Field(
        "auto",
        description="where evidence is written: direct in the run directory, or on this machine's disk (local) with snapshots "
        "there; auto: direct, but local where the run directory is on FUSE",
    )
    local_dir: str | None = Field(
        None, description="folder on this machine's own disk for that; default: $TMPDIR or /tmp"
    )
    snapshots: str | None = Field(
        None, description="URL that fsspec knows (s3://bucket/run, ..) for the snapshots, in place of the run directory"
    )
    snapshot_s: float = Field(60.0, ge=0, description="seconds between snapshots")


class R3Config(Section):
    instruction: str | None = Field(
        None, description="put after every question; default: asks for boxes in JSON and for <answer></answer>"
    )
    coordinates: Literal["auto", "resized", "normalised", "raw"] = Field(
        "auto",
        description="of boxes: pixels of the image as the model's processor resizes it, thousandths, or pixels of the image "
        "as it came; auto: what the model's family writes",
    )
    rollouts: int = Field(1, ge=1, le=62, description="answers per problem")
    temperature: float = Field(0.0, ge=0, description="sampling temperature; 0 is greedy")
    max_segments: int = Field(12, ge=1, description="boxes that a row may ask for, shown or not")
    max_crops: int = Field(8, ge=0, description="crops that a row is shown")
    min_crop_pixels: int = Field(32 * 28 * 28, ge=1, description="a crop is enlarged to at least so many pixels")
    max_crop_pixels: int = Field(4096 * 28 * 28, ge=1, description="a crop is reduced to at most so many pixels")
    max_crop_tokens: int = Field(
        8192, ge=0, description="tokens of crops and messages that a row has room for beside prompt and answer"
    )
    min_side: int = Field(4, ge=1, description="pixels of the image that a region has at least, each way")
    boxes: str | None = Field(
        None,
        description="column of the pool with the boxes of the evidence, [x1, y1, x2, y2] in pixels of the image; default: "
        "evidence_boxes, bboxs, bboxes, bbox or bbox_2d where there is one",
    )


READ_FACTS = ("acc_facts", "modality_gap")
"""Built-in scores of the arm that shows the facts in words beside the image."""

READ_WITHOUT_ATTENTION = ("acc_image", "acc_blind", "discrepancy", "difficulty", "alignment", *READ_FACTS)
"""Built-in scores that attention is no part of."""


class RunConfig(Section):
    """Everything that `rap select` needs; `run.json` stores it whole."""

    pool: PoolConfig = Field(default_factory=PoolConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    prompt: PromptConfig = Field(default_factory=PromptConfig)
    grading: GradingConfig = Field(default_factory=GradingConfig)
    ace: AceConfig = Field(default_factory=AceConfig)
    selection: SelectionConfig = Field(default_factory=SelectionConfig)
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
    storage: StorageConfig = Field(default_factory=StorageConfig)
    r3: R3Config = Field(default_factory=R3Config)
    plugins: list[str] = Field(
        default_factory=list, description="plugin files (path.py) to load beside the installed ones"
    )

    @model_validator(mode="after")
    def _complete(self) -> RunConfig:
        """Fills in the defaults that depend on other options, so that a run's file holds what was used."""
        if self.prompt.instruction is None:
            text = "" if self.prompt.host_recipe else PRESET_INSTRUCTIONS[self.selection.preset]
            self.prompt = self.prompt.model_copy(update={"instruction": text})
        if self.pool.own_instruction is None:
            own = "remove" if self.prompt.instruction else "keep"
            self.pool = self.pool.model_copy(update={"own_instruction": own})
        if self.reads_facts and self.pool.facts is None:
            self.pool = self.pool.model_copy(update={"facts": "auto"})
        return self

    @property
    def least_graded(self) -> int:
        """Graded rollouts that an arm needs to be judged on: more than half of M where nothing else is given."""
        given = self.selection.min_graded
        return self.sampling.rollouts // 2 + 1 if given is None else min(given, self.sampling.rollouts)

    @property
    def measures_attention(self) -> bool:
        """Whether attention is wanted: as `ace.enabled` says, else where the selection reads it."""
        if self.ace.enabled is not None:
            return self.ace.enabled
        chosen = self.selection
        if chosen.selector == "rap":
            return chosen.preset == "paper" and chosen.ace
        if chosen.selector == "top":
            return chosen.score not in READ_WITHOUT_ATTENTION
        return chosen.selector not in ("random", "band", "limr", "gap", "follow")

    @property
    def reads_facts(self) -> bool:
        """Whether the selection reads the third arm, whose prompts hold the facts of the image in words."""
        chosen = self.selection
        return chosen.selector == "gap" or (chosen.selector == "top" and chosen.score in READ_FACTS)

    @property
    def format_weight(self) -> float:
        """The share of the format reward in force (released RAP code: 0.9 accuracy + 0.1 format)."""
        if self.grading.format_weight is not None:
            return self.grading.format_weight
        return 0.1 if self.selection.preset == "released" else 0.0
