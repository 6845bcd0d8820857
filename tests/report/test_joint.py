"""The table of counts and the page's rule: in a real browser, equal to deciding again sample by sample."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.report import joint
from rap_plugin.report.page import TEMPLATES
from rap_plugin.report.sensitivity import NEEDED
from rap_plugin.selectors.base import Selection
from rap_plugin.selectors.curtailed import decide
from rap_plugin.selectors.rap import select_rap
from tests.tables import make_table

SETTINGS = 40
"""Random settings per table."""


def table_of(seed: int, samples: int, rollouts: int) -> EvidenceTable:
    """A pool in which everything varies: grades that are missing, psi that is missing, responses cut off, no image."""
    draws = np.random.default_rng(seed)
    chance = draws.choice([0.0, 0.2, 0.5, 0.9, 1.0], samples)
    graded = {arm: rollouts - draws.binomial(rollouts, 0.1, samples) for arm in ("image", "blind")}
    right = {
        "image": draws.binomial(graded["image"], chance),
        "blind": draws.binomial(graded["blind"], chance * draws.choice([0.0, 0.3, 1.0], samples)),
    }
    psi = np.where(draws.random(samples) < 0.1, np.nan, draws.normal(-4, 3, samples).round(1))
    table = make_table(
        right["image"].tolist(),
        right["blind"].tolist(),
        rollouts=rollouts,
        images=draws.choice([0, 1, 1, 1, 1, 1, 1, 2], samples).tolist(),
        ids=[f"{number:016x}" for number in draws.permutation(samples)],
    )
    arms = {
        arm: replace(table.arms[arm], graded=graded[arm], cut=draws.binomial(rollouts, 0.5, samples)) for arm in graded
    }
    statistics = {name: psi + 0.5 * i for i, name in enumerate(table.statistics)}
    return replace(table, arms=arms, statistics=statistics)  # type: ignore[arg-type]


def decided(table: EvidenceTable, config: RunConfig) -> Selection:
    decision, scores = decide(table, config, NEEDED, select_rap)
    return Selection(config, table, scores, decision, [])


def drawn_setting(draws: random.Random, data: dict[str, Any]) -> dict[str, Any]:
    """Any setting that the page can reach."""
    variant = draws.randrange(len(data["variants"])) if data["variants"] else -1
    edges = len(data["variants"][variant]["edges"]) if variant >= 0 else 1
    return {
        "lambda_c": draws.choice([round(draws.uniform(-1, 1), 2), draws.choice(data["d"]), 0, 0.5]),
        "variant": variant,
        "edge": draws.randrange(edges),
        "keep": draws.choice([None, None, round(draws.uniform(0.001, 1), 3)]) if data["confident"] else None,
        "cde": draws.random() < 0.85,
        "ace": draws.random() < 0.85,
        "drm": draws.random() < 0.8,
        "discard": data["confident"] and draws.random() < 0.4,
        "positive": draws.random() < 0.3,
    }


def flags_of(setting: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The setting as options of `rap decide`."""
    flags = {
        "selection.lambda_c": float(setting["lambda_c"]),
        "selection.keep": setting["keep"],
        "selection.cde": setting["cde"],
        "selection.ace": setting["ace"],
        "selection.drm": setting["drm"],
        "selection.unmeasured": "discard" if setting["discard"] else "pass",
        "selection.hard_requires_discrepancy": setting["positive"],
    }
    if setting["variant"] >= 0:
        variant = data["variants"][setting["variant"]]
        flags |= {f"ace.{name}": variant[name] for name in ("reduction", "heads", "window")}
        text = variant["edges"][setting["edge"]]
        flags["selection.lambda_a"] = text if text == "auto" else float(text)
    return flags


@pytest.fixture(scope="module")
def rule(browser: Any) -> Iterator[Any]:
    """The page's rule, in a browser: counts of (table, settings)."""
    page = browser.new_page()
    source = (TEMPLATES / "rule.js").read_text(encoding="utf-8")
    yield lambda data, settings: page.evaluate(
        "([data, settings]) => {" + source + "; return settings.map((s) => decide(data, s)) }", [data, settings]
    )
    page.close()


@pytest.mark.parametrize(
    ("rollouts", "options"),
    [
        (5, {}),
        (5, {"selection.lambda_a": "auto", "selection.min_graded": 1}),
        (5, {"selection.hard_requires_confidence": False}),
        (12, {"selection.keep": 0.2, "ace.over_rollouts": "mean"}),
        (3, {"selection.lambda_a": 0.0, "ace.sigma": 1.5}),
    ],
)
def test_every_setting_gives_the_counts_of_deciding_again(rule: Any, rollouts: int, options: dict[str, Any]) -> None:
    base = load_config(flags={"sampling.rollouts": rollouts, **options})
    for seed, samples in enumerate((400, 90)):
        table = table_of(seed, samples, rollouts)
        selection = decided(table, base)
        data = joint.as_json(joint.build_joint(selection), selection)
        draws = random.Random(seed)
        settings = [data["own"], *(drawn_setting(draws, data) for _ in range(SETTINGS))]
        found = rule(data, settings)
        assert len({str(sorted(outcome["counts"].items())) for outcome in found}) > SETTINGS // 3
        for setting, outcome in zip(settings, found, strict=True):
            config = load_config(base=base, flags={k: v for k, v in flags_of(setting, data).items() if v is not None})
            if setting["keep"] is None:
                config = load_config(base=config, assignments=["selection.keep=null"])
            expected = decided(table, config).decision
            counts = {word: number for word, number in outcome["counts"].items() if number}
            assert counts == expected.counts(), setting
            assert outcome["chosen"] == expected.chosen.sum()
            assert outcome["lambdaC"] == expected.thresholds["lambda_c"]
