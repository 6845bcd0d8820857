"""Sensitivity: the run's own setting gives the run, every other one gives what `rap decide` would."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from rap_plugin.config import load_config
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.report.sensitivity import measure_sensitivity
from tests.fabricate import Fabricated, fabricate


def decided(made: Fabricated, **flags: object) -> dict[str, int]:
    config = load_config(flags={name.replace("__", "."): value for name, value in flags.items()}, base=made.config)
    selection, store = load_selection(made.run, config)
    with closing(store):
        return selection.decision.counts()


def test_the_own_setting_is_the_run(made: Fabricated) -> None:
    sensitivity = measure_sensitivity(made.store, made.selection)
    for outcomes in (sensitivity.lambda_c, sensitivity.lambda_a, sensitivity.variants):
        own = [outcome for outcome in outcomes if outcome.own]
        assert len(own) == 1
        assert own[0].counts == made.selection.decision.counts()
        assert own[0].overlap == 1.0


def test_other_thresholds_are_what_deciding_again_gives(made: Fabricated) -> None:
    sensitivity = measure_sensitivity(made.store, made.selection)
    assert len({tuple(outcome.counts.items()) for outcome in sensitivity.lambda_c}) > 3
    for outcome in sensitivity.lambda_c:
        assert outcome.counts == decided(made, selection__lambda_c=float(outcome.label)), outcome.label


def test_every_variant_is_what_deciding_again_gives(made: Fabricated) -> None:
    sensitivity = measure_sensitivity(made.store, made.selection)
    assert len(sensitivity.variants) == 12
    for outcome in sensitivity.variants:
        assert outcome.variant is not None
        flags = {f"ace__{name}": getattr(outcome.variant, name) for name in ("reduction", "heads", "window")}
        assert outcome.counts == decided(made, **flags), outcome.label
    assert min(outcome.overlap for outcome in sensitivity.variants) < 1


def test_a_higher_lambda_a_flags_fewer(made: Fabricated) -> None:
    flagged = [outcome.flagged for outcome in measure_sensitivity(made.store, made.selection).lambda_a]
    assert flagged == sorted(flagged, reverse=True)  # type: ignore[type-var]
    assert flagged[0] > 0.5  # type: ignore[operator]


def test_what_a_selector_does_not_have_is_not_moved(tmp_path: Path) -> None:
    for number, options in enumerate(({"selection__preset": "released"}, {"selection__selector": "band"})):
        with closing((made := fabricate(tmp_path / str(number), 40, **options)).store):  # type: ignore[arg-type]
            assert not measure_sensitivity(made.store, made.selection)
    with closing((made := fabricate(tmp_path / "unmeasured", 40, attention=False)).store):
        sensitivity = measure_sensitivity(made.store, made.selection)
        assert sensitivity.lambda_c
        assert not sensitivity.lambda_a
        assert not sensitivity.variants


def test_another_sigma_leaves_out_the_reduction_that_cannot_follow(tmp_path: Path) -> None:
    with closing((made := fabricate(tmp_path, 40, ace__sigma=1.5)).store):
        variants = measure_sensitivity(made.store, made.selection).variants
        assert {outcome.variant.reduction for outcome in variants if outcome.variant} == {"window"}


def test_a_found_threshold_is_the_own_one(tmp_path: Path) -> None:
    with closing((made := fabricate(tmp_path, 80, selection__lambda_a="auto")).store):
        own = [outcome for outcome in measure_sensitivity(made.store, made.selection).lambda_a if outcome.own]
        assert len(own) == 1
        assert own[0].counts == made.selection.decision.counts()
