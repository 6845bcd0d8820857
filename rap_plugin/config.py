"""The configuration of a run: one YAML file = the command line flags.

Every option is a field here, with its unit and reason beside it; the command line, YAML files and the
documentation's tests are all made from these models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from rap_plugin.errors import Command, Option, RapError, one_line


class Section(BaseModel):
    """A part of the configuration; unknown names are errors, so that a typing slip is never silent."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)


class PoolConfig(Section):
    path: str = Field("", description="file, folder or hub id of the pool")
    format: str = Field("auto", description="name of a registered format, or auto")
    question: str | None = Field(None, description="column of the question, where detection is wrong")
    answer: str | None = Field(None, description="column of the gold answer")
    images: str | None = Field(None, description="column of the image or images")
    image_root: str | None = Field(None, description="folder that relative image paths start from")
    split: str | None = Field(None, description="split of a datasets folder or hub id")
    limit: int | None = Field(None, ge=1, description="use the first N rows only")
    max_pixels: int = Field(64_000_000, ge=1, description="images with more pixels are quarantined undecoded")
    allow_urls: bool = Field(False, description="fetch images given as http(s) URLs, and pools from the hub")


class ModelConfig(Section):
    id: str = Field("", description="hub id or folder of the vision-language model")
    revision: str | None = Field(None, description="branch, tag or commit on the hub")
    engine: str = Field("hf", description="name of a registered engine")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on CUDA and MPS, float32 on a CPU"
    )
    device: str = Field("auto", description="auto: cuda, else mps, else cpu")
    batch_size: int | None = Field(
        None, ge=1, description="responses handed to the engine at a time; default: the engine's own"
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
    seed: int = Field(0, ge=0, description="of all rollouts; part of the evidence key")
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


class PromptConfig(Section):
    instruction: str = Field("", description="put after every question, behind one space")
    system: str = Field("", description="system message")
    blind: Literal["drop", "blank", "noise", "shuffle"] = Field(
        "drop", description="the counterfactual: images dropped, or blank / noise / another sample's"
    )
    host_recipe: str = Field("", description="hash of a host's own prompt recipe, where the host builds the prompts")


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
    seed: int = Field(42, ge=0, description="of the random selector and of released's draw")

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
    address: str | None = Field(
        None,
        description="an existing Ray cluster: auto or host:port; default: $RAY_ADDRESS, else a local cluster for this run",
    )


READ_WITHOUT_ATTENTION = ("acc_image", "acc_blind", "discrepancy", "difficulty", "alignment")
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
    plugins: list[str] = Field(
        default_factory=list, description="plugin files (path.py) to load beside the installed ones"
    )

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
        return chosen.selector not in ("random", "band", "limr")

    @property
    def format_weight(self) -> float:
        """The share of the format reward in force (released RAP code: 0.9 accuracy + 0.1 format)."""
        if self.grading.format_weight is not None:
            return self.grading.format_weight
        return 0.1 if self.selection.preset == "released" else 0.0


def load_config(
    path: str | Path | None = None,
    flags: Mapping[str, Any] | None = None,
    assignments: Iterable[str] = (),
    base: RunConfig | None = None,
) -> RunConfig:
    """Builds the configuration: `base` (or the defaults) < YAML file < `--set a.b=c` < flags.

    `flags` maps dotted names to values; None means "not given".
    """
    tree: dict[str, Any] = base.model_dump() if base else {}
    in_file: dict[str, Any] = {} if path is None else _read_yaml(Path(path))
    _merge(tree, in_file)
    assigned: dict[str, Any] = {}
    for name, value in _read_assignments(assignments):
        for target in (tree, assigned):
            _assign(target, name, value)
    for name, value in (flags or {}).items():
        if value is not None:
            _assign(tree, name, value)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, path, in_file, assigned) from None


def given_options(
    path: str | Path | None = None, flags: Mapping[str, Any] | None = None, assignments: Iterable[str] = ()
) -> set[str]:
    """The dotted names of the options that a call of `load_config` is given."""
    tree: dict[str, Any] = {} if path is None else _read_yaml(Path(path))
    given_flags = [(name, value) for name, value in (flags or {}).items() if value is not None]
    for name, value in (*_read_assignments(assignments), *given_flags):
        _assign(tree, name, value)
    return {name for name in option_names() if _is_set(tree, name.split("."))}


def _is_set(tree: Any, where: Iterable[str]) -> bool:
    for name in where:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return True


def _read_assignments(assignments: Iterable[str]) -> list[tuple[str, Any]]:
    """`NAME=VALUE` as dotted names with their values."""
    found = []
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise RapError(f"--set {assignment}: expected NAME=VALUE, for example --set sampling.rollouts=8")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RapError(f"--set {assignment}: the value is not YAML ({one_line(error)})") from None
        found.append((name.strip(), value))
    return found


def option_names(model: type[BaseModel] = RunConfig, prefix: str = "") -> list[str]:
    """All options as dotted names, in the order of their definition."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += option_names(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def field_of(name: str) -> FieldInfo:
    """The configuration's field behind a dotted name."""
    section, field = name.split(".")
    kind = RunConfig.model_fields[section].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    return kind.model_fields[field]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RapError(f"{path}: cannot read the configuration ({error.strerror}); check ", Option("config")) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RapError(f"{path}: not a YAML file ({one_line(error)})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RapError(f"{path}: expected sections such as `sampling:` at the top, found {type(content).__name__}")
    return content


def _merge(tree: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping) and isinstance(tree.get(name), dict):
            _merge(tree[name], value)
        else:
            tree[name] = value


def _assign(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, last = name.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            raise RapError(f"{name}: `{section}` is a value, not a section; see ", Command("rap select --help"))
        tree = below
    tree[last] = value


def _explain(
    error: ValidationError, path: str | Path | None, in_file: Mapping[str, Any], assigned: Mapping[str, Any]
) -> RapError:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if not str(part).startswith(("float", "literal", "constrained"))]
    name = ".".join(where)
    from_file = path is not None and _has(in_file, where, first["input"])
    # A YAML file and --set have dotted names, whatever flags or keywords the host has.
    dotted = from_file or _has(assigned, where, first["input"])
    origin = f"{path}: " if from_file else ""
    if first["type"] == "extra_forbidden":
        near = _nearest(name)
        hint = f"; did you mean {near}?" if near else ""
        return RapError(f"{origin}unknown option {name}{hint} (", Command("rap select --help"), " lists all)")
    return RapError(
        origin, "option ", name if dotted else Option(name), f": {first['msg'].lower()} (got {first['input']!r})"
    )


def _has(tree: Any, where: Iterable[str], value: Any) -> bool:
    """Whether a value stands at that place of a tree."""
    for name in where:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return bool(tree == value)


def _nearest(name: str) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(name, option_names(), n=1, cutoff=0.5)
    return found[0] if found else None
