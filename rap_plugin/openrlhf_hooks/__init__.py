"""OpenRLHF's side: `--data_filter` for `python -m openrlhf.cli.train_ppo_ray`, with OpenRLHF as it is installed.

`on_import_torch` is this package's entry point in group `torch.backends`: PyTorch calls it at the end of `import torch`,
in every program of the environment. So this file is all that other programs load.
"""

import os
import sys
from itertools import pairwise

PROGRAM = "openrlhf.cli.train_ppo_ray"


def on_import_torch() -> None:
    """Offers `--data_filter` where the running program is OpenRLHF's PPO command; does nothing elsewhere.

    Never raises: PyTorch turns an exception of an entry point into a failed `import torch`. RAP_PLUGIN_AUTOLOAD=0
    switches it off.
    """
    try:
        if os.environ.get("RAP_PLUGIN_AUTOLOAD") != "0" and is_train_ppo_ray(sys.argv, sys.orig_argv):
            from rap_plugin.openrlhf_hooks.launch import install

            install()
    except Exception as error:
        print(f"rap-plugin: --data_filter is not available ({type(error).__name__}: {error})", file=sys.stderr)


def is_train_ppo_ray(argv: list[str], orig_argv: list[str]) -> bool:
    """Whether this process was started as the PPO command: `-m openrlhf.cli.train_ppo_ray`, or that file.

    While a module's imports run under `-m`, argv[0] is already its file. Processes that multiprocessing spawns copy
    argv, and are told apart by their own command line.
    """
    if "--multiprocessing-fork" in orig_argv:
        return False
    if argv and argv[0].replace("\\", "/").endswith("openrlhf/cli/train_ppo_ray.py"):
        return True
    return "-m" + PROGRAM in orig_argv or ("-m", PROGRAM) in pairwise(orig_argv)
