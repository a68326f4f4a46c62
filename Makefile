# Flightlog: `make demo` runs an example, `make test` runs all tests.
SHELL := bash
.DEFAULT_GOAL := help
PYTHON ?=
PYTHON312 ?= $(shell python3.12 -c 'import sys; print(sys.executable)' 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
E2E := tests/e2e
ON_BOTH := $(E2E)/test_shapes.py $(E2E)/test_types.py $(E2E)/test_gates.py
ON_BOTH_SLOW := $(addprefix $(E2E)/test_,failures.py failure_nodes.py failure_policies.py cache.py arrays.py maps.py maps_more.py dynamic.py time_limits.py surface.py recover.py)
# So that a seed of the simulation says all of a run.
export PYTHONHASHSEED ?= 0
# Much of it waits for brokers and tasks: two workers, each file in one of them, the
# short files of unit tests last.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
# `make endurance` runs so many times the seeds of the simulation that `make test` does.
SEEDS ?= 50
FAST := tests/architecture tests/unit tests/property tests/golden tests/history

.PHONY: help install lock components demo up lint check test coverage test-312 test-distributed endurance image bench fmt

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: ## Create .venv with all pinned dependencies; PYTHON=path chooses the Python
	@infra/deploy/install.sh $(VENV) $(PYTHON)

lock: ## Update requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --extra dev --extra examples --universal --python-version 3.11 pyproject.toml build-requirements.in -o requirements.lock

components: ## Build what tests need besides Python, once: Kafka, MinIO (7 minutes), images if Docker runs
	infra/deploy/components/kafka.sh
	infra/deploy/components/minio.sh
	infra/deploy/components/faketime.sh
	infra/deploy/components/docker.sh

demo: install ## Start an engine, register and run the example, print its outputs
	$(BIN)/flightlog demo

up: install ## Run the engine on ports 30080 and 30081
	$(BIN)/flightlog up

lint: install ## Check style, format, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## Lint, and run the quick tests
	$(BIN)/python -m pytest -q -m "not integration and not e2e" $(FAST)

test: lint components ## Run all tests, print the coverage
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest tests -m "not bench" $(SIDE_BY_SIDE) --cov --cov-report=
	TESTS_ENGINE=distributed $(BIN)/python -m pytest $(ON_BOTH) $(SIDE_BY_SIDE) --cov --cov-append --cov-report=
	@$(MAKE) --no-print-directory coverage test-312

coverage: ## Print the branch coverage of the last run of all tests; fail below the limits
	@$(BIN)/coverage combine --append --quiet 2>/dev/null || true
	$(BIN)/coverage report --include='domain/*' --fail-under=98
	$(BIN)/coverage report --fail-under=90

test-312: ## Run the quick tests on Python 3.12, if there is one (PYTHON312=path)
ifeq ($(PYTHON312),)
	@echo "Python 3.12 not found: quick tests ran on $(shell $(BIN)/python --version) only (PYTHON312=path)"
else
	@infra/deploy/install.sh .venv312 $(PYTHON312)
	.venv312/bin/python -m pytest -q -m "not integration and not e2e" $(FAST)
endif

test-distributed: install components ## Run every end-to-end test on separate roles
	TESTS_ENGINE=distributed $(BIN)/python -m pytest $(ON_BOTH) $(ON_BOTH_SLOW)

endurance: install components ## Run what takes hours: many seeds, faults of one machine, upgrades in every order, 1,000 faults under load
	TESTS_SEEDS=$(SEEDS) $(BIN)/python -m pytest -q tests/simulation $(SIDE_BY_SIDE)
	TESTS_ENDURANCE=long $(BIN)/python -m pytest tests/endurance
	$(BIN)/python -m tests.endurance.versions
	$(BIN)/python -m tests.chaos --faults 1000

image: ## Build the image of all roles; PYTHON_IMAGE=… chooses another base image
	docker build -t flightlog:latest -f infra/deploy/Dockerfile --build-arg PYTHON_IMAGE=$(or $(PYTHON_IMAGE),python:3.11-slim) .

bench: install ## Run the benchmarks and print their figures; AGAINST=DIR compares with another checkout
	$(BIN)/python -m tests.bench $(if $(AGAINST),--against $(AGAINST))

fmt: install ## Format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
