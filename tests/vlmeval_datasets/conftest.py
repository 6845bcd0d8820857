"""The same prepared data as for lmms-eval."""

from tests.lmms_tasks.conftest import data_folder, offline

__all__ = ["data_folder", "offline"]
