"""The entry point in group `lmms_eval.models`: makes `--tasks rap_..` known after `pip install` alone."""

from __future__ import annotations

import os
import sys
from typing import Any

from rap_plugin.errors import one_line
from rap_plugin.lmms_tasks import TASKS

OFF_SWITCH = "RAP_LMMS_TASKS"
"""Set to 0 to leave lmms-eval alone."""


def manifests() -> list[Any]:
    """Called while lmms-eval loads its models, before it lists its tasks. Never raises: an entry point that does
    stops all later ones, of other packages too. Returns the manifests of model `rap`, our
    engines, and `rap_vlm_r3`, models that look again."""
    if os.environ.get(OFF_SWITCH) == "0":
        return []
    try:
        add_tasks()
        from lmms_eval.models.registry_v2 import ModelManifest

        return [
            ModelManifest(model_id="rap", chat_class_path="rap_plugin.lmms_tasks.model.RapModel"),
            ModelManifest(model_id="rap_vlm_r3", chat_class_path="rap_plugin.lmms_tasks.r3_model.RapVlmR3"),
        ]
    except Exception as error:
        message = one_line(error)
        print(f'rap: tasks not added ({message}); use --include_path "$(rap path lmms-tasks)"', file=sys.stderr)
        return []


def add_tasks() -> None:
    """Lets every TaskManager look into our folder too, after its own and the user's: their names win."""
    from lmms_eval.tasks import TaskManager

    if getattr(TaskManager.initialize_tasks, "_rap_tasks", False):
        return
    original = TaskManager.initialize_tasks

    def initialize_tasks(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        index = original(self, *args, **kwargs)
        try:
            return {**self._get_task_and_group(str(TASKS)), **index}
        except Exception as error:
            message = one_line(error)
            print(f"rap: tasks not added ({message})", file=sys.stderr)
            return index  # type: ignore[no-any-return]

    initialize_tasks._rap_tasks = True  # type: ignore[attr-defined]
    TaskManager.initialize_tasks = initialize_tasks
