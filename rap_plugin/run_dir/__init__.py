"""A run directory: its files and their names, `run.json`, and how they are read. Who reads a run needs nothing else."""
