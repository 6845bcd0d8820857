"""`rap-vlmeval` and `rap-vlmutil`: VLMEvalKit's own programs, unmodified, with our data sets registered first."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

USAGE = "give the run.py of a git checkout as the first argument, or install ms-vlmeval"


def evaluate() -> None:
    """`rap-vlmeval [PATH/TO/run.py] --data RAP_MMStar --model ..`: the arguments are VLMEvalKit's."""
    script = Path(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].endswith(".py") else None
    if script is not None:
        if not script.is_file():
            sys.exit(f"rap: {script}: no such file; {USAGE}")
        sys.argv = sys.argv[1:]
        sys.path.insert(0, str(script.resolve().parent))
    _prepare()
    if script is not None:
        runpy.run_path(str(script), run_name="__main__")
    else:
        import vlmeval.run

        vlmeval.run.main()


def utilities() -> None:
    """`rap-vlmutil [CHECKOUT] COMMAND ..`: `vlmutil` with our data sets."""
    if len(sys.argv) > 1 and (Path(sys.argv[1]) / "vlmeval").is_dir():
        sys.path.insert(0, str(Path(sys.argv.pop(1)).resolve()))
    _prepare()
    from vlmeval.tools import cli

    cli()


def _prepare() -> None:
    # A spreadsheet makes formulas of responses that begin with "=".
    os.environ.setdefault("PRED_FORMAT", "tsv")
    import ssl

    verified = ssl._create_default_https_context
    try:
        from rap_plugin.vlmeval_datasets.host import register

        register()
    except ModuleNotFoundError as error:
        sys.exit(f"rap: VLMEvalKit cannot be imported ({error}); {USAGE}")
    # Importing VLMEvalKit turns the verification of certificates off for the whole process.
    ssl._create_default_https_context = verified
