# make demo   everything it needs (in .venv), then RAP on the embedded model and pool
# make trl    TRL too, then a selection and two short trainings of the embedded model
# make r3     asks the embedded model that looks again about a scene; writes looks.html
# make test   the hosts too, then every check and test
# make gpu    the check of a machine with one GPU (WHEELS=folder gives it what is missing); writes docs/gpu.md
# make generated   200,000 generated responses through every reader and grader, in two halves (an hour); FILES="A.jsonl B.jsonl" adds answers to mutate
# make cluster    OpenRLHF's command in every mode on a Ray of two nodes, and as a Ray job, and following: about half an hour
# make long   what takes half a minute or more: the GPU check's small mode, vLLM's ways of running and its ranks, Ray and TRL under faults, OpenRLHF with and without the package
# make release   two equal builds, SBOM, audit, and the core's tests on the lowest versions; into dist/
# make site   the documentation site, into site/
# make snippets   the snippets that train or sample (minutes); all others run with make test
# make faults   kills, cuts, full disks and damage by the hundred (20 minutes); writes docs/reliability.md
# make fuzz   random input for every parser (EXAMPLES=20000 each, about an hour)
# make families   the table of model families in docs/engines.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-run
# With it set nothing caches what it compiles, and every process that a test starts would compile torch and transformers anew: 2.6 times as long to import.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo trl r3 test lint gpu families generated cluster long release faults fuzz site snippets clean

demo: $(VENV)/.core
	$(BIN)/rap demo --out $(OUT)

trl: $(VENV)/.trl
	OMP_NUM_THREADS=2 $(BIN)/python examples/trl/train_grpo.py --out trl-run

r3: $(VENV)/.core
	$(BIN)/rap r3 ask $$($(BIN)/rap path r3-scene) "Which framed digit is larger?"

test: $(VENV)/.hosts lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

gpu:
	PYTHON=$(PYTHON) scripts/gpu_check.sh $(if $(WHEELS),--wheels $(WHEELS))

cluster: $(VENV)/.hosts
	RAP_CLUSTER_TESTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v -s tests/executors/test_ray_job.py \
	  tests/openrlhf_hooks/test_modes.py tests/openrlhf_hooks/test_cluster.py tests/openrlhf_hooks/test_following_command.py \
	  tests/trl_hooks/test_following.py

long: $(VENV)/.hosts
	RAP_LONG_TESTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v -m long

site: $(VENV)/.hosts
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

snippets: $(VENV)/.hosts
	RAP_COSTLY_SNIPPETS=1 OMP_NUM_THREADS=2 $(BIN)/python -m pytest tests/test_snippets.py

faults: $(VENV)/.core
	$(BIN)/python -m tests.faults

fuzz: $(VENV)/.hosts
	$(BIN)/python -m tests.fuzz --examples $(or $(EXAMPLES),20000)

release:
	PYTHON=$(PYTHON) scripts/release_check.sh

families: $(VENV)/.hosts
	OMP_NUM_THREADS=2 $(BIN)/python scripts/write_family_table.py

generated: $(VENV)/.core
	$(BIN)/python -m tests.grading.reading.generated 100000 $(FILES) --seed 1 & first=$$!; \
	$(BIN)/python -m tests.grading.reading.generated 100000 $(FILES) --seed 2 && wait $$first

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

# Where the hosts are installed, everything is there, in versions that suit each other.
$(VENV)/.trl: pyproject.toml $(VENV)/.core
	test -f $(VENV)/.hosts || $(BIN)/python -m pip install -q --disable-pip-version-check -c scripts/constraints.txt \
	  -e ".[trl]" trl==1.16.0 scikit-learn
	touch $@

$(VENV)/.hosts: pyproject.toml scripts/setup_hosts.sh scripts/host_shims.py scripts/constraints.txt scripts/hosts-py311.txt | $(VENV)/bin/python
	scripts/setup_hosts.sh $(VENV)
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
