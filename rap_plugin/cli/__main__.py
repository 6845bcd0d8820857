"""`python -m rap_plugin.cli` is `rap`."""

from rap_plugin.cli import main

main()
