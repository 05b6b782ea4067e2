# One command each for what a developer does. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full mutants check lint format types imports coverage bench chaos up lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.made ## make the environment in .venv, with the command .venv/bin/fleet

# Hashes for everything that is installed, and nothing fetched to build our own package.
.venv/.made: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv is missing: on Debian, apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## send a real load through everything, embedded, and print the account (ARGS=--keep stays up)
	@$(BIN)/fleet demo $(ARGS)

# Files go to the two processes in the order of their folders, acceptance first: the longest would end alone otherwise.
test: setup ## all tests, long ones in their short form
	@began=$$(date +%s); PYTHONPATH=. $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(ARGS); code=$$?; \
	echo "make test: $$(( $$(date +%s) - began )) s wall clock"; exit $$code

test-full: setup ## all tests, long ones whole (100 kills, a million rows): many minutes
	@FULL=1 PYTHONPATH=. $(BIN)/python -m pytest -q $(ARGS)

mutants: setup ## take each guard away in a copy of the tree: a test must notice (minutes)
	@PYTHONPATH=. $(BIN)/python -m tests.mutants

check: lint types imports test ## what CI runs: format, lint, types, imports, tests

lint: setup ## ruff: format and lint
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

format: setup ## rewrite the code as ruff formats it
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: setup ## mypy --strict
	@$(BIN)/mypy

imports: setup ## the layers, by import-linter
	@$(BIN)/lint-imports --no-cache

coverage: setup ## branch coverage of the ledger, the workers, the providers and the scheduler
	@PYTHONPATH=. $(BIN)/python -m pytest -q --cov --cov-report= $(ARGS)
	@for package in outbox workers providers scheduler admission campaigns; do \
		echo "$$package: $$($(BIN)/coverage report --include="$$package/*" --format=total) %"; done
	@$(BIN)/coverage report --include="outbox/*,workers/*,providers/*,scheduler/*,admission/*,campaigns/*" --fail-under=90

bench: setup ## speed beside a bare loop, latency, cost when idle (ARGS=--short; AGAINST=REVISION: beside that revision)
	@PYTHONPATH=. $(BIN)/python -m benchmarks $(if $(AGAINST),--against $(AGAINST)) $(ARGS)

chaos: setup ## kill, stop, wipe and restart everything under load, and count (ARGS="--seed 7")
	@PYTHONPATH=. $(BIN)/python -m tests.chaos $(ARGS)

up: setup ## run every process on the servers and vendors that the environment names
	@$(BIN)/fleet up --no-simulator

lock: ## write the locks anew from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header \
		--extra embedded --extra dev pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header \
		pyproject.toml -o requirements-run.lock

clean: ## end embedded servers and remove what was made
	@[ ! -x $(BIN)/fleet ] || $(BIN)/fleet down
	rm -rf .venv .fleet .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
