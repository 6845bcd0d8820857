# make demo   everything it needs (in .venv), then RAP on the embedded model and pool
# make test   the hosts too, then every check and test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-run

.PHONY: demo test lint clean

demo: $(VENV)/.core
	$(BIN)/rap demo --out $(OUT)

test: $(VENV)/.hosts lint
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest

lint: $(VENV)/.hosts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and alone: where a CPU build is on pip's path, nothing after it may replace it.
$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install -q --disable-pip-version-check -c scripts/constraints.txt -e ".[demo]"
	touch $@

$(VENV)/.hosts: pyproject.toml scripts/setup_hosts.sh scripts/host_shims.py scripts/constraints.txt | $(VENV)/bin/python
	scripts/setup_hosts.sh $(VENV)
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
