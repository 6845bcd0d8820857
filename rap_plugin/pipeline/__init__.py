"""The pipeline: ingest, probe, score, decide, write; and what is done with finished runs."""
