"""Writes the task files from the benchmarks' definitions: `python scripts/write_lmms_tasks.py`.

They are checked in, because lmms-eval reads files; a test compares them with what this writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from rap_plugin.evaluation.benchmarks import BENCHMARKS, GROUPS, Benchmark
from rap_plugin.evaluation.measures import COMMON
from rap_plugin.evaluation.task_names import Variant, all_tasks, task_name, variants_of
from rap_plugin.lmms_tasks import TASKS

MAX_NEW_TOKENS = 8192
"""Of reasoned answers; RAP trains with responses of up to 2,048 tokens, stronger reasoners write longer ones."""
MAX_NEW_TOKENS_DIRECT = 512
_FUNCTIONS = "rap_plugin.lmms_tasks.functions"
_VALUES = "rap_plugin.lmms_tasks.values"

COMMON_FILE = f"""\
# Written by scripts/write_lmms_tasks.py. What all tasks share.
dataset_path: parquet
test_split: test
output_type: generate_until
doc_to_text: !function {_FUNCTIONS}.doc_to_text
doc_to_visual: !function {_FUNCTIONS}.doc_to_visual
doc_to_target: !function {_FUNCTIONS}.doc_to_target
# Thoughts are read by the scorer, which knows what follows them.
reasoning_tags: none
# The default stops at a blank line, which cuts a chain of thought.
generation_kwargs:
  max_new_tokens: {MAX_NEW_TOKENS}
  temperature: 0
  do_sample: false
  until: []
"""


def task_text(benchmark: Benchmark, part: str, variant: Variant) -> str:
    """One task's file."""
    task = benchmark.task(part)
    lines = [
        "include: _common",
        f"task: {task_name(task, variant)}",
        f"dataset_kwargs: !function {_VALUES}.data__{task}",
        f"metadata: !function {_VALUES}.facts__{task}",
        f"process_results: !function {_VALUES}.results__{benchmark.name}",
    ]
    if variant == "blind":
        lines.append(f"doc_to_visual: !function {_FUNCTIONS}.doc_to_visual_blind")
    if variant == "direct":
        lines += ["lmms_eval_specific_kwargs:", "  default:", f'    direct: "{benchmark.direct}"']
        lines += ["generation_kwargs:", f"  max_new_tokens: {MAX_NEW_TOKENS_DIRECT}", "  temperature: 0"]
        lines += ["  do_sample: false", "  until: []"]
    elif benchmark.repeats > 1:
        lines += [f"repeats: {benchmark.repeats}", "generation_kwargs:", f"  max_new_tokens: {MAX_NEW_TOKENS}"]
        lines += [f"  temperature: {benchmark.temperature}", "  do_sample: true", "  until: []"]
    lines.append("metric_list:")
    for measure in (*COMMON, *benchmark.measures):
        lines += [
            f"  - metric: {measure.name}",
            f"    aggregation: !function {_VALUES}.measure__{benchmark.name}__{measure.name}",
            f"    higher_is_better: {str(measure.higher_is_better).lower()}",
        ]
    return "\n".join(lines) + "\n"


def group_text(group: str, variant: Variant, members: tuple[str, ...]) -> str:
    """One group's file. The mean over its tasks is the official number where the benchmark says so (CV-Bench)."""
    lines = [f"group: {task_name(group, variant)}", "task:"]
    lines += [f"  - {task_name(member, variant)}" for member in members]
    if group in BENCHMARKS or group.startswith("mathverse"):
        benchmark = BENCHMARKS[group.split("_")[0]] if group.startswith("mathverse") else BENCHMARKS[group]
        lines += ["aggregate_metric_list:"]
        for metric in dict.fromkeys(("accuracy", benchmark.headline)):
            weighted = str(metric == "accuracy").lower()
            lines += [f"  - metric: {metric}", "    aggregation: mean", f"    weight_by_size: {weighted}"]
        lines += ["metadata:", '  version: "1"']
    return "\n".join(lines) + "\n"


def _members(group: str, variant: Variant) -> tuple[str, ...]:
    """Those of a group's tasks and groups that have the variant."""
    kept = []
    for member in GROUPS[group]:
        if member in GROUPS:
            if _members(member, variant):
                kept.append(member)
            continue
        for benchmark in BENCHMARKS.values():
            for part in benchmark.parts:
                if benchmark.task(part.name) == member and variant in variants_of(benchmark, part.name):
                    kept.append(member)
    return tuple(kept)


def files() -> Iterator[tuple[str, str]]:
    """(file name, content) of everything in the folder."""
    yield "_common", COMMON_FILE
    for benchmark, part, variant in all_tasks():
        yield f"{task_name(benchmark.task(part), variant)}.yaml", task_text(benchmark, part, variant)
    variants: tuple[Variant, ...] = ("", "blind", "direct")
    for group in GROUPS:
        for variant in variants:
            members = _members(group, variant)
            # A direct group says what its plain one says only when every benchmark in it has the form.
            if members and (variant != "direct" or len(members) == len(GROUPS[group])):
                yield f"{task_name(group, variant)}.yaml", group_text(group, variant, members)


def main() -> None:
    """Writes the folder anew."""
    TASKS.mkdir(exist_ok=True)
    written = dict(files())
    for path in TASKS.iterdir():
        if path.is_file() and path.name not in written:
            path.unlink()
    for name, text in written.items():
        (TASKS / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
