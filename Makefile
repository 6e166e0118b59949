# Each target works in a fresh clone and sets up what it needs by itself.
PYTHON ?= python3
RUN := .venv/bin/python
BIN := .venv/bin
STEP = @printf '\n\033[1m== %s\033[0m\n'

.PHONY: help setup demo test lint bench chaos clean

help:
	@echo "make demo    real calls through a real Asterisk, and the admin to look at them"
	@echo "make test    everything that is tested, on PostgreSQL and on SQLite"
	@echo "make lint    style, types and the direction of imports"
	@echo "make bench   figures under load, beside a bare program with the same scenario"
	@echo "make chaos   calls while processes are killed"
	@echo "make clean   removes .venv and .lab"

setup:
	@PYTHON="$(PYTHON)" sh tests/lab/bootstrap.sh

demo: setup
	@$(RUN) -m tests.lab.demo

bench: setup
	@$(RUN) -m tests.lab.bench

chaos: setup
	@$(RUN) -m tests.lab.chaos

lint: setup
	$(STEP) "Style (ruff)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	$(STEP) "Types (mypy)"
	@SECRET_KEY=lint $(BIN)/mypy
	$(STEP) "Direction of imports (import-linter)"
	@$(BIN)/lint-imports
	$(STEP) "Migrations match the models"
	@SECRET_KEY=lint DATABASE_URL=sqlite://:memory: $(RUN) manage.py makemigrations --check --dry-run

test: lint
	$(STEP) "Everything, on PostgreSQL"
	@$(RUN) -m tests.lab.with_postgres $(RUN) -m pytest
	$(STEP) "What touches the database, on SQLite"
	@DATABASE_URL=sqlite://:memory: $(RUN) -m pytest -m database

clean:
	rm -rf .venv .lab .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
