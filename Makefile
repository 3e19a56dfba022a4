# The verbs of this repository; continuous integration calls the same ones.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
NB ?=
N ?= 20

# what a user has set for other shells and other Pythons has no say here
unexport BASH_ENV CDPATH ENV GREP_OPTIONS PYTHONHOME PYTHONPATH PYTHONWARNINGS

.PHONY: help setup lab test test-all faults check notebooks soak bench lock verify-downloads clean

help: ## what can be typed
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 28

setup: $(READY) ## Python environment, Debian packages

$(READY): requirements.lock pyproject.toml scripts/setup
	@scripts/setup "$(PYTHON)" "$(VENV)"
	@touch $@

lab: $(READY) ## start a cluster and open JupyterLab on the notebooks
	@scripts/lab "$(BIN)"

test: $(READY) ## all tests of one machine
	@$(BIN)/python -m tools.testing

test-all: $(READY) ## also learners' copies, Chromium, container images, odd machines
	@$(BIN)/python -m tools.testing --all

faults: $(READY) ## machines, habits and inputs as people have them: a table of conditions (root)
	@$(BIN)/python -m tools.testing --only faults

check: $(READY) ## format, lint, types, notebooks and derived files
	@$(BIN)/python -m tools.testing --only check

notebooks: $(READY) ## execute and normalise notebooks (NB="06" for one)
	@$(BIN)/python -m k8s101.notebook execute $(NB)

soak: $(READY) ## strict runs in a row (NB=06 N=20)
	@$(BIN)/python -m k8s101.notebook soak $(NB) --times $(N)

bench: $(READY) ## measure start, scale, rollout and memory
	@$(BIN)/python -m benchmarks

lock: ## renew requirements.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 --universal \
		--extra dev --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

verify-downloads: $(READY) ## check the official release files (needs the internet)
	@$(BIN)/python -m k8s101.cluster.programs.downloads --verify
