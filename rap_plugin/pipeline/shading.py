"""Attention token by token for a few samples of a finished run: stored responses are read by the model once more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import ShowsTokens
from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.tokens import read_tokens, store_tokens
from rap_plugin.evidence.variants import Variant
from rap_plugin.executors.batches import SampleReader, make_sampling
from rap_plugin.executors.prompts import make_prompt
from rap_plugin.plugins import Registry, get_plugins
from rap_plugin.progress import step
from rap_plugin.report.gallery import SAMPLES, choose_shown
from rap_plugin.report.joint import build_joint, why_not, with_variants
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import identity_of, read_run
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection

TOGETHER = 8
"""Samples that are read, measured and stored in one go."""


def shade(
    run: Path,
    selection: Selection,
    store: EvidenceStore,
    pool: Pool,
    samples: int,
    among: int = SAMPLES,
    *,
    quiet: bool = False,
) -> int:
    """Measures and stores the attention by token of the image rollouts of so many samples, of the `among` that the report
    shows: first those that ACE took out, then those nearest to lambda_a. Returns how many responses were measured now.

    Raises RapError where the run's prompts are a host's, or the engine cannot show tokens.
    """
    config = selection.config
    wanted = find_wanted(store, selection, samples, among)
    if not any(rollouts for _, rollouts in wanted):
        return 0
    if config.prompt.host_recipe:
        raise RapError("the prompts of this run are a host's own; attention by token needs a run of `rap select`")
    registry = get_plugins().registry()
    reader = SampleReader(pool, config.pool, registry.things["formats"])
    variant, probe = own_variant(config), selection.table.probes["image"]
    table, total = selection.table, sum(len(rollouts) for _, rollouts in wanted)
    with (
        closing(_open_engine(run, config, registry)) as engine,
        files.locked(run),
        files.writing_evidence(run, config.storage) as writing,
        step("attention by token", total, "responses", quiet=quiet) as advance,
    ):
        for start in range(0, len(wanted), TOGETHER):
            some = wanted[start : start + TOGETHER]
            found = reader.read([(int(table.rows[i]), str(table.ids[i])) for i, _ in some])
            numbers = [int(table.sample[i]) for i, _ in some]
            given = [
                (make_prompt(sample, "image", config.prompt), writing.token_ids(probe, number, rollouts))
                for sample, number, (_, rollouts) in zip(found, numbers, some, strict=True)
            ]
            seen = engine.token_attention(given, make_sampling(config), variant)
            measured = {
                (number, rollout): one
                for number, (_, rollouts), row in zip(numbers, some, seen, strict=True)
                for rollout, one in zip(rollouts, row, strict=True)
                if one is not None
            }
            store_tokens(writing, probe, variant, measured)
            advance(sum(len(rollouts) for _, rollouts in some))
    return total


def own_variant(config: RunConfig) -> Variant:
    """The variant that the run decides by."""
    return Variant(config.ace.reduction, config.ace.heads, config.ace.window)


def find_wanted(store: EvidenceStore, selection: Selection, samples: int, among: int) -> list[tuple[int, list[int]]]:
    """Indices of the samples, each with the rollouts that were answered and whose tokens are not stored yet."""
    joint = None if why_not(selection) else build_joint(with_variants(store, selection))
    shown = np.array(choose_shown(store, selection, joint, among)[0], dtype=np.int64)
    log_psi = selection.scores["log_psi"][shown]
    measured = np.isfinite(log_psi)
    shown, log_psi = shown[measured], log_psi[measured]
    lambda_a = max(selection.decision.thresholds.get("lambda_a", 0.1), 1e-300)
    away = np.abs(log_psi - np.log(lambda_a))
    biased = selection.decision.verdicts[shown] == "attention_biased"
    chosen = shown[np.lexsort((away, ~biased))][:samples].tolist()
    probe, numbers = selection.table.probes["image"], {i: int(selection.table.sample[i]) for i in chosen}
    known = read_tokens(store, probe, own_variant(selection.config), list(numbers.values()))
    answered: dict[int, list[int]] = {number: [] for number in numbers.values()}
    for record in store.records({"image": probe}, list(numbers.values())):
        if record.status == "ok" and record.rollout < selection.table.rollouts:
            answered[record.sample].append(record.rollout)
    return [(i, [r for r in answered[number] if (number, r) not in known]) for i, number in numbers.items()]


def _open_engine(run: Path, config: RunConfig, registry: Registry) -> ShowsTokens:
    """The run's engine, or engine hf where that one cannot show tokens, with the very model that the run is of."""
    engine = registry.get("engines", config.model.engine)(config.model)
    if not isinstance(engine, ShowsTokens):
        engine.close()
        model = config.model.model_copy(update={"engine": "hf", "options": {}, "batch_size": None})
        engine = registry.get("engines", "hf")(model)
    known, here = identity_of(read_run(run)).revision, engine.identity.revision
    if not isinstance(engine, ShowsTokens) or known != here:
        engine.close()
        raise RapError(f"{run}: its responses are of revision {known} of the model, not of {here}; bring that one back")
    return engine
