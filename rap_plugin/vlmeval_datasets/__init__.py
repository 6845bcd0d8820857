"""Our benchmarks as VLMEvalKit data sets. Nothing here imports VLMEvalKit before one of its commands runs: importing
it loads its whole model zoo and turns the verification of TLS certificates off."""
