"""The proof's own code: its loss, its bookkeeping, that it resumes, and that its tables say what the runs say."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("scipy")

ROOT = Path(__file__).parents[1]
ARMS = "full,random,rap_paper,complement"


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_on_the_path():
    before = list(sys.path)
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts")]
    yield
    sys.path[:] = before


@pytest.fixture(scope="module")
def policy():
    import digit_rl

    from rap_plugin.demo import MODEL_DIR

    return digit_rl.load_policy(str(MODEL_DIR))


@pytest.fixture(scope="module")
def small_runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("proof") / "small"
    command = [sys.executable, "-W", "ignore", "benchmarks/pays_for_itself.py", "--setting", "small", "--out", str(out)]
    first = subprocess.run(
        [*command, "--arms", ARMS, "--jobs", "1"], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert first.returncode == 0, first.stderr[-2000:]
    return out, first.stdout, command


def test_advantages_are_those_of_grpo_and_rloo():
    import digit_rl

    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0], [1.0] * 5])
    grpo, rloo = digit_rl.advantages(rewards, "grpo"), digit_rl.advantages(rewards, "rloo")
    others = [(2 - r) / 4 for r in rewards[0].tolist()]
    assert rloo[0].tolist() == pytest.approx([r - o for r, o in zip(rewards[0].tolist(), others, strict=True)])
    spread = math.sqrt((2 * 0.6**2 + 3 * 0.4**2) / 4)
    assert grpo[0].tolist() == pytest.approx([(r - 0.4) / (spread + 1e-4) for r in rewards[0].tolist()])
    assert not grpo[1].any()
    assert not rloo[1].any()


def test_the_loss_of_a_padded_batch_is_the_sum_over_its_responses_read_alone(policy):
    import digit_rl
    from digit_problems import make_problems

    model, processor = policy
    given = digit_rl.exercises(make_problems(4, "train", 5), model, processor)
    rows = [
        (e, row[0], 0.5 - at)
        for at, (e, row) in enumerate(zip(given, digit_rl.respond(model, given, [[1], [2], [3], [4]]), strict=True))
    ]
    expected = 0.0
    for exercise, row, advantage in rows:
        ids = torch.cat((exercise.prompt.ids, torch.tensor(row.token_ids)))[None]
        with torch.no_grad():
            logits = model.network(input_ids=ids, pixel_values=exercise.prompt.visual["pixel_values"]).logits[0]
        logs = torch.log_softmax(logits, dim=-1)
        start = exercise.prompt.length
        expected -= advantage * sum(float(logs[at - 1, ids[0, at]]) for at in range(start, ids.shape[1])) / 100
    loss = digit_rl.policy_loss(model, rows, 100)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, abs=2e-3)  # the batch is read in bfloat16
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.network.parameters())
    model.network.zero_grad(set_to_none=True)


def test_a_step_without_any_group_changes_nothing_and_is_counted(policy):
    import digit_rl

    model, _ = policy
    work = digit_rl.Work()
    before = [parameter.detach().clone() for parameter in model.network.parameters()]
    digit_rl.learn(model, [], torch.optim.AdamW(model.network.parameters()), "grpo", work)
    assert all(torch.equal(one, other) for one, other in zip(before, model.network.parameters(), strict=True))
    assert (work.steps, work.learned_tokens, work.informative) == (1, 0, [0.0])


def test_the_first_response_is_the_same_however_many_are_counted(policy):
    import digit_rl
    from digit_problems import make_problems

    model, processor = policy
    given = digit_rl.exercises(make_problems(12, "held_out", 5), model, processor)
    one, three = (digit_rl.count_right(model, processor, given, seed=1, responses=n) for n in (1, 3))
    assert all(0 <= more - first <= 2 for first, more in zip(one, three, strict=True))
    assert sum(three) > sum(one)


def test_half_of_the_prompts_a_step_is_twice_the_steps():
    import pays_for_itself as proof

    setting = proof.SETTINGS["goal"]
    half = proof.in_batches(setting, 0.5)
    assert half.prompts * half.max_steps == setting.prompts * setting.max_steps
    assert (
        half.prompts * half.validate_every * half.patience
        == setting.prompts * setting.validate_every * setting.patience
    )
    assert proof.in_batches(setting, 1.0) == setting


def test_batches_show_every_row_once_an_epoch():
    import random

    import digit_rl

    batches = digit_rl.draw_batches(10, 4, random.Random(0))
    drawn = [at for _ in range(5) for at in next(batches)]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))


def test_every_arm_trains_from_its_own_rows_and_counts_its_selection(small_runs):
    out, _, _ = small_runs
    runs = {path.stem: json.loads(path.read_text()) for path in (out / "runs").glob("*.json")}
    assert {"grpo-full-0", "grpo-random-0", "grpo-rap_paper-0", "grpo-complement-0", "rloo-full-0"} <= set(runs)
    full, rap = runs["grpo-full-0"], runs["grpo-rap_paper-0"]
    assert full["rows"] == 120
    assert full["selection"]["seconds"] == 0
    assert 0 < rap["rows"] < 40
    assert rap["selection"]["rollouts"] == 1200
    assert rap["selection"]["seconds"] > 0
    assert rap["needs_image"] > full["needs_image"]
    for run in runs.values():
        spent = run["stopped"]
        assert spent["responses"] == spent["step"] * 16
        assert spent["learned_tokens"] + spent["idle_tokens"] == spent["sampled_tokens"]
        assert sum(asked for _, asked in run["test"]["sampled"].values()) == 24


def test_a_run_with_a_budget_ends_where_it_has_spent_its_share_of_the_full_pools_cost(small_runs, tmp_path):
    from dataclasses import replace

    import pays_for_itself as proof
    from pays_for_itself_counted import counted

    out, _, _ = small_runs
    prices = {"prompt": 1.0, "sampled": 3.0, "learned": 2.0}
    full = json.loads((out / "runs" / "grpo-full-0.json").read_text())
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "grpo-full-0.json").write_text(json.dumps(full))
    (tmp_path / "prices.json").write_text(json.dumps(prices))
    setting = replace(proof.SETTINGS["small"], cost_share=0.6, shift=6)
    run = proof.train_run(setting, tmp_path, proof.Run("random", "grpo", 0))
    limit = 0.6 * counted(full["stopped"], prices)
    assert counted(run["stopped"], prices) >= limit
    assert run["stopped"]["step"] < full["stopped"]["step"]
    assert run["curve"][-1]["step"] == run["stopped"]["step"]
    assert sum(asked for _, asked in run["shift"].values()) == 6
    assert not {"copy", "next", "given_digit", "given_sum", "given_largest"} & set(run["shift"])


def test_a_finished_run_is_never_repeated(small_runs):
    out, printed, command = small_runs
    assert "grpo-full-0" in printed
    before = {path: path.read_bytes() for path in (out / "runs").iterdir()}
    again = subprocess.run([*command, "--arms", ARMS], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (again.returncode, again.stdout) == (0, "")
    assert {path: path.read_bytes() for path in (out / "runs").iterdir()} == before


def test_an_unknown_arm_is_one_line_that_names_the_known_ones(small_runs):
    _, _, command = small_runs
    failed = subprocess.run([*command, "--arms", "rap_papper"], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert failed.returncode == 2
    assert "unknown rap_papper; known: full" in failed.stderr


def test_tables_and_figure_are_made_from_the_runs_alone(small_runs, tmp_path):
    import pays_for_itself_tables as tables

    out, _, _ = small_runs
    page = tmp_path / "pays_for_itself.md"
    page.write_text("above\n{}\nold\n{}\nbelow\n".format(*tables.marks("small")))
    tables.write_docs(out, tmp_path, "small")
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "old" not in text
    assert "`rap_paper`" in text
    assert (tmp_path / "images" / "pays_for_itself_small.svg").read_text().startswith("<svg")
    raw = tmp_path / "pays_for_itself" / "small.jsonl"
    assert tables.measured(tables.read_runs(raw), "small") in text


def test_intervals_and_paired_differences_are_students():
    import pays_for_itself_tables as tables

    mean, half = tables.interval([1.0, 2.0, 3.0, 4.0])
    assert (mean, half) == (2.5, pytest.approx(3.182446 * math.sqrt(5 / 3) / 2, rel=1e-5))
    left = [{"seed": s, "v": v} for s, v in ((0, 1.0), (1, 2.0), (2, 4.0))]
    right = [{"seed": s, "v": v} for s, v in ((0, 0.0), (1, 1.0), (2, 1.0), (3, 9.0))]
    seeds, gain, _, p = tables.paired(left, right, lambda r: r["v"])
    assert (seeds, gain) == (3, pytest.approx(5 / 3))
    assert p == pytest.approx(0.1296, abs=1e-3)


def test_a_run_that_has_stopped_stays_at_its_best_weights():
    import pays_for_itself_tables as tables

    curve = [{"step": step, "accuracy": right} for step, right in ((0, 0.5), (20, 0.8), (40, 0.7))]
    assert [tables.point_at({"curve": curve}, step)["accuracy"] for step in (20, 40, 60)] == [0.8, 0.7, 0.8]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "docs" / "pays_for_itself").glob("*.jsonl")))
def test_the_page_says_what_its_raw_numbers_say(name):
    import pays_for_itself_tables as tables

    docs = ROOT / "docs"
    raw = tables.read_runs(docs / "pays_for_itself" / f"{name}.jsonl")
    assert tables.measured(raw, name) in (docs / "pays_for_itself.md").read_text()


def test_runs_of_published_raw_numbers_count_as_finished_and_none_is_overwritten(tmp_path):
    from pays_for_itself import start_from
    from pays_for_itself_tables import read_runs

    raw = ROOT / "docs" / "pays_for_itself" / "counted" / "goal.jsonl"
    own = tmp_path / "runs" / "grpo-full-0.json"
    own.parent.mkdir()
    own.write_text('{"arm": "full", "algorithm": "grpo", "seed": 0}')
    start_from(raw, tmp_path)
    assert json.loads(own.read_text()) == {"arm": "full", "algorithm": "grpo", "seed": 0}
    own.unlink()
    start_from(raw, tmp_path)
    found, published = ({(run["arm"], run["seed"]): run for run in read_runs(where)} for where in (tmp_path, raw))
    assert found == published
    assert json.loads((tmp_path / "prices.json").read_text()) == json.loads(raw.with_name("prices.json").read_text())


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "docs" / "pays_for_itself" / "counted").glob("*.jsonl"))
)
def test_the_page_says_what_its_raw_numbers_say_in_counted_work(name):
    import pays_for_itself_counted as counted
    import pays_for_itself_tables as tables

    docs = ROOT / "docs"
    raw = tables.read_runs(docs / "pays_for_itself" / "counted" / f"{name}.jsonl")
    prices = json.loads((docs / "pays_for_itself" / "counted" / "prices.json").read_text())
    assert counted.tables(raw, prices) in (docs / "pays_for_itself.md").read_text()
