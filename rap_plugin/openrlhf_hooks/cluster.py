"""Whether every node that may run the trainer sees a folder that the driver has written."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line

ANSWER_S = 120.0
"""For one node: it may have to start a process with the job's environment first."""


def require_visible(folder: Path, flag: str) -> None:
    """Writes a probe file into a folder and looks for it from every node of Ray's cluster that runs tasks.

    OpenRLHF's trainer is placed nowhere in particular, so any of them may have to read the selected rows. Raises RapError
    that names the nodes without it and the `flag` that chooses the folder. With one node there is nothing to look for.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if len(nodes) < 2:
        return
    word = secrets.token_hex(8)
    probe = folder / f".rap-probe-{word}"
    try:
        probe.write_text(word, encoding="utf-8")
        asked = [(node["NodeManagerAddress"], _reads(node["NodeID"], str(probe))) for node in nodes]
        answers = [(address, _answer(reference, word)) for address, reference in asked]
    except OSError as error:
        raise RapError(f"{flag} {folder}: cannot be written ({error.strerror})") from None
    finally:
        probe.unlink(missing_ok=True)
    blind = [f"{address} ({problem})" for address, problem in answers if problem]
    if blind:
        raise RapError(
            f"{flag} {folder}: not the same folder on {len(blind)} of {len(nodes)} nodes, {', '.join(blind[:3])}, and the trainer "
            "may run on any of them; choose one on a file system that all nodes share"
        )


def _reads(node: str, path: str) -> Any:
    """Starts reading a file on one node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Defined here, so that it travels by value: a node without this package is then no failure of the probe.
    def read(path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except OSError as error:
            return f"! {error.strerror}"

    where = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(read).options(num_cpus=0, scheduling_strategy=where, max_retries=0).remote(path)


def _answer(reference: Any, word: str) -> str:
    """What is wrong with a node's answer, empty if nothing."""
    import ray

    try:
        said = str(ray.get(reference, timeout=ANSWER_S))
    except ray.exceptions.GetTimeoutError:
        return f"no answer in {ANSWER_S:g} s"
    except ray.exceptions.RayError as error:
        return one_line(error, 120)
    return "" if said == word else said.removeprefix("! ")[:120]
