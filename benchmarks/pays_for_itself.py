"""Does selecting pay? Trains the demo model on what each selection kept, and counts everything, the selection too.

    python benchmarks/pays_for_itself.py --out proof                    # the published setting, resumable run by run
    python benchmarks/pays_for_itself.py --out proof --docs docs        # the same, then tables and figures
    python benchmarks/pays_for_itself.py --out small --setting small    # minutes: what the tests run

From the embedded base model, on a pool of digit problems with the roles and shares of the demo pool, GRPO (or RLOO) trains on the
rows that an arm chose. All arms have the same optimiser, batch, and stopping rule: accuracy on held-out validation problems every
`validate_every` steps, stop after `patience` of them without a better one, test the best weights. A seed sets the evidence's rollouts,
the random choices, the order of training and its rollouts. Cost is processor seconds (one thread a run), so that runs side by side
do not disturb it; validation and test are left out of it, being the same for every arm.

Every training run ends in one file under OUT/runs and is never repeated; evidence under OUT/evidence is made by `rap select`.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pays_for_itself_arms import ARMS, MAIN, NEEDED, SECOND, SETTINGS, SHARE, WHOLE, Arm, Evidence, Setting

READER = Path(__file__).with_name("diagram_reader")
"""The base of the diagrams, as `pays_for_itself_reader.py` made it: made again on another machine it is another model."""


@dataclass(frozen=True)
class Run:
    """One training run."""

    arm: str
    algorithm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.algorithm}-{self.arm}-{self.seed}"


def plan(seeds: int) -> list[Run]:
    """All runs in the order of their worth: the main arms seed by seed, then the others and RLOO."""
    rest = [name for name in ARMS if name not in MAIN]
    main = [Run(arm, "grpo", seed) for seed in range(seeds) for arm in MAIN]
    return main + [
        Run(arm, algorithm, seed)
        for seed in range(seeds)
        for arms, algorithm in ((rest, "grpo"), (SECOND, "rloo"))
        for arm in arms
    ]


# -- problems and evidence ----------------------------------------------------------------------------------------


def problems(setting: Setting, which: str) -> list[Any]:
    """The pool, validation, test or `shift` problems; in a digit setting the pool shows the digits that the model was made with, the others
    show digits of neither. `shift` is what the text never answers."""
    if setting.pool_kind == "diagrams":
        from pays_for_itself_diagrams import TOLD, make_drawings

        seed, size, told = {
            "pool": (1, setting.pool, TOLD),
            "validation": (2, setting.validation, TOLD),
            "test": (3, setting.test, TOLD),
            "shift": (4, setting.shift, 0.0),
        }[which]
        return make_drawings(size, seed + setting.draw, told)
    from digit_problems import POOL_MIX, make_problems, mix_needing

    split, seed, size, mix = {
        "pool": ("train", 1, setting.pool, mix_needing(NEEDED)),
        "validation": ("held_out", 2, setting.validation, POOL_MIX),
        "test": ("held_out", 3, setting.test, POOL_MIX),
        "shift": ("held_out", 4, setting.shift, mix_needing(1)),
    }[which]
    made = make_problems(size, split, seed + setting.draw, mix)
    if which == "pool" and setting.pool_kind == "texts":
        from pays_for_itself_texts import with_open_texts

        return with_open_texts(made)
    return made


def base_model(setting: Setting) -> Path:
    """The model that reads the setting's problems."""
    from rap_plugin.demo import MODEL_DIR

    return READER if setting.pool_kind == "diagrams" else MODEL_DIR


def write_pool(setting: Setting, out: Path) -> Path:
    """The pool as the Parquet file that `rap select` reads, written once; its rows are in random order."""
    import pyarrow.parquet as pq
    from make_demo_pool import pool_table

    path = out / "pool.parquet"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        pq.write_table(pool_table(problems(setting, "pool"), f"{setting.pool_kind}-{{:05d}}"), _replacing(path))
        os.replace(_replacing(path), path)
    return path


