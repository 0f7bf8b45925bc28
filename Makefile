# Everything a newcomer types. Only Python 3.11 and make are needed.
#   make demo                                   simulated quotes
#   make demo SOURCE="recording quotes.parquet" SPEED=60
#   make demo SOURCE=127.0.0.1:4002             a real gateway
SOURCE ?= simulator
SPEED ?= 60
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
CLUSTER ?= kind
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test e2e check bench platform clean distclean install-local install-dev

help:  ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: install-local  ## Run everything on this machine: SOURCE=simulator | "recording FILE" | HOST:PORT
	@$(VENV)/python -m local up --source "$(SOURCE)" --speed $(SPEED) $(ARGS)

test: check  ## Run all tests that this machine can run, after the checks
	$(VENV)/python -m pytest $(ARGS)

e2e: install-dev  ## Run the chart on a cluster: KUBECONFIG's, ../shared/kube's or kind's; ARGS=--long for all
	SMILE_E2E_KIND=1 $(VENV)/python -m pytest tests/e2e/cluster tests/e2e/test_custom_resources.py tests/e2e/test_kept_secrets.py \
		$(ARGS)

check: install-dev  ## Lint and type-check
	$(VENV)/ruff check .
	$(VENV)/flake8
	$(VENV)/mypy

bench: install-dev  ## Run the benchmarks; each prints a ratio
	$(VENV)/python -m benchmarks $(ARGS)

platform:  ## Install the operators that the chart builds on: CLUSTER=kind | cloud
	@manifests/install $(CLUSTER)

clean:  ## Stop what runs and remove all state: data, models, logs
	@if [ -x $(VENV)/python ] && [ -e .state ]; then $(VENV)/python -m local down; fi
	rm -rf .state

distclean: clean  ## Remove the virtual environment too
	rm -rf .venv

install-local:
	@$(PYTHON) local/install.py local

install-dev:
	@$(PYTHON) local/install.py dev
