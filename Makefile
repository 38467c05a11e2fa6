# Set-up happens in .venv; PYTHON may name another interpreter (3.11 or 3.12).
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MARK := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo wheel test lint format bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# mediapipe and face-alignment ask for OpenCVs that need libGL; the headless wheel, which avpipe
# asks for, holds the same module without it.
HEADLESS := opencv-contrib-python-headless>=4.11,<4.12
define headless
	$(PIP) uninstall --yes opencv-python opencv-contrib-python
	$(PIP) install --no-deps --force-reinstall "$(HEADLESS)"
endef

$(BIN)/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(FITS)' || { echo "avpipe needs Python 3.11 or 3.12 (set PYTHON=...)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(MARK)-core: pyproject.toml | $(BIN)/python
	@echo "Installing avpipe into $(VENV) ..."
	$(PIP) install --editable .
	@touch $@

$(MARK)-all: pyproject.toml | $(BIN)/python
	@echo "Installing avpipe with all extras into $(VENV) (about 8 GB) ..."
	$(PIP) install --editable ".[all]"
	$(headless)
	@touch $@ $(MARK)-core

demo: $(MARK)-core  ## Build the bundled real clips into verified shards, and draw one
	$(BIN)/avpipe build demo
	$(BIN)/avpipe verify demo
	$(BIN)/avpipe inspect demo --id violin-b --png data/demo/violin-b.png
	$(BIN)/python tests/check_demo.py data/demo

test: $(MARK)-all  ## Run all tests
	$(BIN)/python -m pytest -n auto --dist worksteal

wheel: $(MARK)-core  ## Build the wheel, and build the demo with it in an empty environment
	rm -rf dist && $(PIP) install build && $(BIN)/python -m build --wheel --outdir dist
	rm -rf dist/env && $(PYTHON) -m venv dist/env
	dist/env/bin/python -m pip --disable-pip-version-check --quiet install dist/*.whl
	mkdir -p dist/elsewhere && cd dist/elsewhere && ../env/bin/avpipe build demo --ids violin-b,cello-a,trumpet-gone
	dist/env/bin/avpipe verify dist/elsewhere/data/demo

lint: $(MARK)-all  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(MARK)-all  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(MARK)-all  ## Run every benchmark; results go to benchmarks/results
	@set -e; for script in $(filter-out benchmarks/machine.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script; done

clean:  ## Remove the environment and what the demo built
	rm -rf $(VENV) dist data/demo
