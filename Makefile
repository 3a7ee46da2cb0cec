# Needs only make and Python >= 3.11; everything else goes into .venv.
# `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := .venv-manifests
DATA := .headrace-demo

.DEFAULT_GOAL := help
.PHONY: help dashboards demo test manifests lint types check slow lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("headrace needs Python 3.11 or newer: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## import the sample corpus on embedded servers, and search it
	HEADRACE_DATA_FOLDER=$(DATA) $(BIN)/headrace import samples/handbook
	HEADRACE_DATA_FOLDER=$(DATA) $(BIN)/headrace search "how do I stop the mill in a flood?" -k 3

test: $(READY) ## the tests that take seconds
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not corpus and not manifests"

slow: $(READY) ## the tests that take minutes: real Milvus server, kills, outages
	$(BIN)/python -m pytest -n 4 --dist loadgroup -m "slow or corpus"

$(TOOLS)/.ready: deploy/tools.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/tools.txt
	@touch $@

manifests: $(READY) $(TOOLS)/.ready ## judge compose file, image, Kubernetes and systemd
	MANIFEST_TOOLS=$(CURDIR)/$(TOOLS)/bin $(BIN)/python -m pytest -n 2 -m manifests

dashboards: $(READY) ## write grafana/dashboards anew from the code beside it
	$(BIN)/python -m grafana
	$(BIN)/python -m grafana.prometheus_rule

lint: $(READY) ## formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

check: lint types test ## what a commit must pass

lock: $(READY) ## pin all dependencies anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --extra fused --extra otel --group dev --python-version 3.11 pyproject.toml -o constraints.txt

clean: ## remove what make made
	rm -rf $(VENV) $(TOOLS) $(DATA) .mypy_cache .pytest_cache .ruff_cache .hypothesis
