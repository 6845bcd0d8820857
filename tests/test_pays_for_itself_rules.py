"""The proof's rules that choose batches while training goes on, against a model whose success is known; and its counted work."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("scipy")

ROOT = Path(__file__).parents[1]
PROMPTS, ROLLOUTS, N = 4, 5, 40


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_on_the_path() -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts")]
    yield
    sys.path[:] = before


class Model:
    """Right half of the time on every fourth problem, always on the others; counts what is sampled of it."""

    chances = (0.5, 1.0, 1.0, 1.0)
    """Of a right response, by a row's number modulo 4."""

    def __init__(self) -> None:
        self.random, self.sampled, self.blind = random.Random(0), 0, 0

    def __call__(self, rows: Any, responses: int, blind: bool = False) -> list[Any]:
        from digit_rl import Group

        self.sampled += len(rows) * responses
        self.blind += len(rows) * responses * blind
        chance = [self.chances[row % 4] for row in rows]
        return [
            Group(row, None, [None] * responses, [float(self.random.random() < p) for _ in range(responses)])  # type: ignore[arg-type, list-item]
            for row, p in zip(rows, chance, strict=True)
        ]


def problems() -> list[Any]:
    return [SimpleNamespace(question=f"Kind {'abcd'[row % 4]}: number {row}?") for row in range(N)]


def steps(name: str, count: int = 30, **options: Any) -> tuple[list[list[Any]], Model]:
    from pays_for_itself_rules import make_rule

    model = Model()
    rule = make_rule(name, problems(), PROMPTS, ROLLOUTS, 3, **options)
    return [rule(step, model) for step in range(1, count + 1)], model


@pytest.mark.parametrize("name", ["dapo", "greso", "speed"])
def test_a_filter_learns_from_groups_that_differ_alone_and_pays_for_the_others(name: str) -> None:
    batches, model = steps(name)
    assert all(group.differs for batch in batches for group in batch)
    assert all(len(group.rewards) == ROLLOUTS for batch in batches for group in batch)
    learned = sum(len(batch) for batch in batches) * ROLLOUTS
    assert model.sampled > learned > 0


@pytest.mark.parametrize("name", ["dapo", "greso", "speed"])
def test_a_filter_goes_on_asking_when_everything_is_solved(name: str) -> None:
    from pays_for_itself_rules import make_rule

    class Solved(Model):
        chances = (1.0, 1.0, 1.0, 1.0)

        def __call__(self, rows: Any, responses: int, blind: bool = False) -> list[Any]:
            assert len(rows) == PROMPTS
            return super().__call__(rows, responses, blind)

    rule = make_rule(name, problems(), PROMPTS, ROLLOUTS, 3)
    model = Solved()
    assert all(rule(step, model) == [] for step in range(1, 40))


def test_screening_and_skipping_sample_less_than_sampling_again() -> None:
    again, skipping, screening = (steps(name)[1].sampled for name in ("dapo", "greso", "speed"))
    assert skipping < again
    assert screening < again


@pytest.mark.parametrize("name", ["mopps", "follow", "follow_success", "follow_headroom"])
def test_following_samples_one_batch_a_step_and_finds_what_can_be_learned(name: str) -> None:
    batches, model = steps(name, 60)
    assert model.sampled == 60 * PROMPTS * ROLLOUTS
    late = [group.at % 4 == 0 for batch in batches[30:] for group in batch]
    assert sum(late) / len(late) > 0.5


def test_with_headroom_the_harder_of_two_kinds_that_differ_as_often_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "chances", (0.75, 0.25, 1.0, 1.0))

    def hard(name: str) -> float:
        batches, _ = steps(name, 60)
        late = [group.at % 4 for batch in batches[20:] for group in batch]
        return late.count(1) / (late.count(0) + late.count(1))

    assert hard("follow_success") < 0.7 < hard("follow_headroom")


def test_a_renewed_blind_arm_costs_the_share_that_its_budget_states_and_is_not_learned_from() -> None:
    from pays_for_itself_rules import RENEWED

    batches, model = steps("follow_renewed", 60)
    assert model.blind == RENEWED * 60 * PROMPTS * ROLLOUTS
    assert model.sampled == 60 * PROMPTS * ROLLOUTS + model.blind
    assert all(len(batch) == PROMPTS and len(group.rewards) == ROLLOUTS for batch in batches for group in batch)


def test_counted_work_is_tokens_times_prices() -> None:
    import pays_for_itself_counted as counted

    prices = {"prompt": 1.0, "sampled": 10.0, "learned": 100.0}

    def point(step: int, accuracy: float) -> dict[str, float]:
        tokens = {"prompt_tokens": step, "sampled_tokens": step, "learned_tokens": step, "learned_prompt_tokens": 0}
        return {"step": step, "accuracy": accuracy, **tokens}

    selection = {"prompt_tokens": 5, "response_tokens": 2}
    result = {"selection": selection, "curve": [point(0, 0.5), point(1, 0.7), point(2, 0.6)]}
    assert counted.counted(point(2, 0), prices) == 222
    assert counted.counted_whole(point(2, 0), prices) == 22 + 100 * (2 + 5 * 2)
    assert counted.cost_until(result, 0.7, prices) == 25 + 111
    assert counted.cost_until(result, 0.9, prices) is None
    assert [counted.accuracy_at(result, budget, prices) for budget in (0, 135, 136, 999)] == [0.5, 0.5, 0.7, 0.7]
    for at, share in zip(result["curve"], (0.1, 0.1, 0.3), strict=True):
        at["needs_image"] = share
    assert counted.area(result, 494, prices, "needs_image") == pytest.approx(0.2, abs=0.002)
    # 0.5 until the first 136 seconds are paid, 0.7 from there on: the later, worse point changes nothing.
    assert counted.area(result, 272, prices) == pytest.approx(0.6, abs=0.002)
