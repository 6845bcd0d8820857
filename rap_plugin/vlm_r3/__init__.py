"""VLM-R3 (arXiv 2505.16192): models that look again while they answer, in batches, and what looking is worth.

`loop` is the state machine, `driver` runs it on an engine; `boxes`, `coordinates`, `crops` and `trace` are its parts.
"""
