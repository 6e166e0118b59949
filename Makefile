# Each target works in a fresh clone and sets up what it needs by itself.
PYTHON ?= python3
RUN := .venv/bin/python
BIN := .venv/bin
# Signs nothing: settings want a key to be read at all.
LINT_KEY := SECRET_KEY=lint-0123456789-0123456789-0123456789-0123456789-0123456789
# Percent of the pure rooms' lines and branches that all tests together must reach.
FLOOR := 95
# A file's tests stay together, in one process with its own Redis, database and Asterisk.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
# pytest; what fails is run by itself before it fails the whole.
ONCE_MORE := $(RUN) -m tests.lab.once_more
STEP = @printf '\n\033[1m== %s\033[0m\n'

.PHONY: help setup demo run quick test coverage format lint bench bench-scale bench-admin chaos alerts explore screens package image upgrade-test docs requirements clean

help:
	@echo "make demo    real calls through a real Asterisk, and the admin to look at them"
	@echo "make test    everything that is tested, on PostgreSQL and on SQLite"
	@echo "make test T=PATH  one file, folder or test, with all that it needs"
	@echo "make quick   the tests that need nothing but Python, in seconds"
	@echo "make run     the admin and the processes, started again whenever a file changes"
	@echo "make format  lays the code out as make lint wants it"
	@echo "make coverage  what the tests of the pure rooms reach"
	@echo "make lint    style, types and the direction of imports"
	@echo "make bench   figures under load, beside a bare program with the same scenario"
	@echo "make bench-scale   the same on ARI doubles: up to 10,000 calls up, several cells"
	@echo "make bench-admin  the admin's pages over ten million call records"
	@echo "make chaos   calls while everything fails in turn: writes docs/chaos.md"
	@echo "make alerts  each alert fires on a real Prometheus when its fault is there, and clears"
	@echo "make explore what may go wrong between any two steps, drawn freshly, for ten minutes"
	@echo "make screens  pictures of every page of the admin, into docs/screens"
	@echo "make package  builds the Debian package, and tries it on a Debian of its own with systemd"
	@echo "make image   builds the container image, and runs every process from it"
	@echo "make upgrade-test  calls while all is upgraded from an older revision (FROM=v0.9.0)"
	@echo "make docs    the pages of docs/ and of the code as a site, into .lab/site-build/site"
	@echo "make requirements  requirements.txt from requirements.in, and the tests' (UPGRADE=--upgrade for newer ones)"
	@echo "make clean   removes .venv and .lab"

setup:
	@PYTHON="$(PYTHON)" sh tests/lab/bootstrap.sh

demo: setup
	@$(RUN) -m tests.lab.demo

bench-scale: setup
	@$(RUN) -m tests.lab.bench.scale

bench: setup
	@$(RUN) -m tests.lab.bench --write

bench-admin: setup
	@$(RUN) -m tests.lab.bench.admin

chaos: setup
	@$(RUN) -m tests.lab.chaos --write docs/chaos.md

alerts: setup
	@ALERTS=1 $(RUN) -m tests.lab.with_postgres $(RUN) -m pytest -v tests/integration/test_every_alert_fires_and_clears.py

screens: setup
	@SCREENS=1 $(RUN) -m tests.lab.with_postgres $(RUN) -m pytest tests/browser

package: setup
	$(STEP) "The Debian package: built, installed, upgraded and removed"
	@PACKAGE=1 $(RUN) -m pytest -v tests/install/test_the_debian_package.py
	$(STEP) "Into .lab/package"
	@sh docs/install/debian/build.sh .lab/package

docs: setup
	@$(RUN) -m tests.lab.site

upgrade-test: setup
	@$(RUN) -m tests.lab.upgrade $(if $(FROM),--from $(FROM)) --write docs/upgrade-test.md

image: setup
	$(STEP) "The container image: built, and a call through its processes"
	@CONTAINER=1 $(RUN) -m pytest -v tests/install/test_the_container_image.py

lint: setup
	$(STEP) "Style (ruff)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	$(STEP) "Types (mypy)"
	@$(LINT_KEY) $(BIN)/mypy
	$(STEP) "Direction of imports (import-linter)"
	@$(BIN)/lint-imports
	$(STEP) "Migrations match the models"
	@$(LINT_KEY) DATABASE_URL=sqlite://:memory: $(RUN) manage.py makemigrations --check --dry-run
	$(STEP) "Known vulnerabilities of what is pinned"
	@$(RUN) -m tests.lab.advisories

# Python alone: no Redis, no database, no Asterisk; property tests look at a tenth of their examples.
quick: setup
	@$(RUN) -m pytest -m quick --hypothesis-profile=quick -q $(SIDE_BY_SIDE)

coverage: setup
	$(STEP) "What the pure rooms' own tests reach, line and branch"
	@$(RUN) -m pytest -m quick -q --cov --cov-report=term --cov-fail-under=95

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

run: setup
	@$(RUN) -m tests.lab.run

ifdef T
test: setup
	@$(RUN) -m tests.lab.with_postgres $(RUN) -m pytest $(T)
else
test: lint
	$(STEP) "On PostgreSQL, side by side"
	@$(RUN) -m tests.lab.with_postgres $(ONCE_MORE) -m "not whole" $(SIDE_BY_SIDE) --cov --cov-report=
	@$(BIN)/coverage report --fail-under=$(FLOOR)
	$(STEP) "The whole product, side by side"
	@$(RUN) -m tests.lab.with_postgres $(ONCE_MORE) -m "whole and not alone" $(SIDE_BY_SIDE)
	$(STEP) "The whole product, alone"
	@$(RUN) -m tests.lab.with_postgres $(ONCE_MORE) -m alone
	$(STEP) "What touches the database, on SQLite"
	@DATABASE_URL=sqlite://:memory: $(ONCE_MORE) -m "database and not whole" $(SIDE_BY_SIDE)
endif

# uv's own answer for every platform and every Python from 3.11 on; the address of an index is
# nobody's but this machine's. Extras stay: pip as Debian 12 has it takes a name with an extra
# ("coverage[toml]") for another package than the one that is pinned without, and refuses the
# install from the day on which a newer release of it is out.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"

requirements: setup
	$(STEP) "requirements.txt and tests/requirements.txt, from what their .in files name"
	@$(COMPILE) $(UPGRADE) requirements.in --output-file requirements.txt
	@$(COMPILE) $(UPGRADE) docs/install/telemetry.in --output-file docs/install/telemetry.txt
	@$(COMPILE) $(UPGRADE) tests/requirements.in --output-file tests/requirements.txt
	@$(COMPILE) $(UPGRADE) docs/requirements.in --output-file docs/requirements.txt

explore: setup
	$(STEP) "Drawn freshly: stories, deaths and freezes (SEED=… plays a run again)"
	@SEED=$${SEED:-$$($(RUN) -c "import secrets; print(secrets.randbelow(10**9))")}; \
	echo "seed $$SEED"; \
	EXPLORE_SEED=$$SEED EXPLORE_SECONDS=$${SECONDS_EACH:-300} \
	$(RUN) -m pytest -q -s --log-cli-level=CRITICAL -o log_level=CRITICAL --hypothesis-seed=$$SEED --hypothesis-profile=explore \
	tests/engine/test_every_interleaving.py tests/machine/test_any_disorder_ends_clean.py

clean:
	rm -rf .venv .lab .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
