# Each target is one or a few plain commands; README.md shows the first two without make, too.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

.PHONY: install
install: .venv/installed ## Install the pinned packages into .venv

.PHONY: demo
demo: install ## Run the whole graph once: sample data, replication, models, reports, checks
	$(BIN)/dvd-rental run

.PHONY: test
test: install ## Run the tests
	$(BIN)/pytest -n auto

.PHONY: dev
dev: install ## Start the Dagster UI at http://localhost:3000
	$(BIN)/dagster dev

.PHONY: lint
lint: install ## Check style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/sqlfluff lint dbt

.PHONY: format
format: install ## Format Python and SQL
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix dbt

.PHONY: render
render: install ## Write the generated files: dbt's sources, docs/data_model.md
	$(BIN)/python -m dvd_rental_pipeline.pipelines.render
