# Needs python3 with venv, and make. Everything else is installed into .venv from pyproject.toml.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-latest fix bench torture mutants clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/dev: .venv/base
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.venv/torture: .venv/dev
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[torture]'
	touch $@

demo: .venv/base ## run the main job on the embedded engine in ./demo and show what it made
	@mkdir -p demo
	$(BIN)/paraphina-wh --root demo run exp13 --engine reference --runs-per-profile 4
	$(BIN)/paraphina-wh --root demo status
	$(BIN)/paraphina-wh --root demo query "select profile, count(*) as runs, avg(final_pnl) as mean_pnl_usd, avg(n_hedges) as mean_hedges from runs group by profile order by profile"
	@echo; echo "made in ./demo:"; cd demo && find . -maxdepth 3 -not -path '*/_staging*' | sort | head -40

test: .venv/dev ## format, lint, types and tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto

test-latest: ## the tests on the newest releases that pyproject.toml allows, in an environment of their own
	$(PYTHON) -m venv .venv-latest
	PIP_CONSTRAINT= .venv-latest/bin/pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager -e '.[dev]'
	.venv-latest/bin/pip freeze --exclude-editable
	.venv-latest/bin/pytest -n auto

fix: .venv/dev ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev ## measure against the yardsticks and write docs/benchmarks.md
	$(BIN)/python -m bench

torture: .venv/torture ## attack everything at full length, about half an hour, and print the figures
	$(BIN)/python -m tests.torture

mutants: .venv/torture ## change the reader and the commit path in small ways that their tests must notice
	$(BIN)/python -m tests.torture.mutants

clean: ## remove what can be made again
	rm -rf .venv .venv-latest demo .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
