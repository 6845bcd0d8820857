"""What the engine fails on: one that fails on everything stops the run early, and what failed is counted and said."""

from __future__ import annotations

from collections.abc import Mapping

from rap_plugin.errors import Command, RapError, one_line
from rap_plugin.evidence.records import Failures
from rap_plugin.executors.batches import BatchResult
from rap_plugin.rollout import Arm

HOPELESS = 8
"""New samples of an arm that an engine fails on before it answers any: fewer can be the samples' own fault."""


class FailureWatch:
    """Sees every answered batch of a run.

    `known` holds the samples that an earlier run failed on already, by arm: that they fail again says nothing about the
    others. `answered` says whether any rollout has an answer from before.
    """

    def __init__(self, known: Mapping[Arm, set[int]], *, answered: bool) -> None:
        self._known = known
        self._any_answer = answered
        self._answering: set[Arm] = set()
        self._failed: dict[Arm, int] = dict.fromkeys(known, 0)
        self._last_error = ""

    def see(self, result: BatchResult) -> None:
        """Counts the samples of a batch. Raises RapError, with the last error, where an arm had nothing but failures."""
        arm = result.batch.arm
        for item, responses in zip(result.batch.items, result.responses, strict=True):
            errors = [response.error for response in responses if response.status == "engine_error"]
            if len(errors) < len(responses):
                self._answering.add(arm)
                self._any_answer = True
            elif errors:
                self._last_error = errors[-1]
                self._failed[arm] += item.sample not in self._known[arm]
        if arm not in self._answering and self._failed[arm] >= HOPELESS:
            raise self._error(f"the engine failed on all of the first {self._failed[arm]} samples of the {arm} arm")

    def end(self) -> None:
        """Raises RapError where everything failed that was ever asked for."""
        if self._last_error and not self._any_answer:
            raise self._error("the engine failed on every sample")

    def _error(self, what: str) -> RapError:
        return RapError(
            f"{what}, last with: {one_line(self._last_error)}; mend that, then ", Command("rap select"), " goes on"
        )


def failure_notes(failures: Failures) -> list[str]:
    """What failed, as notes for people; empty where nothing did."""
    notes = []
    for count, final, what in (
        (failures.rollouts, failures.final_rollouts, "rollouts failed in the engine"),
        (failures.attention, failures.final_attention, "responses have no attention because measuring failed"),
    ):
        if count:
            again = f"the next `rap select` tries {count - final:,} of them again" if count > final else ""
            given_up = f"{final:,} were tried sampling.attempts times and stay failed" if final else ""
            notes.append(f"{count:,} {what}: {'; '.join(part for part in (again, given_up) if part)}")
    return notes