def _replacing(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def evidence_folder(out: Path, evidence: Evidence, seed: int) -> Path:
    part = "" if evidence.share == 1 else f"-{evidence.share:g}"
    part += "" if evidence.budget is None else f"-budget-{evidence.budget:g}"
    return out / "evidence" / f"{evidence.blind}{part}-{seed}"


def make_evidence(setting: Setting, out: Path, evidence: Evidence, seed: int) -> dict[str, Any]:
    """Scores the pool (or its first rows) with `rap select`; returns the ledger with the processor seconds of each arm."""
    import rap_plugin.engines.hf.engine  # noqa: F401  (loaded before the clock starts: training does not pay for imports either)
    from rap_plugin.config import load_config
    from rap_plugin.pipeline.select import select_run

    folder = evidence_folder(out, evidence, seed)
    ledger = folder / "ledger.json"
    if ledger.exists():
        return json.loads(ledger.read_text())
    began = time.process_time() + _children()
    config = load_config(
        flags={
            "pool.path": str(write_pool(setting, out)),
            "pool.limit": round(setting.pool * evidence.share),
            "model.id": str(base_model(setting)),
            "prompt.instruction": "",
            "prompt.blind": evidence.blind,
            "sampling.seed": seed,
            "sampling.max_new_tokens": 48,
            "sampling.budget_rollouts": evidence.budget,
            # A budget is spent for the rule that is to be applied.
            "selection.ace": evidence.budget is None,
        }
    )
    result = select_run(config, folder, quiet=True)
    spent = time.process_time() + _children() - began
    stages = json.loads((folder / "cost.json").read_text())["stages"]
    wall = sum(stage["seconds"] for stage in stages.values())
    arms = {}
    for arm in ("image", "blind"):
        stage = stages[f"sample {arm}"]
        shared = (wall - sum(stages[f"sample {a}"]["seconds"] for a in ("image", "blind"))) / 2
        arms[arm] = {
            "seconds": spent * (stage["seconds"] + shared) / wall,
            "rollouts": stage["rollouts"],
            "prompt_tokens": stage["prompt_tokens"],
            "response_tokens": stage["response_tokens"],
        }
    content = {"rollouts": result.sampled, "seconds": spent, "arms": arms}
    _write_json(ledger, content)
    return content


def _children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def choose(setting: Setting, out: Path, arm: Arm, seed: int) -> tuple[list[int], dict[str, float]]:
    """Pool rows that the arm trains on, and what choosing them cost (seconds, rollouts, tokens)."""
    free = {"seconds": 0.0, "rollouts": 0, "prompt_tokens": 0, "response_tokens": 0}
    wanted = round(setting.pool * SHARE)
    lots = random.Random(f"{arm.name} {seed}")
    if arm.evidence is None:
        rows = range(setting.pool) if arm.name in WHOLE or arm.rule else lots.sample(range(setting.pool), wanted)
        if arm.oracle:
            rows = [row for row, problem in enumerate(problems(setting, "pool")) if problem.needs_image]
        return sorted(rows), free
    from rap_plugin.pipeline.selection import load_selection
    from rap_plugin.run_dir.about import config_of, read_run

    ledger = make_evidence(setting, out, arm.evidence, seed)
    cost = {name: sum(ledger["arms"][a][name] for a in arm.evidence.arms) for name in free}
    if arm.rule:
        return list(range(setting.pool)), cost
    folder = evidence_folder(out, arm.evidence, seed)
    config = config_of(read_run(folder), folder)
    config.selection = config.selection.model_copy(update=arm.options or {})
    selection, store = load_selection(folder, config)
    store.close()
    if arm.name == "no_ace" and selection.decision.chosen.sum() > wanted:
        config.selection.keep = SHARE
        selection, store = load_selection(folder, config)
        store.close()
    table = selection.table
    if arm.name == "complement":
        rejected = table.rows[selection.scores["discrepancy"] <= config.selection.lambda_c].tolist()
        return sorted(lots.sample(rejected, min(wanted, len(rejected)))), cost
    return sorted(table.rows[selection.decision.chosen].tolist()), cost


# -- training -----------------------------------------------------------------------------------------------------


def in_batches(setting: Setting, share: float) -> Setting:
    """The setting with this share of its prompts a step, and as many more steps."""
    return replace(
        setting,
        prompts=round(setting.prompts * share),
        max_steps=round(setting.max_steps / share),
        validate_every=round(setting.validate_every / share),
    )


def train_run(setting: Setting, out: Path, run: Run) -> dict[str, Any]:
    """One run from the base model to a tested one; writes OUT/runs/NAME.json and returns it."""
    import torch

    torch.set_num_threads(1)
    import digit_rl as rl

    path = out / "runs" / f"{run.name}.json"
    if path.exists():
        return json.loads(path.read_text())
    arm = ARMS[run.arm]
    setting = in_batches(setting, arm.batch)
    rows, selection = choose(setting, out, arm, run.seed)
    model, processor = rl.load_policy(str(base_model(setting)))
    pool = problems(setting, "pool")
    chosen = rl.exercises([pool[row] for row in rows], model, processor)
    validation = rl.exercises(problems(setting, "validation"), model, processor)
    test = rl.exercises(problems(setting, "test"), model, processor)
    shift = rl.exercises(problems(setting, "shift"), model, processor)
    limit = None
    if setting.cost_share is not None and run.arm != "full":
        from pays_for_itself_counted import budget_of

        limit = budget_of(out, Run("full", run.algorithm, run.seed).name, setting.cost_share)

    def validate() -> dict[str, float]:
        right = rl.count_right(model, processor, validation, seed=0)
        seen = [one for one, exercise in zip(right, validation, strict=True) if exercise.problem.needs_image]
        return {"accuracy": sum(right) / len(right), "needs_image": sum(seen) / len(seen)}

    curve = [{"step": 0, **validate(), **_spent(rl.Work())}]
    best = {"step": 0, "weights": None, "spent": rl.Work()}

    def after_step(step: int, work: rl.Work) -> bool:
        over = limit is not None and limit.reached(selection, _spent(work))
        if step % setting.validate_every and not over:
            return False
        curve.append({"step": step, **validate(), **_spent(work)})
        if curve[-1]["accuracy"] > max(point["accuracy"] for point in curve[:-1]):
            best.update(step=step, weights=copy.deepcopy(model.network.state_dict()), spent=copy.deepcopy(work))
        return over or step >= best["step"] + setting.patience * setting.validate_every

    # A rule may choose nothing: then the base model is what it trains.
    work = rl.train(
        model, processor, chosen, algorithm=run.algorithm, seed=run.seed, learning_rate=setting.learning_rate,
        prompts=setting.prompts, rollouts=setting.rollouts, max_steps=setting.max_steps if rows else 0, after_step=after_step,
        rule=find_rule(setting, out, arm, run.seed, [pool[row] for row in rows]),
    )  # fmt: skip
    if best["weights"] is not None:
        model.network.load_state_dict(best["weights"])
    answered = partial(rl.count_right, model, processor)
    kinds: dict[str, dict[str, int]] = {}
    for row in rows:
        kind = kinds.setdefault(pool[row].kind, {"rows": 0})
        kind["rows"] += 1
    result = {
        **asdict(run),
        "rows": len(rows),
        "kinds": {kind: count["rows"] for kind, count in sorted(kinds.items())},
        "needs_image": sum(pool[row].needs_image for row in rows) / max(1, len(rows)),
        "selection": selection,
        "best": _spent(best["spent"]),
        "stopped": _spent(work),
        "informative": work.informative,
        "curve": curve,
        "test": {
            "sampled": _by_kind(test, answered(test, seed=1, responses=setting.responses), setting.responses),
            "greedy": _by_kind(test, answered(test, seed=1, temperature=1e-3)),
        },
        "shift": _by_kind(shift, answered(shift, seed=2, responses=setting.responses), setting.responses),
    }
    _write_json(path, result)
    return result


def find_rule(setting: Setting, out: Path, arm: Arm, seed: int, pool: Sequence[Any]) -> Any:
    """What chooses the batches of an arm with a rule; None: epochs over its rows."""
    if arm.rule is None:
        return None
    from pays_for_itself_rules import make_rule

    blind = None
    if arm.evidence is not None:
        import pyarrow.parquet as pq

        names = ["rap_row", "rap_right_blind", "rap_rollouts_blind"]
        scores = pq.read_table(evidence_folder(out, arm.evidence, seed) / "scores.parquet", columns=names)
        blind = {row: (right, asked) for row, right, asked in zip(*scores.to_pydict().values(), strict=True) if asked}
    return make_rule(arm.rule, pool, setting.prompts, setting.rollouts, seed, blind)


def _spent(work: Any) -> dict[str, float]:
    content = asdict(work)
    content.pop("informative")
    return {"step": content.pop("steps"), **content, "seconds": work.seconds}


def _by_kind(given: Sequence[Any], right: Sequence[int], responses: int = 1) -> dict[str, list[int]]:
    """Per kind (right, asked)."""
    table: dict[str, list[int]] = {}
    for exercise, good in zip(given, right, strict=True):
        entry = table.setdefault(exercise.problem.kind, [0, 0])
        entry[0] += good
        entry[1] += responses
    return dict(sorted(table.items()))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _replacing(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(_replacing(path), path)


# -- all runs -----------------------------------------------------------------------------------------------------


@contextmanager
def _single_thread() -> Iterator[None]:
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    yield
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before


def _work(task: tuple[str, Setting, Path, Any]) -> str:
    import torch

    torch.set_num_threads(1)
    kind, setting, out, what = task
    if kind == "evidence":
        evidence, seed = what
        spent = make_evidence(setting, out, evidence, seed)
        return f"evidence {evidence_folder(out, evidence, seed).name}: {spent['seconds']:.0f} s"
    result = train_run(setting, out, what)
    right, asked = (sum(values) for values in zip(*result["test"]["sampled"].values(), strict=True))
    return (
        f"{what.name}: {result['rows']} rows, best at step {result['best']['step']} of {result['stopped']['step']}, "
        f"test {right / asked:.3f}, {result['selection']['seconds']:.0f} + {result['stopped']['seconds']:.0f} s"
    )


def run_all(setting: Setting, out: Path, runs: Sequence[Run], jobs: int) -> None:
    """Everything that is still missing, in order, `jobs` at a time; a run waits for the evidence that its arm needs."""
    write_pool(setting, out)
    waiting: list[tuple[str, Any]] = []
    for run in (run for run in runs if not (out / "runs" / f"{run.name}.json").exists()):
        needed = ("evidence", (_sampled(run), run.seed))
        if _sampled(run) and needed not in waiting and not _ready(out, run):
            waiting.append(needed)
        waiting.append(("train", run))
    with _single_thread(), ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as workers:
        running: set[Future[str]] = set()
        while waiting or running:
            for task in list(waiting):
                if len(running) < jobs and (task[0] == "evidence" or _ready(out, task[1])):
                    waiting.remove(task)
                    running.add(workers.submit(_work, (task[0], setting, out, task[1])))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                print(f"{time.strftime('%H:%M:%S')} {future.result()}", flush=True)


def start_from(raw: Path, out: Path) -> None:
    """Puts the runs of a file of raw numbers, and the prices beside it, where OUT has none: they count as finished."""
    for line in raw.read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        path = out / "runs" / f"{Run(result['arm'], result['algorithm'], result['seed']).name}.json"
        if not path.exists():
            _write_json(path, result)
    prices = raw.with_name("prices.json")
    if prices.exists() and not (out / "prices.json").exists():
        _write_json(out / "prices.json", json.loads(prices.read_text(encoding="utf-8")))


def _sampled(run: Run) -> Evidence | None:
    """The evidence behind a run, whatever is read of it."""
    found = ARMS[run.arm].evidence
    return found and Evidence(found.blind, found.share, budget=found.budget)


def _ready(out: Path, run: Run) -> bool:
    evidence = _sampled(run)
    return evidence is None or (evidence_folder(out, evidence, run.seed) / "ledger.json").exists()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of all evidence and results; resumed where it stopped"
    )
    parser.add_argument("--setting", choices=sorted(SETTINGS), default="published")
    parser.add_argument("--arms", help="only these arms, separated by commas")
    parser.add_argument("--algorithm", choices=("grpo", "rloo"), help="only this one; default: both")
    parser.add_argument("--seeds", type=int, help="fewer or more seeds than the setting has")
    parser.add_argument(
        "--known",
        type=Path,
        help="raw numbers of finished runs (docs/pays_for_itself/counted/*.jsonl), not to be repeated",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each")
    parser.add_argument(
        "--docs", type=Path, help="fill pays_for_itself.md in this folder, and write figure and raw numbers beside it"
    )
    args = parser.parse_args()
    setting = SETTINGS[args.setting]
    arms = args.arms.split(",") if args.arms else list(ARMS)
    if unknown := sorted(set(arms) - set(ARMS)):
        parser.error(f"--arms: unknown {', '.join(unknown)}; known: {', '.join(ARMS)}")
    runs = [run for run in plan(args.seeds or setting.seeds) if run.arm in arms]
    runs = [run for run in runs if args.algorithm in (None, run.algorithm)]
    if args.known:
        start_from(args.known, args.out)
    run_all(setting, args.out, runs, args.jobs)
    if args.docs:
        from pays_for_itself_tables import write_docs

        write_docs(args.out, args.docs, args.setting)


if __name__ == "__main__":
    main()
