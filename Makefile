# Flightlog: `make demo` shows it, `make test` proves it.
SHELL := bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
E2E := tests/e2e
ON_BOTH := $(E2E)/test_shapes.py $(E2E)/test_types.py $(E2E)/test_gates.py
ON_BOTH_SLOW := $(addprefix $(E2E)/test_,failures.py failure_nodes.py failure_policies.py cache.py arrays.py maps.py maps_more.py dynamic.py time_limits.py surface.py recover.py)
# Much of it waits for brokers and tasks: two halves at once, each file in one of them.
SIDE_BY_SIDE := -n 2 --dist loadfile
FAST := tests/architecture tests/unit tests/property tests/golden

.PHONY: help install lock components demo up check test test-distributed image bench fmt

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(VENV)/installed ## Make .venv with everything that is pinned

lock: ## Pin the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --extra dev --extra examples --universal --python-version 3.11 pyproject.toml build-requirements.in -o requirements.lock

components: ## Build what tests need beside Python, once: Kafka, MinIO (7 minutes), images where Docker is
	infra/deploy/components/kafka.sh
	infra/deploy/components/minio.sh
	infra/deploy/components/docker.sh

demo: install ## Start an engine, register and run the example, print its outputs
	$(BIN)/flightlog demo

up: install ## Run the engine on ports 30080 and 30081
	$(BIN)/flightlog up

check: install ## Lint, types, floors and quick tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not integration and not e2e" $(FAST)

test: install components ## Everything that proves this clone
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests -m "not bench" $(SIDE_BY_SIDE)
	FLIGHTLOG_TEST_ENGINE=distributed $(BIN)/python -m pytest $(ON_BOTH)

test-distributed: install components ## Every end-to-end test of one engine, on roles of their own
	FLIGHTLOG_TEST_ENGINE=distributed $(BIN)/python -m pytest $(ON_BOTH) $(ON_BOTH_SLOW)

image: ## Build the image of all roles; PYTHON_IMAGE=… takes another base
	docker build -t flightlog:latest -f infra/deploy/Dockerfile --build-arg PYTHON_IMAGE=$(or $(PYTHON_IMAGE),python:3.11-slim) .

bench: install ## Print the numbers of this machine
	$(BIN)/python -m tests.bench

fmt: install ## Format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
