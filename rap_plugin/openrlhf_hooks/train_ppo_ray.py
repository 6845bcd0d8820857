"""`python -m rap_plugin.openrlhf_hooks.train_ppo_ray ...`: OpenRLHF's PPO command with `--data_filter`, explicitly.

For environments where the start-up hook is off (RAP_PLUGIN_AUTOLOAD=0, TORCH_DEVICE_BACKEND_AUTOLOAD=0).
"""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec

from rap_plugin.openrlhf_hooks import PROGRAM
from rap_plugin.openrlhf_hooks.launch import install


def main() -> None:
    """Runs the installed command in this process, as `python -m` would."""
    if find_spec("openrlhf") is None:
        sys.exit("rap-plugin: OpenRLHF is not installed; install it with: pip install openrlhf")
    install()
    runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
